package diskbuffer

import (
	"errors"
	"fmt"
	"io/fs"
	"sync"
)

// cursor is the file that says what is settled and what was offered. Two slots
// hold its state. Writing goes to the same slot until that is synced, and then
// to the other one: a write that the power cuts off leaves the durable slot as
// it is.
type cursor struct {
	mu    sync.Mutex
	file  File
	state slot
	next  int  // the slot to write
	dirty bool // the state is not written
	// durable is the generation that was synced last.
	durable uint64
	buf     [slotSize]byte
	piece   [][]byte
}

// createCursor makes the file with both slots.
func createCursor(dir FS, state slot) (*cursor, error) {
	if err := dir.Remove(cursorName); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	f, err := dir.Create(cursorName)
	if err != nil {
		return nil, err
	}
	c := &cursor{file: f, state: state}
	if err := c.both(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return c, nil
}

// openCursor opens the file and reads both slots. It makes durable what it
// found, so that either slot may be written next. ok says how many were good;
// without any the state is zero.
func openCursor(dir FS) (c *cursor, ok int, err error) {
	f, err := dir.Open(cursorName, true)
	if err != nil {
		return nil, 0, err
	}
	c = &cursor{file: f}
	c.state, c.next, ok, err = readSlots(f)
	if err == nil {
		err = f.Sync()
	}
	c.durable = c.state.Generation
	if err != nil {
		return nil, 0, errors.Join(fmt.Errorf("read the cursor: %w", err), f.Close())
	}
	return c, ok, nil
}

// readSlots returns the newer good slot, the index of the other one, and how
// many were good.
func readSlots(f File) (state slot, next, ok int, err error) {
	for i := range 2 {
		var buf [slotSize]byte // Zero where the file is too short.
		if _, err := readFull(f, buf[:], int64(i)*slotStride); err != nil {
			return slot{}, 0, 0, err
		}
		var s slot
		if !s.parse(buf[:]) {
			continue
		}
		if ok == 0 || s.Generation > state.Generation {
			state, next = s, 1-i
		}
		ok++
	}
	return state, next, ok, nil
}

// write puts the state into the next slot; the lock is held.
func (c *cursor) write() error {
	c.state.Generation++
	c.state.put(c.buf[:])
	c.piece = append(c.piece[:0], c.buf[:])
	if err := c.file.WriteAt(int64(c.next)*slotStride, c.piece...); err != nil {
		c.dirty = true
		return fmt.Errorf("write the cursor: %w", err)
	}
	c.dirty = false
	return nil
}

// settle moves the settled prefix on.
func (c *cursor) settle(p Position) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.Events <= c.state.Settled.Events && !c.dirty {
		return nil
	}
	if p.Events > c.state.Settled.Events {
		c.state.Settled = p
	}
	c.state.Clean = false
	return c.write()
}

// offer moves up to where events may have been delivered.
func (c *cursor) offer(events uint64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if events <= c.state.Offered && !c.dirty {
		return nil
	}
	c.state.Offered = max(c.state.Offered, events)
	c.state.Clean = false
	return c.write()
}

// withdraw takes back what was offered beyond the given events.
func (c *cursor) withdraw(events uint64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if events >= c.state.Offered && !c.dirty {
		return nil
	}
	c.state.Offered = min(c.state.Offered, events)
	c.state.Clean = false
	return c.write()
}

func (c *cursor) settled() Position {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state.Settled
}

// sync makes the state durable and returns what is settled by it. What is
// written during the sync goes to the other slot.
func (c *cursor) sync() (Position, error) {
	c.mu.Lock()
	settled := c.state.Settled
	err := c.write()
	generation := c.state.Generation
	if err == nil {
		c.next = 1 - c.next
	}
	c.mu.Unlock()
	if err != nil {
		return Position{}, err
	}
	if err := c.file.Sync(); err != nil {
		return Position{}, fmt.Errorf("sync the cursor: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.durable = generation
	return settled, nil
}

// flush makes the state durable where it is not.
func (c *cursor) flush() (Position, error) {
	c.mu.Lock()
	settled, clean := c.state.Settled, c.durable == c.state.Generation && !c.dirty
	c.mu.Unlock()
	if clean {
		return settled, nil
	}
	return c.sync()
}

// written makes sure that the kernel has the state, and returns what is settled by it.
func (c *cursor) written() (Position, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.dirty {
		return c.state.Settled, nil
	}
	return c.state.Settled, c.write()
}

// both makes both slots durable with the present state.
func (c *cursor) both() error {
	for range 2 {
		if _, err := c.sync(); err != nil {
			return err
		}
	}
	return nil
}

// finish is the end of a clean close: both slots say where the buffer ends.
func (c *cursor) finish(end Position) error {
	c.mu.Lock()
	c.state.Clean, c.state.End = true, end
	c.mu.Unlock()
	return c.both()
}
