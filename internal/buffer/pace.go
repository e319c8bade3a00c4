package buffer

import (
	"time"

	"github.com/spillway/spillway/internal/record"
)

// A source is held back where the destination turns memory over within turnover, and
// no longer than holdBack for one chunk.
const (
	turnover = 500 * time.Millisecond
	holdBack = 20 * time.Millisecond
)

// pace is how fast the destination takes what the buffer holds.
type pace struct {
	since  time.Time // when bytes were none
	bytes  int64     // settled since
	all    int64     // settled ever, in requests
	turned time.Time // when as much as memory holds was last settled within turnover
}

// settled counts a request; memory is how much the arena holds.
func (p *pace) settled(r *Request, memory int64) {
	now := time.Now()
	if now.Sub(p.since) > turnover {
		p.since, p.bytes = now, 0
	}
	for i := range r.runs {
		p.bytes += int64(r.runs[i].to - r.runs[i].from)
	}
	p.all++
	if p.bytes >= memory {
		p.since, p.bytes, p.turned = now, 0, now
	}
}

// fast reports whether the destination takes what memory holds within turnover.
func (p *pace) fast() bool { return !p.turned.IsZero() && time.Since(p.turned) <= turnover }

// keepPace holds back a chunk that finds no room in memory, or would stand behind a
// short backlog, while the destination is fast: what is written and read back then
// costs more time than the destination takes to make room, and who waits to be told
// waits for no longer. What comes from who waits for nothing is never held back. It
// reports whether it has waited.
func (b *Buffer) keepPace(a *arrival, need int) bool {
	d := b.disk
	if d == nil || a.held || a.Done == nil || a.Level == record.LevelMemory {
		return false
	}
	if b.roomBefore(need) || d.unread > b.sizes.data || !d.pace.fast() {
		return false
	}
	a.held = true
	over, before := false, d.pace.all
	timer := time.AfterFunc(holdBack, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		over = true
		b.changed.Broadcast()
	})
	defer timer.Stop()
	for !over && !b.abandoned && !d.handedOver && d.trouble == nil && !b.roomBefore(need) {
		b.await()
	}
	if over && d.pace.all == before {
		d.pace.turned = time.Time{} // It has stopped.
	}
	return true
}

// roomBefore reports whether memory has room, and nothing that only the disk has is
// before it.
func (b *Buffer) roomBefore(need int) bool { return !b.disk.backlog && b.grow(need) }
