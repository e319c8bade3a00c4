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
	for {
		n, err = syscall.Read(int(fd), b)
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

// readsNow says that readNow works here.
const readsNow = true
