package forward

import (
	"context"
	"errors"
	"time"
)

// Spill takes chunks for which a client's buffer has no room, and gives them
// back when it has. What it keeps, and for how long, is its business: a Spill on
// a disk that still has its chunks after a crash makes them part of the next
// client. It is used by one client, and by one goroutine at a time.
type Spill interface {
	// Put keeps a chunk: it copies the entries. After an error it does not have it;
	// the client keeps it and tries again after a pause.
	Put(ctx context.Context, chunk *OutChunk) error
	// Next returns the oldest chunk that it has not returned yet since it was opened,
	// in the order of Put, and keeps it. It returns nil if there is none.
	Next(ctx context.Context) (*OutChunk, error)
	// Settled says that a chunk which Next has returned is delivered: it is to be
	// forgotten. After an error the client repeats it.
	Settled(ctx context.Context, id string) error
	// Held counts what it keeps when the client is made.
	Held() (chunks int, held Count)
}

// errSpillEmpty: a spill returns less than it was given.
var errSpillEmpty = errors.New("forward: the spill does not give back all that was put into it")

// spilling is a client's side of its spill. All fields below to are the client's
// lock's.
type spilling struct {
	c      *Client
	to     Spill
	signal chan struct{} // holds one: look again

	want   bool     // somebody waits for room
	unread []unread // the chunks that Next has yet to return
	out    int      // returned, and not delivered yet
	back   int64    // bytes of memory that those take
	tell   []string // delivered, and the spill does not know yet
	err    error
}

// unread is a chunk in the spill; its fields are 0 for one of an earlier client.
type unread struct {
	seq  uint64
	size int64 // of its entries before compression
}

func newSpilling(c *Client, to Spill) (*spilling, error) {
	chunks, held := to.Held()
	if chunks < 0 || chunks == 0 && held.Records != 0 {
		return nil, errors.New("forward: the spill holds records, but no chunks")
	}
	c.stats.Recovered, c.stats.InSpill = held, held
	return &spilling{c: c, to: to, signal: make(chan struct{}, 1), unread: make([]unread, chunks)}, nil
}

// wake makes the goroutine look what is to be done.
func (sp *spilling) wake() {
	select {
	case sp.signal <- struct{}{}:
	default: // it will look anyway
	}
}

// holds reports whether older chunks are in the spill than any that is complete
// now. The lock is held.
func (sp *spilling) holds() bool { return len(sp.unread) > 0 }

// busy reports whether anything is left to do for what was ever in the spill. The
// lock is held.
func (sp *spilling) busy() bool { return len(sp.unread)+sp.out+len(sp.tell) > 0 }

// settledUpTo reports whether no chunk up to this sequence number is in the
// spill alone. The lock is held.
func (sp *spilling) settledUpTo(last uint64) bool {
	return len(sp.unread) == 0 || sp.unread[0].seq > last
}

// wantRoom is called while somebody waits. The lock is held.
func (sp *spilling) wantRoom() {
	sp.want = true
	sp.wake()
}

// settled notes that a chunk of the spill is delivered. The lock is held.
func (sp *spilling) settled(ch *bufferedChunk) {
	sp.out--
	sp.back -= ch.held
	sp.tell = append(sp.tell, ch.id)
	sp.wake()
}

// run is the goroutine that alone uses the spill.
func (sp *spilling) run(ctx context.Context) {
	for ctx.Err() == nil {
		did, err := sp.step(ctx)
		sp.c.mu.Lock()
		if did || err != nil {
			sp.err = err
		}
		sp.c.mu.Unlock()
		switch {
		case err != nil:
			pause := time.NewTimer(sp.c.o.MinBackoff)
			select {
			case <-pause.C:
			case <-ctx.Done():
			}
			pause.Stop()
		case !did:
			select {
			case <-sp.signal:
			case <-ctx.Done():
			}
		}
	}
}

