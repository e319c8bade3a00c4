package buffer

import (
	"cmp"
	"slices"

	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink"
)

// Fate is what became of a request's events, for good.
type Fate struct {
	// Dropped is the reason for which all of them are given up, or empty where
	// they are delivered but for Rejected.
	Dropped  ledger.Reason
	Rejected []sink.Rejection
	// DeadLettered: what is rejected is kept by the dead letters, durably.
	DeadLettered bool
	// Repeated: an attempt that does not come back may have delivered all of them,
	// beside what the request itself says of attempts; see Request.Repeat.
	Repeated bool
}

// Settle ends a request or a half of one: its events are counted and their
// memory is given back. It returns the loss markers that were not delivered;
// their text belongs into the log, since they are never dropped silently.
func (b *Buffer) Settle(r *Request, fate Fate) (untold []record.Loss) {
	b.mu.Lock()
	defer b.unlock()
	if r.whole.forsaken {
		return nil
	}
	return b.settle(r, fate)
}

func (b *Buffer) settle(r *Request, fate Fate) (untold []record.Loss) {
	t := tally{buffer: b, fate: fate, whole: r.whole}
	index := 0
	for i := range r.runs {
		t.run(&r.runs[i], &index)
	}
	t.flush()
	for _, n := range r.runs {
		if n.block != nil && !b.keeps(&n, fate) && !r.whole.forsaken {
			n.block.items -= n.events
			b.release(n.block)
		}
	}
	w := r.whole
	w.open -= r.events
	w.replace(r)
	if w.open == 0 {
		b.flight--
		b.flightHeld -= w.held
		b.underWay = slices.DeleteFunc(b.underWay, func(other *whole) bool { return other == w })
		close(w.done)
		for _, st := range w.streams {
			if st.last != nil && st.last.whole == w {
				st.last = nil
			}
		}
	}
	b.tellSettled()
	if b.disk != nil {
		b.disk.pace.settled(r, b.sizes.data)
		b.remember()
		b.rest()
	}
	b.changed.Broadcast()
	b.poke()
	return t.untold
}

// tally adds up what became of the events, stream by stream.
type tally struct {
	buffer *Buffer
	fate   Fate

	stream    *stream
	delivered ledger.Count
	// repeated: what is delivered may have been delivered before.
	repeated bool
	whole    *whole
	untold   []record.Loss
}

// keep leaves a range to the disk. Its memory stays until the buffer is closed;
// a marker that has no memory of its own waits to be told again.
func (t *tally) keep(n *run) {
	if n.block == nil {
		var batch record.Batch
		record.Parse(n.marker, &batch)
		st := t.buffer.streams.at(batch.Stream)
		st.marked(-1)
		t.buffer.streams.tells(st)
		if t.mayBeThere(n) {
			st.again = append(st.again, batch.Loss())
		} else {
			st.reject(batch.Loss())
		}
		return
	}
	if d := t.buffer.disk; t.mayBeThere(n) {
		d.doubtful = max(d.doubtful, n.block.place.Position.Events+n.at+uint64(n.events))
	}
	t.whole.kept = true
	t.whole.keptRuns = append(t.whole.keptRuns, *n)
	t.whole.keptEvents += n.events
}

// run counts what became of the events of one range.
func (t *tally) run(n *run, index *int) {
	if t.buffer.keeps(n, t.fate) {
		t.keep(n)
		*index += n.events
		return
	}
	at := n.at
	n.batches(index, func(index int, batch *record.Batch) bool {
		if repeated := t.repeats(n, at, batch); repeated != t.repeated {
			t.flush()
			t.repeated = repeated
		}
		at += uint64(batch.Count)
		t.batch(index, batch)
		return true
	})
}

// mayBeThere reports whether an attempt of this process may have delivered a range.
func (t *tally) mayBeThere(n *run) bool { return n.repeated || t.fate.Repeated }

// repeats reports whether what is delivered of a range may be there twice.
func (t *tally) repeats(n *run, at uint64, batch *record.Batch) bool {
	return !t.buffer.cfg.Sink.Idempotent && (t.mayBeThere(n) || t.buffer.triedBefore(n.block, at, batch) > 0)
}

