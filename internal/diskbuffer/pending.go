package diskbuffer

import (
	"fmt"
	"slices"
)

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
	before, place, err := r.totalsAt(settled, r.any)
	if err != nil {
		return err
	}
	f.Pending = pending(f.Streams, before, r.end.Records-settled.Records)
	r.read.start(place, settled)
	return nil
}

// Left returns what of each stream lies between the settled prefix and the end, by
// its index: what the next Open finds pending. It reads a segment, and nothing may
// be appended or settled meanwhile.
func (s *Store) Left() (map[uint32]Count, error) {
	settled := s.cursor.settled()
	before, _, err := s.totalsAt(settled, false)
	if err != nil {
		return nil, fmt.Errorf("see what is left in the disk buffer: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	streams := s.allStreams()
	left := make(map[uint32]Count, len(streams))
	for i, c := range pending(streams, before, s.end.Records-settled.Records) {
		left[streams[i].Index] = c
	}
	return left, nil
}

// totalsAt returns the totals at a position, and where the frame with it begins.
func (s *Store) totalsAt(at Position, any bool) (map[uint32]Count, Place, error) {
	s.mu.Lock()
	all, end, streams := spans(slices.Clone(s.segments)), s.end, s.allStreams()
	s.mu.Unlock()
	from := 0
	for i := range all {
		if all[i].first.Events <= at.Events {
			from = i
		}
	}
	from, err := based(s.dir, all, from, s.tag)
	if err != nil {
		return nil, Place{}, err
	}
	v := newSurvey(at)
	v.mark = &at
	if len(all) > 0 && all[from].first.Events < at.Events {
		v.pos = all[from].first
	}
	for i := from; i < len(all) && !v.done(); i++ {
		if _, err := v.walk(s.dir, all[i], s.tag, any); err != nil {
			return nil, Place{}, fmt.Errorf("read segment %s: %w", all[i].name, err)
		}
	}
	if !v.done() {
		v.finish(end, streams)
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
