package kafka

import (
	"context"
	"sync"
	"time"

	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/source/kafka/wire"
)

// partition is one partition as long as it is assigned to this member.
type partition struct {
	place
	id  [16]byte // of the topic; zero while nobody knows it
	at  record.Partition
	tag string

	// The feed of its leader is where it is asked for. Guarded by the source's lock.
	leader, leaderEpoch int32

	// waiting are pieces that wait in a line, or are handed over there: no other line
	// gets any meanwhile, so that their order stays. Guarded by the source's handing.
	line    *line
	waiting int

	mu sync.Mutex
	tracker
	// fetchAt is the offset that is asked for next; stream changes when it goes back,
	// and what was asked for before is then not looked at.
	fetchAt int64
	stream  uint32
	// walked is the offset up to which what was asked for is handed over; rewind says
	// that something was lost since fetchAt went back the last time.
	walked int64
	rewind bool
	// epoch is that of the leader that wrote what was read last, for the broker to
	// compare; -1 where nothing was read.
	epoch     int32
	notBefore time.Time // pauses after trouble
	pause     time.Duration
	// committed is what the group knows.
	committed int64
	stopped   bool // nothing more is handed over
	gone      bool // it belongs to somebody else; what is told now comes too late
	changed   chan struct{}
	// counted is the offset before which everything is counted that is counted as it is read.
	counted int64
	damaged int   // how often what stands at fetchAt could not be read
	batch   int   // bytes of the last batch that was read
	ahead   int   // bytes of the batch at fetchAt, where its head was seen; else 0
	lag     int64 // records behind the end, of what may be read
}

func newPartition(at place, tag string) *partition {
	return &partition{place: at, tag: tag, leader: -1, leaderEpoch: -1, epoch: -1, committed: -1, changed: make(chan struct{})}
}

// identify says which creation of the topic it belongs to. It comes before the first
// record.
func (p *partition) identify(id, fallback [16]byte) {
	p.id = id
	p.at = record.Partition{Topic: p.topic, ID: id, Number: uint32(p.number)}
	if id == ([16]byte{}) {
		p.at.ID = fallback
	}
}

// seek begins at an offset.
func (p *partition) seek(at, committed int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.begin(at)
	p.fetchAt, p.walked, p.committed = at, at, committed
}

// stop has nothing more handed over.
func (p *partition) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
}

// fence has nothing counted that is told from now on.
func (p *partition) fence() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped, p.gone = true, true
	p.change()
}

func (p *partition) change() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// drained is closed when nothing is under way any more, when the partition has gone,
// or when ctx ends.
func (p *partition) drained(ctx context.Context) <-chan struct{} {
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		for {
			p.mu.Lock()
			over, changed := p.open == 0 || p.gone, p.changed
			p.mu.Unlock()
			if over {
				return
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}()
	return drained
}

// settle is told what became of a chunk. It reports whether there is something to
// commit, and whether something is to be read again.
func (p *partition) settle(s *span, ok bool) (commit, again, late bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone {
		return false, false, true
	}
	before := p.done
	p.told(s, ok)
	p.rewind = p.rewind || !ok
	p.change()
	if p.done > before {
		p.pause = 0
	}
	return p.done > before, !ok && !p.stopped, false
}

// want is what a feed asks for.
type want struct {
	*partition
	line        *line
	route       string
	at          int64
	stream      uint32
	leaderEpoch int32
	epoch       int32
	most        int64 // bytes of it
	ahead       int64 // bytes of the next batch, where that is there; else 0
	uneven      bool  // it is of another size than the last one
}

// batches is how much to ask for that as many batches as the next one are in it as room
// holds, or that one alone.
func (w *want) batches(room int64) int64 { return max(room/w.ahead, 1)*w.ahead + look }

// wanted reports what is to be asked for at the given time, or how long to wait until
// that is to be asked again; 0 is until something changes.
func (p *partition) wanted(now time.Time, maxAhead int) (w want, ok bool, wait time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return w, false, 0
	}
	if wait = p.notBefore.Sub(now); wait > 0 {
		return w, false, wait
	}
	if p.rewind {
		p.rewind = false
		if lost, is := p.firstLost(); is && lost < p.fetchAt {
			// What stands behind it and is not lost is passed over when it comes again.
			p.goBack(lost)
			p.retreat(now)
			return w, false, p.pause
		}
	}
	if p.losses == 0 && p.held >= maxAhead {
		return w, false, 0
	}
	return want{
		partition: p, at: p.fetchAt, stream: p.stream, leaderEpoch: p.leaderEpoch, epoch: p.epoch, ahead: int64(p.ahead),
		uneven: 16*max(p.batch-p.ahead, p.ahead-p.batch) > p.ahead, most: wholes(p.batch, p.ahead),
	}, true, 0
}

// look is asked for beside whole batches: so much of the next one that its size is known.
const look = 4 * wire.HeadLook

// wholes is how much to ask for where batches have a size, ahead being that of the next
// one, or 0: a broker cuts its answer off in the middle of a batch, and what it sends of
// that is of no use.
func wholes(batch, ahead int) int64 {
	if ahead == 0 {
		ahead = batch + batch/64 // The next one may be somewhat larger.
	}
	switch {
	case ahead <= maxPartition/32:
		return maxPartition
	case ahead > maxPartition:
		return int64(ahead) + look
	}
	return int64(maxPartition/ahead*ahead) + look
}

// goBack has an offset asked for next that is not the one behind what was asked for.
func (p *partition) goBack(to int64) {
	p.fetchAt, p.walked = to, to
	p.stream++
	p.epoch, p.ahead = -1, 0
}

// Pauses after trouble.
const (
	minPause = 100 * time.Millisecond
	maxPause = 5 * time.Second
)

// retreat pauses, longer each time until something gets settled.
func (p *partition) retreat(now time.Time) {
	p.pause = min(max(2*p.pause, minPause), maxPause)
	p.notBefore = now.Add(p.pause)
}

// standstill pauses after trouble of the partition.
func (p *partition) standstill(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.retreat(now)
}

// jump passes over offsets that are not there, and returns how many that were wanted.
// ok is false while something of before is still to be handed over: the broker will
// say the same again.
func (p *partition) jump(w *want, to int64) (missed int64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stream != w.stream || p.stopped || p.walked != w.at {
		p.retreat(time.Now())
		return 0, false
	}
	missed = max(to-max(w.at, p.head), 0)
	p.read(w.at)
	missed += int64(p.passed(to))
	p.goBack(to)
	return missed, true
}
