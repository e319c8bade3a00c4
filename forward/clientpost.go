package forward

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/tinylib/msgp/msgp"
)

// scratchMost is the largest scratch that is kept for the next record.
const scratchMost = 64 << 10

// Post puts one record into the buffer. record is what AppendRecord takes; it is
// encoded before Post returns, and may be changed afterwards. A zero time means
// now; times keep their nanoseconds.
//
// Nil means that the client has the record, and will deliver it, drop it under
// DropOldest, or hand it back in Close. Any error means that it has not: in mode
// Block the end of ctx while there was no room, else ErrBufferFull; ErrClosed;
// a *LimitError for a record or a tag that is too large; ErrRecord; or that the tag
// is empty. A ctx that has ended already keeps no record out for which there is room.
func (c *Client) Post(ctx context.Context, tag string, t time.Time, record any) error {
	scratch := c.scratch.Get().(*[]byte)
	b, err := AppendRecord(c.begin((*scratch)[:0], t), record)
	if err == nil {
		err = c.admit(ctx, tag, b, 1)
	} else {
		c.refuse(&c.stats.RefusedInvalid, 1, 0)
	}
	c.giveBack(scratch, b)
	return err
}

// PostFunc is Post for a record that a function appends to what it is given: one
// msgpack map, which is checked.
func (c *Client) PostFunc(ctx context.Context, tag string, t time.Time, appendRecord func(dst []byte) ([]byte, error)) error {
	scratch := c.scratch.Get().(*[]byte)
	head := c.begin((*scratch)[:0], t)
	n := len(head)
	b, err := appendRecord(head)
	if err == nil {
		err = checkAppended(b, n)
	}
	if err == nil {
		err = c.admit(ctx, tag, b, 1)
	} else {
		c.refuse(&c.stats.RefusedInvalid, 1, 0)
	}
	c.giveBack(scratch, b)
	return err
}

func checkAppended(b []byte, n int) error {
	if len(b) < n {
		return fmt.Errorf("%w: the function did not append to what it was given", ErrRecord)
	}
	if err := checkRecord(b[n:]); err != nil {
		return fmt.Errorf("%w: %w", ErrRecord, err)
	}
	return nil
}

// PostEntries is Post for entries of the protocol, one behind the other, as
// CheckEntries finds them valid. They are copied, and stay together in a chunk:
// all are taken, or none.
func (c *Client) PostEntries(ctx context.Context, tag string, entries []byte) error {
	records := 0
	for rest := entries; len(rest) > 0; records++ { // not CheckEntries, which may rearrange them
		var err error
		if _, rest, err = NextEntry(rest); err != nil {
			c.refuse(&c.stats.RefusedInvalid, 1, int64(len(entries)))
			return fmt.Errorf("%w: %w", ErrRecord, err)
		}
	}
	if records == 0 {
		return nil
	}
	return c.admit(ctx, tag, entries, records)
}

