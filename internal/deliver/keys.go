package deliver

import (
	"context"
	"slices"
	"sync"

	"github.com/spillway/spillway/internal/sink"
)

// keys keeps requests that share a key from being in flight together: the later one
// waits until the earlier is settled, with all its retries, and what shares none goes
// ahead. So records of one key arrive in the order in which they were taken. Nobody waits
// for a later request, so somebody can always go on.
//
// It holds eight bytes for each record in flight, and so for no more than the window has
// room for.
type keys struct {
	// last is closed when the request that was taken before is in its place; it belongs to
	// Run.
	last chan struct{}

	mu      sync.Mutex
	flights []*flight // in the order in which they were taken
	free    [][]uint64
}

// flight is a request that is taken and not settled.
type flight struct {
	keys    []uint64 // in order
	settled <-chan struct{}
	before  <-chan struct{}
	placed  chan struct{}
}

// next makes the flight of the request that is taken next.
func (k *keys) next(settled <-chan struct{}) *flight {
	f := &flight{settled: settled, before: k.last, placed: make(chan struct{})}
	k.last = f.placed
	return f
}

// wait puts a request into its place and waits until it shares no key with what was
// taken before it.
func (k *keys) wait(ctx context.Context, f *flight, s sink.Sink, req sink.Request) {
	keyed, known := s.(sink.Keyed)
	if known {
		f.keys = keyed.Keys(k.memory(), req)
		slices.Sort(f.keys)
	}
	if f.before != nil {
		<-f.before // Whoever was taken before comes to its place without waiting for others.
	}
	for _, settled := range k.place(f, !known) {
		select {
		case <-settled:
		case <-ctx.Done():
			return
		}
	}
}

// place returns what must be settled before the flight begins: all that shares a key, or
// all that is there.
func (k *keys) place(f *flight, all bool) (before []<-chan struct{}) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, other := range k.flights {
		if all || share(other.keys, f.keys) {
			before = append(before, other.settled)
		}
	}
	k.flights = append(k.flights, f)
	close(f.placed)
	return before
}

// done takes off a flight that is settled.
func (k *keys) done(f *flight) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.flights = slices.DeleteFunc(k.flights, func(other *flight) bool { return other == f })
	if len(k.flights) == 0 {
		k.free = nil
	}
	k.free = append(k.free, f.keys)
}

// memory is of a request that is settled, if there is any.
func (k *keys) memory() []uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	if last := len(k.free) - 1; last >= 0 {
		free := k.free[last]
		k.free = k.free[:last]
		return free[:0]
	}
	return nil
}

// share reports whether two sorted lists have anything in common.
func share(a, b []uint64) bool {
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0] == b[0]:
			return true
		case a[0] < b[0]:
			a = a[1:]
		default:
			b = b[1:]
		}
	}
	return false
}