func (t *tally) batch(index int, batch *record.Batch) {
	st := t.buffer.streams.at(batch.Stream)
	if st != t.stream {
		t.flush()
		t.stream = st
	}
	why, rejected := t.reason(index, batch)
	t.buffer.settles(batch, why)
	switch {
	case batch.Kind == record.KindLoss && !rejected:
		st.markers--
		st.account.Markers(0, 1)
		return
	case batch.Kind == record.KindLoss:
		t.untold = append(t.untold, batch.Loss())
		st.markers--
		if why != ledger.Shutdown { // Then nobody has refused it: it is made and not delivered.
			st.account.MarkersRefused(1)
		}
		return
	case !rejected:
		t.delivered = t.delivered.Plus(ledger.Count{Records: int64(batch.Count), Bytes: int64(batch.Bytes)})
		t.buffer.settledRecords(st, batch.FirstSeq, int64(batch.Count), false)
		return
	case why != "":
		t.drop(st, why, batch, 0, ledger.Count{Records: int64(batch.Count), Bytes: int64(batch.Bytes)})
		return
	}
	frames := batch.Frames
	for i := range batch.Count {
		body, _, rest := batch.Next(frames)
		frames = rest
		c := ledger.Count{Records: 1, Bytes: int64(len(body))}
		if why := t.rejection(index + i); why != "" {
			t.drop(st, why, batch, i, c)
		} else {
			t.delivered = t.delivered.Plus(c)
			t.buffer.settledRecords(st, batch.FirstSeq+uint64(i), 1, false)
		}
	}
}

// reason tells whether any event of the batch is not delivered, and why where
// that is one reason for all of them.
func (t *tally) reason(index int, batch *record.Batch) (ledger.Reason, bool) {
	if t.fate.Dropped != "" {
		return t.fate.Dropped, true
	}
	touched := false
	for _, r := range t.fate.Rejected {
		if r.First <= index && index+batch.Count <= r.End {
			return reason(r), true
		}
		touched = touched || r.First < index+batch.Count && index < r.End
	}
	return "", touched
}

func (t *tally) rejection(index int) ledger.Reason {
	for _, r := range t.fate.Rejected {
		if r.First <= index && index < r.End {
			return reason(r)
		}
	}
	return ""
}

// reason is why a range was rejected. What is rejected without a reason must
// not pass for delivered.
func reason(r sink.Rejection) ledger.Reason {
	return cmp.Or(ledger.Reason(r.Reason), ledger.RejectedInvalid)
}

// drop counts records of the batch, from the one at index skip on, as given up.
// Whoever reads the stream is told, unless nothing more is going to be sent.
func (t *tally) drop(st *stream, why ledger.Reason, batch *record.Batch, skip int, c ledger.Count) {
	st.release(c)
	t.buffer.weigh(st)
	if why == ledger.Shutdown && t.buffer.givesBack(st, batch.FirstSeq+uint64(skip), c.Records) {
		st.account.Dropped(ledger.Returned, c)
		return
	}
	t.buffer.settledRecords(st, batch.FirstSeq+uint64(skip), c.Records, lossOf(why))
	if t.fate.DeadLettered {
		st.account.DeadLettered(c)
		return
	}
	st.account.Dropped(why, c)
	if why == ledger.Shutdown || why == ledger.Duplicate || t.buffer.cfg.NoLossMarkers {
		return
	}
	first := batch.FirstSeq + uint64(skip)
	t.buffer.streams.tells(st)
	st.reject(record.Loss{
		Stream: st.Index, Lost: c.Records, Bytes: c.Bytes, FirstSeq: first, LastSeq: first + uint64(c.Records) - 1,
		FirstTime: batch.Time, LastTime: batch.Time, Reason: string(why),
	})
}

// maxRejectedRuns bounds what a stream remembers of rejected records until their
// markers leave; what is beyond it is told together with the run before it.
const maxRejectedRuns = 64

// reject keeps a run of records that the destination will never take, for its
// marker. Runs are kept in the order of the stream; neighbours are one run.
func (st *stream) reject(l record.Loss) {
	at, _ := slices.BinarySearchFunc(st.rejected, l, func(a, b record.Loss) int { return cmp.Compare(a.FirstSeq, b.FirstSeq) })
	if at > 0 {
		before := &st.rejected[at-1]
		if before.LastSeq+1 == l.FirstSeq && before.Reason == l.Reason || len(st.rejected) >= maxRejectedRuns {
			before.Add(l)
			return
		}
	}
	if at < len(st.rejected) {
		after := &st.rejected[at]
		if l.LastSeq+1 == after.FirstSeq && l.Reason == after.Reason || len(st.rejected) >= maxRejectedRuns {
			after.Add(l)
			return
		}
	}
	st.rejected = slices.Insert(st.rejected, at, l)
}

func (t *tally) flush() {
	if t.stream == nil || t.delivered.Records == 0 {
		return
	}
	t.stream.release(t.delivered)
	t.buffer.weigh(t.stream)
	t.stream.account.Delivered(t.delivered)
	if t.repeated {
		t.stream.account.PossiblyDuplicated(t.delivered.Records)
	}
	t.delivered = ledger.Count{}
}
