package diskbuffer

import "fmt"

// readPending finds out what lies between the settled prefix and the end, and
// where reading begins.
func (r *recovery) readPending() error {
	state := &r.cursor.state
	if r.good < 2 {
		state.Offered = r.end.Events
	}
	state.Offered = min(state.Offered, r.end.Events)
	state.Settled.Records = min(state.Settled.Records, r.end.Records)
	settled := state.Settled
	f := r.found
	f.Settled, f.End, f.Offered = settled, r.end, state.Offered
	f.Streams = r.allStreams()
	before, place, err := r.totalsAt(settled)
	if err != nil {
		return err
	}
	f.Pending = pending(f.Streams, before, r.end.Records-settled.Records)
	r.read.start(place, settled)
	return nil
}

// totalsAt returns the totals at a position, and where the frame with it begins.
func (r *recovery) totalsAt(at Position) (map[uint32]Count, Place, error) {
	all := spans(r.segments)
	from := 0
	for i := range all {
		if all[i].first.Events <= at.Events {
			from = i
		}
	}
	from, err := based(r.dir, all, from, r.tag)
	if err != nil {
		return nil, Place{}, err
	}
	v := newSurvey(at)
	v.mark = &at
	if len(all) > 0 && all[from].first.Events < at.Events {
		v.pos = all[from].first
	}
	for i := from; i < len(all) && !v.done(); i++ {
		if _, err := v.walk(r.dir, all[i], r.tag, r.any); err != nil {
			return nil, Place{}, fmt.Errorf("read segment %s: %w", all[i].name, err)
		}
	}
	if !v.done() {
		v.finish(r.end, r.allStreams())
	}
	return v.before(), v.at.place, nil
}

// pending divides what is pending among the streams, by their totals before and
// behind it. Whatever these say, the sum is right.
func pending(streams []Stream, before map[uint32]Count, sum uint64) []Count {
	all := make([]Count, len(streams))
	rest := sum
	for i, st := range streams {
		b := before[st.Index]
		n := min(st.Records-min(b.Records, st.Records), rest)
		all[i] = Count{n, st.Bytes - min(b.Bytes, st.Bytes)}
		rest -= n
	}
	if rest > 0 && len(all) > 0 {
		all[len(all)-1].Records += rest
	}
	return all
}
