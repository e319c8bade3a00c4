//go:build !unix

package forward

import "errors"

// mapMemory returns zeroed memory.
func mapMemory(size int) ([]byte, error) { return make([]byte, size), nil }

func unmapMemory([]byte) error { return nil }

func readNow(uintptr, []byte) (n int, again bool, err error) { return 0, false, errors.ErrUnsupported }

func writeNow(uintptr, []byte) (n int, again bool, err error) { return 0, false, errors.ErrUnsupported }

func peekNow(uintptr, []byte) bool { return true }

// readsNow says that readNow works here.
const readsNow = false
