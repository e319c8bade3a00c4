package run

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

// settled finds out when a chunk is settled in every leg of its route, and tells
// the sources, which remember it from then on. Legs tell under the locks of their
// buffers, so nothing here goes back to one.
type settled struct {
	sources atomic.Pointer[[]*source]

	mu sync.Mutex
	// parts says in which legs chunks are settled that are not in all.
	parts map[[16]byte]uint64
}

// place is where in its route a leg stands, and how many there are.
type place struct{ index, of int }

// maxParts bounds the chunks that are settled in some legs. Beyond it they are
// forgotten, and may be delivered again if they are sent again after a restart.
const maxParts = 64 << 10

// told takes keys of chunks that are settled in one leg.
func (s *settled) told(at place, keys [][16]byte) {
	if at.of > 1 {
		keys = s.whole(at, keys)
	}
	sources := s.sources.Load()
	if len(keys) == 0 || sources == nil {
		return
	}
	for _, to := range *sources {
		to.Settled(keys)
	}
}

// whole returns those that are settled in all legs now.
func (s *settled) whole(at place, keys [][16]byte) (whole [][16]byte) {
	if at.of > 64 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range keys {
		in := s.parts[k] | 1<<at.index
		if bits.OnesCount64(in) == at.of {
			delete(s.parts, k)
			whole = append(whole, k)
			continue
		}
		if s.parts == nil || len(s.parts) >= maxParts {
			s.parts = make(map[[16]byte]uint64)
		}
		s.parts[k] = in
	}
	return whole
}
