package diskbuffer

import (
	"fmt"
	"slices"
)

// lost says what is missing between the last frame and a position.
func (r *reader) lost(to Position) ([]Lost, error) {
	from := later(r.pos, r.store.cursor.settled())
	if r.fresh && to.Events <= r.pos.Events || from.Events >= to.Events {
		return nil, nil
	}
	if from.Events < r.span[0].Events || to.Events > r.span[1].Events || len(r.gaps) == 0 {
		r.gaps = nil
		if err := r.survey(from, to); err != nil && !r.gaveUp() {
			return nil, err
		}
	}
	want := to.Records - min(from.Records, to.Records)
	all := lostAt(r.gaps, from, to)
	var sum uint64
	for _, l := range all {
		sum += l.Records
	}
	if sum > want {
		all, sum = slice(all, 0, want), want
	}
	if sum < want {
		// What failed for a while is there again for the survey.
		all = append(all, Lost{Stream: r.lastStream(), Records: want - sum, Bytes: -1})
	}
	for i := range all {
		all[i].Notes = fmt.Sprintf("events %d to %d are damaged or missing", from.Events, to.Events)
	}
	return all, nil
}

func (r *reader) lastStream() uint32 {
	r.store.mu.Lock()
	defer r.store.mu.Unlock()
	all := r.store.allStreams()
	if len(all) == 0 {
		return 0
	}
	return all[len(all)-1].Index
}

// survey finds out whose the records are that are missing in a range.
func (r *reader) survey(from, to Position) error {
	s := r.store
	s.mu.Lock()
	all, end, streams := spans(slices.Clone(s.segments)), s.end, s.allStreams()
	s.mu.Unlock()
	first := 0
	for i := range all {
		if all[i].first.Events <= from.Events {
			first = i
		}
	}
	first, err := based(s.dir, all, first, s.tag)
	if err != nil {
		return err
	}
	v := newSurvey(from)
	v.until = to
	if len(all) > 0 && all[first].first.Events < from.Events {
		v.pos = all[first].first
	}
	for i := first; i < len(all) && !v.done(); i++ {
		if _, err := v.walk(s.dir, all[i], s.tag, false); err != nil {
			return fmt.Errorf("read segment %s: %w", all[i].name, err)
		}
	}
	if !v.done() {
		v.finish(end, streams)
	}
	r.gaps, r.span = v.gaps, [2]Position{from, v.pos}
	return nil
}
