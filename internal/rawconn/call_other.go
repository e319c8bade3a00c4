//go:build !linux || race

package rawconn

import "syscall"

// The race detector knows by package syscall that what is written to a connection
// comes before what is read from its other end.

// readNow reads from a descriptor that does not wait.
func readNow(fd uintptr, p []byte) (int, error) { return syscall.Read(int(fd), p) }

// writeNow writes to one.
func writeNow(fd uintptr, p []byte) (int, error) { return syscall.Write(int(fd), p) }
