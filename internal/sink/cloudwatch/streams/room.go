package streams

import (
	"context"
	"fmt"
	"sync"
)

// maxPlans bounds what all requests under way take as they are sent, in bytes: they
// are held a second time, outside the limit of the buffer. It is four of the largest,
// and any number of small ones.
const maxPlans = 4 << 20

// room is memory that the requests under way share. It is safe for concurrent use.
type room struct {
	size  int
	turn  chan struct{} // holds one: who waits for it
	freed chan struct{}

	mu   sync.Mutex
	used int
}

func newRoom(size int) *room {
	return &room{size: size, turn: make(chan struct{}, 1), freed: make(chan struct{}, 1)}
}

// take waits until there is room for n bytes, and returns how many of them it has
// taken: never more than there are.
func (r *room) take(ctx context.Context, n int) (int, error) {
	n = min(n, r.size)
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		return 0, fmt.Errorf("wait for the requests before: %w", context.Cause(ctx))
	}
	for !r.more(n) {
		select {
		case <-r.freed:
		case <-ctx.Done():
			return 0, fmt.Errorf("wait for %d bytes that requests without an answer hold: %w", n, context.Cause(ctx))
		}
	}
	return n, nil
}

// more takes n bytes if there is room for them now.
func (r *room) more(n int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.used+n > r.size {
		return false
	}
	r.used += n
	return true
}

// force takes n bytes in any case.
func (r *room) force(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.used += n
}

// give gives n bytes back.
func (r *room) give(n int) {
	r.force(-n)
	select {
	case r.freed <- struct{}{}:
	default: // Whoever waits has not looked yet.
	}
}
