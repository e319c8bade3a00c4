//go:build linux && !race

package rawconn

import (
	"syscall"
	"unsafe"
)

// readNow is read(2), of a descriptor that does not wait.
func readNow(fd uintptr, p []byte) (int, error) { return call(syscall.SYS_READ, fd, p) }

// writeNow is write(2), likewise.
func writeNow(fd uintptr, p []byte) (int, error) { return call(syscall.SYS_WRITE, fd, p) }

func call(number, fd uintptr, p []byte) (int, error) {
	n, _, errno := syscall.RawSyscall(number, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
