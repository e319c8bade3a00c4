package kafka

import (
	"cmp"
	"time"
)

// feed asks one broker for the partitions that it leads, and has what it gets handed
// over while it asks for more.
type feed struct {
	*Source
	broker int32
	pause  time.Duration
	// several says that there are other feeds.
	several bool
}

// feed starts the feed of a broker, where there is none. The lock is held.
func (s *Source) feed(broker int32) {
	if s.feeds[broker] != nil || s.stopped {
		return
	}
	f := &feed{Source: s, broker: broker}
	s.feeds[broker] = f
	s.reading.Go(f.run)
}

// run fetches until the source stops.
func (f *feed) run() {
	for {
		wants, ok := f.await()
		if !ok {
			return
		}
		waited, ok := f.reserve()
		if !ok {
			return
		}
		if waited {
			wants, _, _ = f.wants() // Much may have happened meanwhile.
		}
		if len(wants) > 0 {
			f.push(f.broker, f.ask(wants))
		}
		f.memory.untake(f.room)
	}
}

// reserve takes the memory for an answer, and says whether it had to wait for that. Where
// there is none, what waits for a route without room is given up.
func (f *feed) reserve() (waited, ok bool) {
	for {
		taken, freed := f.memory.take(f.room)
		if taken {
			return waited, true
		}
		waited = true
		// A line that does not wait for its route now may begin to.
		next := cmp.Or(f.relieve(), heldAfter)
		select {
		case <-freed:
		case <-time.After(next):
		case <-f.ctx.Done():
			return waited, false
		}
	}
}

// await waits until there is something to ask for.
func (f *feed) await() (wants []want, ok bool) {
	for {
		if f.ctx.Err() != nil {
			return nil, false
		}
		f.idle.Add(1)
		wants, wait, woken := f.wants()
		if len(wants) > 0 {
			f.idle.Add(-1)
			return wants, true
		}
		var timeout <-chan time.Time
		if wait == 0 {
			f.trouble.clear(f.reason()) // There is nothing to ask this broker for.
		} else {
			timeout = time.After(wait)
		}
		select {
		case <-woken:
		case <-timeout:
		case <-f.ctx.Done():
		}
		f.idle.Add(-1)
	}
}

// wants looks what there is to ask for, or when to look again.
func (f *feed) wants() (wants []want, wait time.Duration, woken <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.handing.Lock()
	defer f.handing.Unlock()
	now := time.Now()
	f.several = len(f.feeds) > 1
	for _, p := range f.partitions {
		if p.leader != f.broker {
			continue
		}
		route, l := f.cfg.Router.Route(p.tag), p.line
		if p.waiting == 0 {
			l = f.lineFor(route, f.broker)
		}
		if l == nil || l.mayWait() == 0 {
			continue
		}
		w, ok, later := p.wanted(now, f.cfg.MaxAhead)
		if ok {
			w.line, w.route = l, route
			wants = append(wants, w)
		} else if later > 0 && (wait == 0 || later < wait) {
			wait = later
		}
	}
	f.divide(wants)
	return wants, wait, f.woken
}

// divide says how much of each partition is asked for: less where a line is slow, and
// whole batches where it is known that they are there. Brokers send the first batch of the
// first partition whole, however large it is. Both locks are held.
func (f *feed) divide(wants []want) {
	each := make(map[*line]int64)
	ahead, left := int64(0), f.fetch()
	for i := range wants {
		each[wants[i].line]++
		ahead += wants[i].ahead
	}
	for i := range wants {
		w := &wants[i]
		switch {
		case w.line.allowed > 0:
			w.most = max(w.line.mayWait()/each[w.line], leastPartition)
		case w.ahead > 0: // Others may have nothing.
			if w.uneven && ahead > f.fetch()/2 {
				// Nobody knows how large the batches behind it are, and the answer gets large
				// enough.
				w.most = min(w.most, w.batches(f.fetch()/int64(len(wants))))
			}
			if w.most > left && i > 0 {
				w.most = min(w.most, w.batches(left))
			}
			left = max(left-w.most, 0)
		}
		w.most = min(w.most, f.fetch())
	}
}

// fetch is how much is asked for at once, in bytes: blocks are somewhat larger than what
// they hold.
func (s *Source) fetch() int64 { return s.room - s.room/blockWaste }
