package run

import (
	"context"
	"crypto/sha256"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spillway/spillway/forward"
	"github.com/spillway/spillway/internal/deliver"
	"github.com/spillway/spillway/internal/record"
)

// failedCopies hands a copy of each dead letter that was a message of Kafka to the
// routes, under a tag of its own: what kafka-fluentd-consumer did with values that it
// could not read. The letter is what counts, and is durable before; the copy is for
// whoever watches the tag. So it holds up what makes letters while the copies before them
// are taken, but for a moment at most in which none is, since what makes letters may be
// what the copies wait for: what then does not fit into the queue is not copied, which is
// counted. What is copied is a record like any other, received by its
// route and accounted for, and the same for good whenever its letter is made again.
type failedCopies struct {
	deliver.DeadLetters
	log *slog.Logger
	tag atomic.Pointer[string] // "" copies nothing

	queue chan *record.Chunk

	mu    sync.Mutex
	held  int           // bytes in the queue
	lost  int64         // letters that were not copied
	room  chan struct{} // closed and replaced where a copy has left the queue
	stuck bool          // none has since somebody waited in vain
	over  bool
}

// The bounds of copies that wait: how many, and the bytes of all; how long letters wait for
// one to leave, and how long those of one Put wait in all.
const (
	mostCopies       = 256
	mostCopyBytes    = 1 << 20
	copyPatience     = 250 * time.Millisecond
	mostCopyPatience = 10 * time.Second
)

func newFailedCopies(kept deliver.DeadLetters, log *slog.Logger) *failedCopies {
	return &failedCopies{DeadLetters: kept, log: log, queue: make(chan *record.Chunk, mostCopies), room: make(chan struct{})}
}

// Put implements deliver.DeadLetters.
func (c *failedCopies) Put(ctx context.Context, letters []record.Letter) error {
	if err := c.DeadLetters.Put(ctx, letters); err != nil {
		return err
	}
	tag := c.tag.Load()
	if tag == nil || *tag == "" {
		return nil
	}
	wait, cancel := context.WithTimeout(ctx, mostCopyPatience)
	defer cancel()
	for i := range letters {
		if l := &letters[i]; l.Tag != *tag { // Else a copy of a copy.
			c.offer(wait, *tag, l)
		}
	}
	return nil
}

// offer puts a copy of a letter into the queue, if it was a message and there is room
// before ctx ends, or none is taken for a moment.
func (c *failedCopies) offer(ctx context.Context, tag string, l *record.Letter) {
	from, offset, ok := record.ParseCoordinates(l.Origin)
	if !ok {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var chunk *record.Chunk
	for {
		if chunk == nil && c.held+len(l.Body) <= mostCopyBytes { // Else it is not even made.
			if chunk = failedRecord(tag, l, &from, offset); chunk == nil {
				break
			}
		}
		if chunk != nil && c.held+len(chunk.Bodies) <= mostCopyBytes {
			select {
			case c.queue <- chunk:
				c.held += len(chunk.Bodies)
				return
			default:
			}
		}
		if c.held == 0 || !c.wait(ctx) {
			break
		}
	}
	if c.lost++; c.lost&(c.lost-1) == 0 {
		c.log.Warn("dead letters were not copied to the tag for failed records, because its route does not take as many", "tag", tag, "not_copied", c.lost)
	}
}

// wait returns when a copy has left the queue, and whether one has; the lock is held, but
// not meanwhile. Nobody waits twice while none leaves.
func (c *failedCopies) wait(ctx context.Context) bool {
	if c.stuck || c.over {
		return false
	}
	room := c.room
	c.mu.Unlock()
	patience := time.NewTimer(copyPatience)
	defer patience.Stop()
	ok := false
	select {
	case <-room:
		ok = true
	case <-patience.C:
	case <-ctx.Done():
	}
	c.mu.Lock()
	c.stuck = c.stuck || !ok && room == c.room
	return ok
}

// left notes that a copy of that size has left the queue; the lock is held.
func (c *failedCopies) left(size int) {
	c.held -= size
	c.stuck = false
	close(c.room)
	c.room = make(chan struct{})
}

// run hands copies over until ctx ends. What then waits is not copied, nor what still
// becomes a letter.
func (c *failedCopies) run(ctx context.Context, give func(sink string, chunk *record.Chunk) bool) {
	for {
		select {
		case <-ctx.Done():
			c.end()
			return
		case chunk := <-c.queue:
			give("", chunk)
			c.mu.Lock()
			c.left(len(chunk.Bodies))
			c.mu.Unlock()
		}
	}
}

func (c *failedCopies) end() {
	c.tag.Store(nil)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	c.left(0)
	if waiting := int64(len(c.queue)); waiting > 0 {
		c.lost += waiting
		c.log.Warn("dead letters were not copied to the tag for failed records, because the run ends", "not_copied", waiting)
	}
}

// notCopied is how many dead letters were not copied for want of room.
func (c *failedCopies) notCopied() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lost
}

// failedRecord is a letter as such a record: message is the value as text, as it was
// before; the other keys are new. It is nil for one that cannot be made.
func failedRecord(tag string, l *record.Letter, from *record.Partition, offset int64) *record.Chunk {
	out := map[string]any{
		"error": l.Detail, "reason": l.Reason, "destination": l.Destination, "tag": l.Tag,
		"topic": from.Topic, "partition": int64(from.Number), "offset": offset,
	}
	at, value := l.Time, l.Body
	var m record.Message
	if l.Encoding == record.EncodingMessage && record.ReadMessage(l.Body, &m) {
		at, value = m.Time, m.Value
		if m.Key != nil {
			out["key"] = text(m.Key)
		}
	}
	out["message"] = text(value)
	body, err := forward.AppendRecord(forward.AppendEntry(nil, at), out)
	if err != nil {
		return nil
	}
	key := sha256.Sum256([]byte("spillway failed 1\x00" + l.Destination + "\x00" + l.Origin))
	return &record.Chunk{
		Tag: tag, Time: l.Time, Encoding: record.EncodingEntry, Bodies: body, Count: 1, Identity: record.Identity{Key: [16]byte(key[:16])},
		Done: func(bool) {},
	}
}

func text(b []byte) string { return strings.ToValidUTF8(string(b), "\uFFFD") }
