package sinktest

import (
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/spillway/spillway/internal/sink"
)

// Faults make chosen operations of a disk fail. They may be counted by several
// goroutines at once. The zero value lets none fail.
type Faults struct {
	// Err is what they fail with; nil is ENOSPC.
	Err error

	mu   sync.Mutex
	done int
	bad  map[int]bool
}

// Fail chooses from the operations to come, the next of which is number 1, and from
// none that were chosen before.
func (f *Faults) Fail(operations ...int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.bad = make(map[int]bool)
	for _, n := range operations {
		f.bad[f.done+n] = true
	}
}

// Count counts an operation, and fails it if it was chosen.
func (f *Faults) Count() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.done++; !f.bad[f.done] {
		return nil
	}
	if f.Err != nil {
		return f.Err
	}
	return syscall.ENOSPC
}

// Opened returns a sink that was just made, and is closed when the test ends.
func Opened[S sink.Sink](t testing.TB, s S, err error) S {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close the sink: %v", err)
		}
	})
	return s
}

// Deliver sends events in one request, all of which must be delivered.
func Deliver(t testing.TB, s sink.Sink, events ...Event) {
	t.Helper()
	out := s.Send(t.Context(), NewRequest(events...))
	if out.Verdict != sink.Delivered || len(out.Rejected)+len(out.Again) > 0 {
		t.Fatalf("send %d events: the outcome is %+v, want all delivered", len(events), out)
	}
}

// Lines makes events of lines, a nanosecond apart.
func Lines(first time.Time, bodies ...string) []Event {
	events := make([]Event, len(bodies))
	for i, b := range bodies {
		events[i] = Event{Time: first.Add(time.Duration(i)), Body: b}
	}
	return events
}

// Content reads a file.
func Content(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