// step does the next thing, and reports whether there was one.
func (sp *spilling) step(ctx context.Context) (did bool, err error) {
	c := sp.c
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case len(sp.tell) > 0:
		return true, sp.forget(ctx)
	case len(sp.unread) > 0 && c.waiting.n == 0 && c.held <= c.room() && sp.back <= c.limit/4:
		return true, sp.fetch(ctx)
	case sp.want && c.held <= c.limit/2:
		sp.want = false
		return true, nil
	case sp.want && len(sp.unread) == 0 && c.behind.n == 0:
		return sp.divide(), nil
	case sp.want && c.behind.n > 0:
		return true, sp.put(ctx)
	case len(sp.unread) == 0 && c.behind.n > 0:
		for c.behind.first != nil {
			ch := c.behind.first
			c.behind.remove(ch)
			c.waiting.insert(ch)
		}
		c.dispatch()
		return true, nil
	}
	return false, nil
}

// unlocked calls the spill without the lock.
func (sp *spilling) unlocked(call func() error) error {
	sp.c.mu.Unlock()
	defer sp.c.mu.Lock()
	return call()
}

func (sp *spilling) forget(ctx context.Context) error {
	id := sp.tell[0]
	if err := sp.unlocked(func() error { return sp.to.Settled(ctx, id) }); err != nil {
		return err
	}
	sp.tell = sp.tell[1:]
	sp.c.progress()
	return nil
}

// divide lets what waits go into the spill, but for the oldest: what waits
// before the spill cannot go there any more, and must leave room. It returns
// false if nothing else waits: then room comes from what is under way.
func (sp *spilling) divide() bool {
	c := sp.c
	ch, kept := c.waiting.first, int64(0)
	for ch != nil && (ch.spilled || kept+ch.held <= c.limit/4) {
		kept += ch.held
		ch = ch.next
	}
	if ch == nil {
		return false
	}
	for last := c.waiting.last; ; last = c.waiting.last {
		c.waiting.remove(last)
		c.behind.insert(last)
		if last == ch {
			return true
		}
	}
}

// put moves the oldest chunk that stands behind the spill into it.
func (sp *spilling) put(ctx context.Context) error {
	c := sp.c
	ch := c.behind.first // only this goroutine takes chunks off behind
	out := ch.out()
	if err := sp.unlocked(func() error { return sp.to.Put(ctx, &out) }); err != nil {
		return err
	}
	c.behind.remove(ch)
	sp.taken(ch)
	return nil
}

// taken notes that the spill has a chunk.
func (sp *spilling) taken(ch *bufferedChunk) {
	sp.unread = append(sp.unread, unread{ch.seq, ch.size})
	sp.c.stats.Pending.take(ch.records, ch.size)
	sp.c.stats.InSpill.add(ch.records, ch.size)
	sp.c.release(ch, !ch.foreign)
}

// last tells the spill what it does not know yet, and gives it all that is left,
// until its first error. The client's goroutines have ended.
func (sp *spilling) last(ctx context.Context) {
	for len(sp.tell) > 0 {
		if sp.err = sp.forget(ctx); sp.err != nil {
			return
		}
	}
	for ch := sp.c.waiting.first; ch != nil; {
		next := ch.next
		if !ch.spilled {
			out := ch.out()
			if sp.err = sp.unlocked(func() error { return sp.to.Put(ctx, &out) }); sp.err != nil {
				return
			}
			sp.c.waiting.remove(ch)
			sp.taken(ch)
		}
		ch = next
	}
}

// fetch brings the oldest chunk of the spill back.
func (sp *spilling) fetch(ctx context.Context) error {
	c := sp.c
	var out *OutChunk
	err := sp.unlocked(func() (err error) {
		out, err = sp.to.Next(ctx)
		return err
	})
	if err == nil && out == nil {
		err = errSpillEmpty
	}
	if err != nil {
		return err
	}
	next := sp.unread[0]
	set(&next.size, int64(out.size()))
	ch := &bufferedChunk{
		seq: next.seq, tag: out.Tag, id: out.ID, opened: time.Now(), records: out.Records, size: next.size,
		method: out.Compression, foreign: true, spilled: true, held: chunkOverhead + int64(len(out.Tag)),
	}
	for _, piece := range out.Entries {
		ch.blocks = append(ch.blocks, block{b: piece})
		ch.held += int64(cap(piece)) + blockOverhead
	}
	sp.unread = sp.unread[1:]
	sp.out++
	sp.back += ch.held
	c.held += ch.held
	c.waiting.insert(ch)
	c.dispatch()
	return nil
}
