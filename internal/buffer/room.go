package buffer

import (
	"context"
	"errors"
	"time"

	"github.com/spillway/spillway/internal/diskbuffer"
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
)

// makeRoom gives the tail room for need bytes of st, or says for which reason
// they must go instead.
func (b *Buffer) makeRoom(st *stream, need int) (ledger.Reason, bool) {
	return b.makeRoomUntil(context.Background(), st, need)
}

// makeRoomUntil is makeRoom for what is wanted back once ctx ends.
func (b *Buffer) makeRoomUntil(ctx context.Context, st *stream, need int) (ledger.Reason, bool) {
	if st.lost.Lost > 0 {
		need += record.LossSize
	}
	patience := patience{buffer: b, until: ctx}
	defer patience.end()
	if b.disk != nil {
		return b.makeRoomOnDisk(need, &patience)
	}
	for evicted := false; ; evicted = true {
		for !b.abandoned && !b.grow(need) {
			if b.cfg.Mode == Blocking && !b.gaveUp {
				if !patience.wait() {
					return elsewhere, false
				}
			} else if b.cfg.Mode == Blocking || !b.pack() {
				break
			}
		}
		newest, oldest := ledger.OverflowNewest, ledger.OverflowOldest
		if b.cfg.Mode == Blocking {
			newest, oldest = ledger.MaxBlock, ledger.MaxBlock
		}
		switch {
		case b.abandoned:
			return ledger.Shutdown, false
		case b.grow(need):
			// Room that was made at the cost of others does not end the giving up.
			b.gaveUp = b.gaveUp && evicted
			return "", true
		case !b.cfg.DropOldest || !b.evict(oldest):
			return newest, false
		}
	}
}

// makeRoomOnDisk is makeRoom where there is a disk: memory comes from what the
// disk has, and only a disk that takes nothing more is a full buffer. An abandoned
// buffer still takes what the disk does.
func (b *Buffer) makeRoomOnDisk(need int, patience *patience) (ledger.Reason, bool) {
	d := b.disk
	// Where the tail has the room, it was the disk that refused. What it refused
	// some time ago says nothing: it is asked again.
	for refused := d.trouble != nil && b.tailHas(need); ; {
		switch {
		case refused && b.reclaim():
			refused = false
		case refused && d.WhenFull == DropOldestFull && b.evictFromDisk():
			refused = false
		case refused && b.abandoned:
			return ledger.Shutdown, false
		case refused && d.WhenFull == Block && !b.gaveUp:
			if !patience.wait() {
				return elsewhere, false
			}
			refused = false
		case refused && d.WhenFull == Block:
			return ledger.MaxBlock, false
		case refused:
			return d.refused(), false
		case b.grow(need):
			return "", true
		case !d.writing:
			refused = !b.writeAll()
		case b.unload():
		case b.abandoned:
			return ledger.Shutdown, false
		default:
			if !patience.wait() {
				return elsewhere, false
			}
		}
	}
}

// evictFromDisk drops the oldest that waits, in memory or else on the disk, and
// reports whether there was any. For a disk that fails nothing goes: room is not
// what it wants.
func (b *Buffer) evictFromDisk() bool {
	d := b.disk
	if !errors.Is(d.trouble, diskbuffer.ErrFull) {
		return false
	}
	for d.loading {
		b.changed.Wait()
	}
	// A stretch that is read may hold nothing but what was moved.
	for more := true; more && len(b.waiting) == 0 && d.backlog; {
		blk := b.slot(true)
		if blk == nil {
			break
		}
		chunk, err := d.Store.Read(blk.mem)
		more = b.loaded(blk, chunk, err)
	}
	// Where what is in requests cannot be moved, no room comes free behind it, and
	// what waits there would go for nothing.
	if err := b.unpin(); err != nil {
		b.fault = err
		return false
	}
	if !b.evict(ledger.OverflowOldest) {
		return false
	}
	b.remember()
	b.reclaim()
	return true
}

// reclaim gives room on the disk back at once that the keeper would give back
// soon, and reports whether there was any. It comes in whole segments.
func (b *Buffer) reclaim() bool {
	if !b.disk.Store.Reclaimable() {
		return false
	}
	give := b.disk.Store.Reclaim
	if b.disk.syncs() {
		give = b.disk.Store.Tidy
	}
	if err := give(); err != nil {
		b.doubtSync(err)
		b.fault = err
		return false
	}
	return true
}

// patience is how long one call waits for room.
type patience struct {
	buffer *Buffer
	timer  *time.Timer
	over   bool
	until  context.Context // nil is for ever
	stop   func() bool     // has it wake nobody any more
}

// wait waits for a change of the buffer, and reports false where nobody is to wait here
// any more, see Leave, or not for this. After max-block it makes the buffer give up: from then on records
// that find no room are dropped, until there is room again.
func (p *patience) wait() bool {
	b := p.buffer
	if b.leaving || p.until != nil && p.until.Err() != nil {
		return false
	}
	if p.stop == nil && p.until != nil && p.until.Done() != nil {
		p.stop = context.AfterFunc(p.until, func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.changed.Broadcast()
		})
	}
	if p.timer == nil && b.cfg.MaxBlock > 0 {
		p.timer = time.AfterFunc(b.cfg.MaxBlock, func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			p.over = true
			b.changed.Broadcast()
		})
	}
	b.await()
	b.gaveUp = b.gaveUp || p.over
	return true
}

// await waits for a change of the buffer.
func (b *Buffer) await() {
	b.poke()
	if len(b.answers) > 0 {
		// Those who are told may be what others wait for.
		b.unlock()
		b.mu.Lock()
		return
	}
	b.changed.Wait()
}

func (p *patience) end() {
	if p.timer != nil {
		p.timer.Stop()
	}
	if p.stop != nil {
		p.stop()
	}
}

// grow gives the tail room for need bytes without taking from anyone.
func (b *Buffer) grow(need int) bool {
	if b.tail != nil && b.tail.items == 0 {
		if need <= len(b.tail.mem) {
			return true
		}
		b.releaseTail()
	}
	if b.tailHas(need) {
		return true
	}
	mem, ok, err := b.arena.Get(max(need, b.arena.BlockSize()))
	if err != nil {
		b.fault = err
	}
	if ok {
		b.tail, b.openAt = &block{mem: mem}, -1
	}
	return ok
}

// tailHas reports whether need more bytes fit into the tail.
func (b *Buffer) tailHas(need int) bool {
	return b.tail != nil && b.tail.used+need <= len(b.tail.mem)
}