// Resend puts a chunk that another client handed back into the buffer, whole and
// with its id. Its entries must not be changed any more. A chunk that takes more
// than half of the buffer is refused with a *LimitError.
func (c *Client) Resend(ctx context.Context, chunk *Returned) error {
	if err := chunk.check(); err != nil {
		c.refuse(&c.stats.RefusedInvalid, chunk.Records, int64(chunk.size()))
		return err
	}
	ch := &bufferedChunk{
		tag: chunk.Tag, id: chunk.ID, records: chunk.Records, size: int64(chunk.size()), method: chunk.Compression,
		tried: chunk.Unsure, foreign: true, opened: time.Now(),
	}
	ch.held = ch.size + chunkOverhead + int64(len(ch.tag))
	for _, piece := range chunk.Entries {
		ch.blocks = append(ch.blocks, block{b: piece})
		ch.held += blockOverhead
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if most := c.limit / 2; ch.held > most {
		c.stats.RefusedInvalid.add(ch.records, ch.size)
		return &LimitError{What: "chunk", Bytes: ch.held, Limit: most}
	}
	if err := c.makeRoom(ctx, func() int64 { return ch.held }, ch.records, ch.size); err != nil {
		return err
	}
	c.seq++
	ch.seq = c.seq
	c.held += ch.held
	c.stats.Accepted.add(ch.records, ch.size)
	c.stats.Pending.add(ch.records, ch.size)
	if ch.id == "" && !c.o.NoAcks {
		ch.id = newID()
	}
	c.waiting.push(ch)
	c.dispatch()
	return nil
}

// entryHead begins an entry: an array of two.
const entryHead = 0x92

// begin appends what stands before a record.
func (c *Client) begin(dst []byte, t time.Time) []byte {
	if t.IsZero() {
		t = time.Now()
	}
	dst = append(dst, entryHead)
	if c.o.WholeSeconds {
		return msgp.AppendInt64(dst, t.Unix())
	}
	return AppendTime(dst, t)
}

func (c *Client) giveBack(scratch *[]byte, b []byte) {
	if cap(b) <= scratchMost && cap(b) > 0 {
		*scratch = b[:0]
	}
	c.scratch.Put(scratch)
}

func (c *Client) refuse(reason *Count, records int, bytes int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	reason.add(records, bytes)
}

// admit is the only place where records enter the buffer, or are refused.
func (c *Client) admit(ctx context.Context, tag string, entries []byte, records int) error {
	size := int64(len(entries))
	err := (&OutChunk{Tag: tag}).check()
	if most := int64(c.o.RecordBytes); err == nil && size > most {
		err = &LimitError{What: "record", Bytes: size, Limit: most}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.stats.RefusedInvalid.add(records, size)
		return err
	}
	ch, full := c.fit(tag, len(entries), records)
	if full != nil || ch == nil || c.closed || !ch.room(len(entries)) {
		need := func() int64 {
			if ch, full = c.fit(tag, len(entries), records); ch == nil {
				return c.memoryFor(nil, tag, len(entries))
			}
			return c.memoryFor(ch, tag, len(entries))
		}
		if err := c.makeRoom(ctx, need, records, size); err != nil {
			return err
		}
		ch = c.place(ch, full, tag, entries, records)
	} else {
		ch.add(entries, records, nil)
	}
	c.stats.Accepted.add(records, size)
	c.stats.Pending.add(records, size)
	if ch.size >= int64(c.o.ChunkBytes) || ch.records >= c.o.ChunkRecords {
		c.complete(ch)
		c.dispatch()
	}
	return nil
}

// fit finds the open chunk of a tag. If that cannot take the entries it comes as
// full. The lock is held.
func (c *Client) fit(tag string, size, records int) (ch, full *bufferedChunk) {
	ch = c.open[tag]
	if ch != nil && ch.size > 0 && (ch.size+int64(size) > int64(c.o.ChunkBytes) || ch.records+records > c.o.ChunkRecords) {
		return nil, ch
	}
	return ch, nil
}

// memoryFor is what the limit will count more with these entries.
func (c *Client) memoryFor(ch *bufferedChunk, tag string, size int) int64 {
	switch {
	case ch == nil:
		return int64(new(bufferedChunk).blockSize(size, c.o.ChunkBytes)) + blockOverhead + chunkOverhead + int64(len(tag))
	case ch.room(size):
		return 0
	}
	return int64(ch.blockSize(size, c.o.ChunkBytes)) + blockOverhead
}

// place puts entries for which there is room where they belong. The lock is
// held.
func (c *Client) place(ch, full *bufferedChunk, tag string, entries []byte, records int) *bufferedChunk {
	if full != nil {
		c.complete(full)
		c.dispatch()
	}
	if ch == nil {
		c.seq++
		ch = &bufferedChunk{seq: c.seq, tag: strings.Clone(tag), opened: time.Now(), held: chunkOverhead + int64(len(tag))}
		c.held += ch.held
		c.opening += ch.held
		c.open[ch.tag] = ch
		c.opens.push(ch)
		if c.opens.n == 1 {
			c.aging.Reset(c.o.ChunkAge)
		}
	}
	var grown []byte
	before := ch.held
	if !ch.room(len(entries)) {
		grown = c.idle.get(ch.blockSize(len(entries), c.o.ChunkBytes))
	}
	ch.add(entries, records, grown)
	c.held += ch.held - before
	c.opening += ch.held - before
	return ch
}
