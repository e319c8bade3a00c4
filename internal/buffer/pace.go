package buffer

import (
	"time"

	"github.com/spillway/spillway/internal/record"
)

// A source is held back where the destination turns memory over within turnover. A
// chunk that would stand behind a backlog is held for holdBack, and no longer.
const (
	turnover = 500 * time.Millisecond
	holdBack = 20 * time.Millisecond
	// holdTicks is for how many times holdBack a chunk waits where memory is full and
	// nothing is behind it yet: half of memory would have to be read back.
	holdTicks = 5
	// longBacklog is how many times what memory holds only the disk may have. A fast
	// destination takes that in two seconds; a sender that does not slow down for as long
	// would have every byte read back until it stops.
	longBacklog = 4
)

// pace is how fast the destination takes what the buffer holds.
type pace struct {
	since  time.Time     // when bytes and count were none
	bytes  int64         // settled since
	count  int64         // in so many requests
	last   time.Time     // when the last one was
	usual  time.Duration // how far they were apart when the destination was last found fast
	turned time.Time     // when that was
}

// settled counts a request; memory is how much the arena holds. The destination is
// fast where it takes a quarter of that in a quarter of turnover, so that this is known
// before memory has overflowed.
func (p *pace) settled(r *Request, memory int64) {
	now := time.Now()
	p.last = now
	past := now.Sub(p.since)
	if past > turnover {
		p.since, p.bytes, p.count = now, 0, 0
		return
	}
	p.count++
	for i := range r.runs {
		p.bytes += int64(r.runs[i].to - r.runs[i].from)
	}
	if p.bytes >= memory/4 && float64(p.bytes)*float64(turnover) >= float64(memory)*float64(past) {
		p.usual = past / time.Duration(p.count)
		p.since, p.bytes, p.count, p.turned = now, 0, 0, now
	}
}

// stopped reports whether no request has been settled for much longer than usual,
// which for large requests is longer than holdBack.
func (p *pace) stopped() bool { return time.Since(p.last) > 3*p.usual }

// fast reports whether the destination takes what memory holds within turnover.
func (p *pace) fast() bool { return !p.turned.IsZero() && time.Since(p.turned) <= turnover }

// keepPace holds back a chunk that finds no room in memory, or would stand behind a
// short backlog, while the destination is fast: what is written and read back then
// costs more time than the destination takes to make room, and who waits to be told
// waits for hardly longer. What comes from who waits for nothing is never held back. It
// reports whether it has waited.
func (b *Buffer) keepPace(a *arrival, need int) bool {
	d := b.disk
	if d == nil || a.held || a.Done == nil || a.Level == record.LevelMemory {
		return false
	}
	if b.roomBefore(need) || d.unread > longBacklog*b.sizes.data || !d.pace.fast() {
		return false
	}
	a.held = true
	over, ticks := false, 0
	var timer *time.Timer
	timer = time.AfterFunc(holdBack, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if over {
			return
		}
		ticks++
		switch {
		case d.pace.stopped():
			d.pace.turned = time.Time{}
			over = true
		case d.backlog || ticks >= holdTicks:
			over = true
		default:
			timer.Reset(holdBack)
		}
		b.changed.Broadcast()
	})
	defer func() {
		over = true
		timer.Stop()
	}()
	for !over && !b.abandoned && !d.handedOver && d.trouble == nil && !b.roomBefore(need) {
		b.await()
	}
	return true
}

// roomBefore reports whether memory has room, and nothing that only the disk has is
// before it.
func (b *Buffer) roomBefore(need int) bool { return !b.disk.backlog && b.grow(need) }
