package main

import (
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// TestProcessors: one thread while little comes, all while much does, and one
// again a second after.
func TestProcessors(t *testing.T) {
	before := runtime.GOMAXPROCS(3)
	defer runtime.GOMAXPROCS(before)
	synctest.Test(t, func(t *testing.T) {
		p := newProcessors()
		want := func(n int) {
			t.Helper()
			synctest.Wait()
			if got := runtime.GOMAXPROCS(0); got != n {
				t.Errorf("%d threads run, want %d", got, n)
			}
		}
		want(1)
		p.busy()
		want(3)
		time.Sleep(calmAfter - time.Millisecond)
		p.busy()
		time.Sleep(calmAfter - time.Millisecond)
		want(3)
		time.Sleep(time.Millisecond)
		want(1)
		p.busy()
		want(3)
		time.Sleep(calmAfter)
		want(1)
	})
}
