package forward

import (
	"sync"

	"github.com/spillway/spillway/forward"
)

// lateChunks are messages whose attempt ended before their acks came. The next
// attempt at the same records looks here first: it waits on, instead of sending
// what is on its way already.
type lateChunks struct {
	mu   sync.Mutex
	byID map[string]lateChunk
}

type lateChunk struct {
	pending *forward.Pending
	conn    *conn
}

// maxLate bounds how many are kept. What is forgotten is sent again.
const maxLate = 4096

// keep remembers a message that waits for its ack.
func (l *lateChunks) keep(p *forward.Pending, c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byID == nil {
		l.byID = make(map[string]lateChunk)
	}
	if len(l.byID) >= maxLate {
		for id := range l.byID {
			delete(l.byID, id)
			break
		}
	}
	l.byID[p.ID()] = lateChunk{p, c}
}

// take finds a message by its id, if it has its ack or may still get it, and
// forgets it.
func (l *lateChunks) take(id string, c *chunk) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.byID) == 0 {
		return false
	}
	known, ok := l.byID[id]
	delete(l.byID, id)
	if !ok {
		return false
	}
	select {
	case <-known.pending.Done():
		if known.pending.Err() != nil {
			return false
		}
	default:
	}
	c.pending, c.conn, c.written = known.pending, known.conn, true
	return true
}
