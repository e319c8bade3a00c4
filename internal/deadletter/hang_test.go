package deadletter

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spillway/spillway/internal/record"
)

// TestPutOnADiskThatHangs: nobody waits for it without end, one goroutine alone is left to it, and all goes on when it
// answers.
func TestPutOnADiskThatHangs(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, err := newStore(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		answers := make(chan struct{})
		var commits atomic.Int32
		s.commit = func(context.Context, []*call) error {
			commits.Add(1)
			<-answers
			return nil
		}
		put := func(ctx context.Context) (took time.Duration, err error) {
			began := time.Now()
			err = s.Put(ctx, []record.Letter{{Origin: "a/1"}})
			return time.Since(began), err
		}
		for range 2 { // The first commits, the second waits for its turn.
			if took, err := put(t.Context()); !errors.Is(err, errHangs) || took != defaultPatience {
				t.Errorf("%v after %v", err, took)
			}
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if took, err := put(ended); !errors.Is(err, context.Canceled) || took != 0 {
			t.Errorf("one that waits ends with its context with %v after %v", err, took)
		}
		if n := commits.Load(); n != 1 {
			t.Errorf("%d commits hang", n)
		}
		close(answers)
		synctest.Wait()
		if took, err := put(t.Context()); err != nil || took != 0 {
			t.Errorf("%v after %v", err, took)
		}
	})
}

// TestPutThatIsCutOff: one that is being committed when its context ends returns soon, whatever the disk does.
func TestPutThatIsCutOff(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, err := newStore(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		answers := make(chan struct{})
		s.commit = func(context.Context, []*call) error {
			<-answers
			return nil
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		err = s.Put(ctx, []record.Letter{{Origin: "a/1"}})
		if took := time.Since(began); !errors.Is(err, errHangs) || !errors.Is(err, context.DeadlineExceeded) || took != time.Second+cutOffPatience {
			t.Errorf("%v after %v", err, took)
		}
		close(answers)
	})
}

// TestCloseOnADiskThatHangs: the end is not held up.
func TestCloseOnADiskThatHangs(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, err := newStore(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		<-s.access // As one that opens the file.
		if err := s.Close(); !errors.Is(err, errHangs) {
			t.Errorf("it closes with %v", err)
		}
		s.release()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}
