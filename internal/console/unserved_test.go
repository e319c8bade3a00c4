package console

import (
	"os"
	"testing"
)

// TestCloseOfASocketThatNeverServed ends: a process that fails between the two
// calls must not hang instead.
func TestCloseOfASocketThatNeverServed(t *testing.T) {
	dir := t.TempDir()
	s, err := Listen(dir, "x")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
