package kafka

import (
	"cmp"
	"time"
)

// line hands pieces over, one after the other: those of one route, so that one which is
// full stops no other. The goroutine that does so lives as long as there are any.
//
// What waits in a line is bounded: see mayWait. Where memory is wanted for others, and
// the line has been waiting for its route for a while, what waits in it is given up, to
// be fetched again once the route has room. Its fields are guarded by the source's
// handing.
type line struct {
	*Source
	queue []*piece
	busy  bool // a goroutine hands over
	// route and broker are those that have the line while it is busy, and the last that had.
	route  string
	broker int32
	// waits are the bytes of pieces that are not handed over yet.
	waits int64
	// allowed is how many may wait, where that is less than usual since the line is
	// slow; 0 is as usual.
	allowed int64

	now   *piece    // is being handed over
	by    *worker   // who does so
	since time.Time // when it began to wait for its route; zero where it does not
	at    int64     // the offset behind what waits for the route
	// held: what waited was given up, and the route has no room yet.
	held bool
}

const (
	// leastAllowed is what a slow line may have waiting, in bytes.
	leastAllowed = 128 << 10
	// heldAfter is how long a line waits for its route before what waits in it may be
	// given up.
	heldAfter = 100 * time.Millisecond
)

// lineFor is where what a broker has for a route is to be handed over; nil is nowhere now.
// The brokers of a route have lines of their own as long as one is left for another route.
// handing is held.
func (s *Source) lineFor(route string, broker int32) (to *line) {
	var idle *line
	spare := 0
	for _, l := range s.lines {
		switch {
		case !l.busy:
			if spare++; idle == nil || l.route == route {
				idle = l // What is known of it is known of the route.
			}
		case l.route != route:
		case l.broker == broker:
			return l
		case to == nil || l.waits < to.waits:
			to = l
		}
	}
	if to == nil || spare > 1 {
		return cmp.Or(idle, to)
	}
	return to
}

// begin has an idle line handed to a route and a broker. handing is held.
func (l *line) begin(route string, broker int32) {
	if l.route != route {
		l.allowed = 0
	}
	l.busy, l.route, l.broker = true, route, broker
	l.reading.Go(l.run)
}

// mayWait is how much may be asked for that will wait in the line; 0 is nothing now.
// handing is held.
func (l *line) mayWait() int64 {
	if l.held {
		return 0
	}
	if l.allowed > 0 {
		return max(l.allowed-l.waits, 0)
	}
	// The only one has an answer waiting while it hands another one over.
	ahead := l.room
	for _, other := range l.lines {
		if other != l && other.busy {
			ahead = l.room / 4
		}
	}
	if l.waits > ahead {
		return 0
	}
	return l.room
}

// push has the pieces of an answer handed over.
func (s *Source) push(broker int32, pieces []*piece) {
	s.handing.Lock()
	defer s.handing.Unlock()
	for _, pc := range pieces {
		if !pc.expect() {
			pc.block.release()
			continue
		}
		l := pc.partition.line
		if pc.partition.waiting == 0 {
			if l = s.lineFor(pc.want.route, broker); l == nil {
				l = pc.want.line // Another route has taken the last one meanwhile.
			}
		}
		pc.partition.line = l
		pc.partition.waiting++
		l.waits += pc.block.size
		l.queue = append(l.queue, pc)
		if !l.busy {
			l.begin(pc.want.route, broker)
		}
	}
}

// run hands over what there is.
func (l *line) run() {
	w := l.borrow()
	w.line = l
	l.handing.Lock()
	l.by = w
	l.handing.Unlock()
	for pc := l.next(); pc != nil; pc = l.next() {
		w.piece(pc)
	}
	l.giveBack(w)
}

// next ends with the piece that was handed over, and begins with another one.
func (l *line) next() *piece {
	l.handing.Lock()
	pc, more := l.now, len(l.queue) > 0
	if pc != nil {
		pc.partition.waiting--
		if pc.block != nil && l.allowed > 0 {
			// It is faster than it was.
			if l.allowed += pc.block.size; l.allowed >= 2*l.room {
				l.allowed = 0
			}
		}
		l.forget(pc)
	}
	l.now = nil
	if l.busy = more; more {
		l.now = l.queue[0]
		l.queue[0] = nil
		l.queue = l.queue[1:]
	}
	next := l.now
	l.handing.Unlock()
	if pc != nil {
		l.poke()
	}
	return next
}

// forget gives back the memory of a piece. handing is held.
func (l *line) forget(pc *piece) {
	if pc.block != nil {
		l.waits -= pc.block.size
		pc.block.release()
		pc.block, pc.batches = nil, nil
	}
}

// wait notes that the line waits for its route from now on, and the offset behind what
// it hands over.
func (l *line) wait(at int64) {
	l.handing.Lock()
	defer l.handing.Unlock()
	l.since, l.at = time.Now(), at
}

// goOn notes that it does not any more.
func (l *line) goOn() {
	l.handing.Lock()
	held := l.held
	l.since, l.held = time.Time{}, false
	l.handing.Unlock()
	if held {
		l.poke()
	}
}

// relieve gives up what waits in lines that have been waiting for their routes for a
// while, since memory is wanted. It returns how long it is until another one has, 0 where
// none waits.
func (s *Source) relieve() (next time.Duration) {
	s.handing.Lock()
	defer s.handing.Unlock()
	for _, l := range s.lines {
		if l.since.IsZero() || l.held {
			continue
		}
		if left := heldAfter - time.Since(l.since); left > 0 {
			if next == 0 || left < next {
				next = left
			}
			continue
		}
		l.giveUp()
	}
	return next
}

// giveUp has everything fetched again that is not handed over, once the route has room.
// handing is held, and the line waits for its route.
func (l *line) giveUp() {
	usual := l.allowed
	if usual == 0 {
		usual = l.room
	}
	l.held, l.allowed = true, max(usual/4, leastAllowed)
	l.counts.givenUp.Add(1)
	// The first of a partition decides where that is read on.
	l.now.giveUp(l.at)
	l.forget(l.now)
	for _, pc := range l.queue {
		pc.giveUp(pc.from)
		pc.partition.waiting--
		l.forget(pc)
	}
	l.queue = nil
	l.by.abandon()
}

// giveUp has a partition read again from an offset on, unless it goes back already.
func (pc *piece) giveUp(from int64) {
	pc.mu.Lock()
	defer pc.mu.Unlock()
	if pc.stream == pc.partition.stream && !pc.stopped {
		pc.goBack(from)
	}
}

// borrow returns a worker.
func (s *Source) borrow() *worker {
	select {
	case w := <-s.workers:
		return w
	default:
		return newWorker(s)
	}
}

// giveBack keeps a worker for another time. There is room for one of each line.
func (s *Source) giveBack(w *worker) {
	w.line = nil
	s.workers <- w
}

// endWorkers ends what workers keep. None is at work any more.
func (s *Source) endWorkers() {
	for {
		select {
		case w := <-s.workers:
			w.close()
		default:
			return
		}
	}
}
