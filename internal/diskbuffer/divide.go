package diskbuffer

import (
	"maps"
	"slices"
	"strconv"
)

// divide gives each stream its share of a gap: first what sequence numbers say,
// then what the totals do, and the rest to the last stream.
func (v *survey) divide(g *gap, owed map[uint32]*Count, one bool) {
	rest := g.records()
	indexes := slices.Sorted(maps.Keys(v.streams))
	shares := map[uint32]uint64{}
	give := func(i uint32, n uint64) {
		n = min(n, rest)
		if owed != nil {
			c := owed[i]
			if c == nil {
				return
			}
			n = min(n, c.Records)
			c.Records -= n
		}
		shares[i] += n
		rest -= n
	}
	for _, i := range indexes {
		give(i, g.hints[i].records)
	}
	for _, i := range indexes {
		if owed != nil {
			give(i, rest)
		}
	}
	if rest > 0 {
		last := uint32(0)
		if len(indexes) > 0 {
			last = indexes[len(indexes)-1]
		}
		shares[last] += rest
	}
	for _, i := range slices.Sorted(maps.Keys(shares)) {
		if shares[i] == 0 {
			continue
		}
		l := Lost{Stream: i, Records: shares[i], Bytes: -1}
		if one && owed != nil && owed[i] != nil {
			l.Bytes = int64(owed[i].Bytes)
		}
		l.FirstSeq, l.LastSeq = v.numbers(g, i, shares[i])
		v.stream(i).Records += shares[i]
		g.shares = append(g.shares, l)
	}
}

// numbers is the range of sequence numbers of a share, as far as it is known.
func (v *survey) numbers(g *gap, stream uint32, records uint64) (first, last uint64) {
	switch h := g.hints[stream]; {
	case h.records == records:
		first = h.first
	case v.based && v.seen[stream] <= v.told && h.records == 0:
		first = v.stream(stream).LastSeq + 1 // Nothing of it came after the gap.
	default:
		return 0, 0
	}
	return first, first + records - 1
}

// lostAt returns what is missing between two positions, which are inside of one
// gap: gaps may have been settled in part.
func lostAt(gaps []gap, from, to Position) []Lost {
	var all []Lost
	for i := range gaps {
		g := &gaps[i]
		if g.to.Events <= from.Events || g.from.Events >= to.Events {
			continue
		}
		skip := from.Records - min(from.Records, g.from.Records)
		want := min(to.Records, g.to.Records) - max(from.Records, g.from.Records)
		all = append(all, slice(g.shares, skip, want)...)
	}
	return all
}

// slice cuts shares: want records behind the first skip ones.
func slice(shares []Lost, skip, want uint64) []Lost {
	var all []Lost
	for _, l := range shares {
		cut := min(skip, l.Records)
		skip -= cut
		n := min(l.Records-cut, want)
		want -= n
		if n == 0 {
			continue
		}
		if n < l.Records {
			l.Bytes = -1
			if l.FirstSeq > 0 {
				l.FirstSeq += cut
				l.LastSeq = l.FirstSeq + n - 1
			}
			l.Records = n
		}
		all = append(all, l)
	}
	return all
}

// before returns the totals before the mark, by stream. The survey is finished.
func (v *survey) before() map[uint32]Count {
	totals := v.at.totals
	for _, g := range v.gaps[v.at.from:v.at.to] {
		to := g.to
		if to.Events > v.mark.Events {
			to = *v.mark
		}
		for _, l := range lostAt([]gap{g}, g.from, to) {
			c := totals[l.Stream]
			totals[l.Stream] = Count{c.Records + l.Records, c.Bytes + uint64(max(l.Bytes, 0))}
		}
	}
	return totals
}

// LostName is what a stream is called whose name was lost.
func LostName(index uint32) string { return "stream" + strconv.FormatUint(uint64(index), 10) }
