package deadletter

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/spillway/spillway/internal/entry"
	"github.com/spillway/spillway/internal/record"
)

// A replay has two sides. A command asks for letters: Ask writes their ids into the
// store. The process that has the routes sees them there, hands the letters over
// once more, and removes what was delivered: Replay. So the routes, the limits and
// the destinations are those that work already, and what was asked for outlasts
// both processes.

// Replayed says what became of a replay so far.
type Replayed struct {
	// Given letters were handed over; Removed of them are delivered and gone from
	// the store, Returned were refused again and are in it as before, with what was
	// said last; Kept could not be handed over, and are asked for still.
	Given    int64 `json:"given"`
	Removed  int64 `json:"removed"`
	Returned int64 `json:"returned"`
	Kept     int64 `json:"kept"`
}

// mostGiven bounds the letters that are handed over and not answered. The bytes are
// bounded by who takes them.
const mostGiven = 1000

// Give takes a letter that is replayed, as the chunk that a source hands over. Both
// are valid during the call alone. It may wait, which is how a replay is slowed down.
// The chunk's Done is to be told once, then or later, from any goroutine: true where
// every destination has the letter, or has refused it once more, which puts it here
// again; false where it was not kept.
type Give func(e *Entry, c *record.Chunk)

// Replay hands the letters that were asked for to give, in their order, and removes
// those that are delivered. When ctx ends it hands over no more. It returns when all
// that was handed over is answered; what was not kept stays asked for.
//
// Of several processes that replay one store only one does; the others find nothing
// to do.
func (s *Store) Replay(ctx context.Context, give Give) (Replayed, error) {
	r := replay{store: s, give: give, slots: make(chan struct{}, mostGiven)}
	// Where nobody has asked, nothing is opened, locked or made.
	if _, err := os.Lstat(filepath.Join(s.dir, askedName)); errors.Is(err, fs.ErrNotExist) {
		return r.sum, nil
	}
	lock, err := s.tryReplay()
	if err != nil || lock == nil {
		return r.sum, err
	}
	err = r.run(ctx)
	return r.sum, errors.Join(err, s.unmarkAsked(context.WithoutCancel(ctx)), lock.Close())
}

// tryReplay takes the lock of the one process that replays; nil is that another one
// has it.
func (s *Store) tryReplay() (*os.File, error) {
	lock, err := os.OpenFile(filepath.Join(s.dir, replayName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("replay dead letters: %w", err)
	}
	err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return lock, nil
	}
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, lock.Close()
	}
	return nil, errors.Join(fmt.Errorf("replay dead letters: lock %s: %w", replayName, err), lock.Close())
}

// replay is one call of Replay.
type replay struct {
	store *Store
	give  Give
	slots chan struct{} // one for each letter that is handed over

	mu      sync.Mutex
	settled []Ref // delivered, or refused once more
	failed  int64

	sum Replayed
}

func (r *replay) run(ctx context.Context) error {
	err := r.handOver(ctx)
	for range cap(r.slots) {
		r.slots <- struct{}{} // All are answered when all slots can be had.
	}
	return errors.Join(err, r.settle(context.WithoutCancel(ctx)))
}

func (r *replay) handOver(ctx context.Context) error {
	for next := int64(1); ; {
		ids, err := r.store.asked(ctx, next)
		if err != nil || len(ids) == 0 {
			return err
		}
		for _, id := range ids {
			if err := r.one(ctx, id); err != nil {
				return err
			}
		}
		next = ids[len(ids)-1] + 1
		if err := r.settle(ctx); err != nil {
			return err
		}
	}
}

// one hands a letter over.
func (r *replay) one(ctx context.Context, id int64) error {
	e, err := r.store.Get(ctx, id)
	var c *record.Chunk
	ok := false
	switch {
	case err == nil:
		c, ok = e.Chunk()
	case !errors.Is(err, fs.ErrNotExist) && !isRow(err):
		return err
	}
	if !ok {
		// It is gone, or damaged, or no route could take it: nothing is to be waited for.
		if err == nil {
			r.sum.Returned++
		}
		return r.store.eachFile(ctx, []int64{id}, func(f *file, ids []int64) error { return f.answered(ctx, ids) })
	}
	select {
	case r.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	r.sum.Given++
	ref := e.Ref()
	c.Done = func(ok bool) { r.answer(ref, ok) }
	r.give(&e, c)
	return nil
}

// answer takes what became of a letter.
func (r *replay) answer(ref Ref, ok bool) {
	r.mu.Lock()
	if ok {
		r.settled = append(r.settled, ref)
	} else {
		r.failed++
	}
	r.mu.Unlock()
	<-r.slots
}

// isRow reports whether err is that of one letter that is damaged.
func isRow(err error) bool {
	var row *rowError
	return errors.As(err, &row) || damaged(err)
}

// settle removes what is delivered, and takes it off what is asked for. A letter
// that was refused once more has a newer revision, and stays.
func (r *replay) settle(ctx context.Context) error {
	r.mu.Lock()
	refs, failed := r.settled, r.failed
	r.settled, r.failed = nil, 0
	r.mu.Unlock()
	r.sum.Kept += failed
	for len(refs) > 0 {
		some := refs[:min(len(refs), pageLetters)]
		refs = refs[len(some):]
		removed, err := r.store.Remove(ctx, some)
		r.sum.Removed += removed
		r.sum.Returned += int64(len(some)) - removed
		if err != nil {
			return err
		}
		ids := make([]int64, len(some))
		for i := range some {
			ids[i] = some[i].ID
		}
		if err := r.store.eachFile(ctx, ids, func(f *file, ids []int64) error { return f.answered(ctx, ids) }); err != nil {
			return err
		}
	}
	return nil
}

// Chunk is the letter as what a source hands over; ok is false where the body is no
// entry or message, as it claims to be, so that no route can take it. It keeps what
// identifies the record, so that a destination which knows records by that sees the
// same one. The chunk's origin names the letter: if it is refused once more, Put knows
// it again; and if it waits in a disk buffer already, it is not taken twice.
func (e *Entry) Chunk() (c *record.Chunk, ok bool) {
	c = &record.Chunk{
		Tag: e.Tag, Time: e.Time, Encoding: e.Encoding, Bodies: e.Body, Count: 1,
		Origin: record.Origin{Key: [keySize]byte(keyOf(&e.Letter))}, Level: record.LevelDelivered, Source: record.SourceName(e.Source),
	}
	switch e.Encoding {
	case record.EncodingText:
		c.Bodies, _ = record.AppendBody(make([]byte, 0, len(e.Body)+record.FrameSize), e.Body)
	case record.EncodingEntry:
		if _, _, err := entry.Split(e.Body); err != nil {
			return nil, false
		}
		if rest, err := entry.Skip(e.Body); err != nil || len(rest) > 0 {
			return nil, false
		}
	case record.EncodingMessage:
		if !record.CheckMessage(e.Body) {
			return nil, false
		}
		var m record.Message
		record.ParseMessage(e.Body, &m)
		c.Bodies = record.AppendMessage(make([]byte, 0, m.Size()), &m)
		if p, offset, ok := record.ParseCoordinates(e.Origin); ok && offset == m.Offset {
			c.Partition = p
			return c, true
		}
	default:
		return nil, false
	}
	// Where it cannot be read, the letter's own key is what identifies the record.
	c.Identity, _ = record.ParseIdentity(e.Origin)
	return c, true
}
