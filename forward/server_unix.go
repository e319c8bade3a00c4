//go:build unix

package forward

import (
	"errors"
	"syscall"
)

// mapMemory returns zeroed memory outside the Go heap.
func mapMemory(size int) ([]byte, error) {
	return syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
}

func unmapMemory(block []byte) error { return syscall.Munmap(block) }

// readNow reads what is there, and reports that nothing is with again.
func readNow(fd uintptr, b []byte) (n int, again bool, err error) {
	return callNow(syscall.Read, fd, b)
}

// writeNow writes what is taken at once, and reports that nothing is with again.
func writeNow(fd uintptr, b []byte) (n int, again bool, err error) {
	return callNow(syscall.Write, fd, b)
}

// callNow makes a call of the system that does not wait, again where a signal broke it off.
func callNow(call func(fd int, b []byte) (int, error), fd uintptr, b []byte) (n int, again bool, err error) {
	for {
		n, err = call(int(fd), b)
		switch {
		case err == nil:
			return n, false, nil
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EAGAIN):
			return 0, true, nil
		default:
			return 0, false, err
		}
	}
}

// peekNow reports whether there is something to read, or an end; b has room for a
// byte of it.
func peekNow(fd uintptr, b []byte) bool {
	for {
		_, _, err := syscall.Recvfrom(int(fd), b, syscall.MSG_PEEK)
		if !errors.Is(err, syscall.EINTR) {
			return !errors.Is(err, syscall.EAGAIN)
		}
	}
}

// readsNow says that readNow works here.
const readsNow = true
