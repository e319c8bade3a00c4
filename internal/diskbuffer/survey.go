package diskbuffer

import (
	"errors"
	"io"
	"io/fs"

	"github.com/spillway/spillway/internal/record"
)

// survey walks over frames and finds out what is missing, and of which stream.
// Between two streams frames that name all streams, the totals tell exactly how
// many records of each are missing; where there are several gaps between two
// such frames, sequence numbers tell which of them are whose. The outcome
// depends on what is on the disk alone, so that what Open counts as pending is
// what Read later returns or reports.
type survey struct {
	pos     Position
	streams map[uint32]*Stream // totals before pos
	based   bool               // a streams frame has named all streams
	gaps    []gap
	told    int                // of gaps, those whose shares are known
	seen    map[uint32]int     // of a stream, how many gaps there were at its last batch
	closing bool               // the last frame was that of a clean close
	origins []Origin           // of the segment that is walked
	offsets map[[16]byte]int64 // of that segment, by partition, the highest

	// mark is a position whose totals are wanted, at what they are.
	mark *Position
	at   *marked
	// until ends the walk behind it, once no gap is open.
	until Position
}

// gap is a range of positions that is missing.
type gap struct {
	from, to Position
	hints    map[uint32]missing // by stream, what is missing by its sequence numbers
	shares   []Lost
}

// missing are records of consecutive numbers.
type missing struct{ records, first uint64 }

// marked is what was counted before the mark.
type marked struct {
	totals map[uint32]Count
	// place is where the frame with the mark begins.
	place Place
	// gaps[from:to] are before the mark and had no shares then.
	from, to int
}

func newSurvey(from Position) *survey {
	return &survey{pos: from, streams: map[uint32]*Stream{}, seen: map[uint32]int{}, until: never}
}

// walk takes in one segment and returns the end of its last whole frame. A
// segment that is gone was settled.
func (v *survey) walk(dir FS, span frameSpan, t tag, any bool) (end int64, err error) {
	f, err := dir.Open(span.name, false)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	s := newScan(f, 0, span.limit, t)
	s.any = any
	defer s.unpack.close()
	v.origins, v.offsets = nil, nil
	for !v.done() {
		fr, err := s.next()
		if isEnd(err) {
			break
		}
		if err != nil {
			return end, err
		}
		end = s.at
		if fr.Kind == kindStreams {
			v.named(&fr)
		} else if fr.Kind == kindBatches && fr.First.Events < span.until.Events {
			v.batches(&fr, span.number)
		}
	}
	return end, nil
}

// done says that all that is wanted is known.
func (v *survey) done() bool {
	if v.told < len(v.gaps) {
		return false
	}
	return v.pos.Events >= v.until.Events || v.mark != nil && v.at != nil
}

// named takes in a streams frame.
func (v *survey) named(f *scanned) {
	flags, streams, _ := parseStreams(f.payload)
	if f.First.Events < v.pos.Events {
		return // A copy of what was there already.
	}
	if flags&streamsComplete == 0 {
		for _, st := range streams {
			v.stream(st.Index).Name, v.stream(st.Index).Incarnation = st.Name, st.Incarnation
			v.stream(st.Index).LastSeq = max(v.stream(st.Index).LastSeq, st.LastSeq)
		}
		return
	}
	v.reach(f.First)
	v.tell(streams)
	v.based, v.closing = true, flags&streamsClosing != 0
}

// batches takes in a frame of batches.
func (v *survey) batches(f *scanned, segment uint64) {
	if f.First.Events < v.pos.Events {
		return
	}
	v.reach(f.First)
	v.closing = false
	if v.mark != nil && v.at == nil && f.end().Events > v.mark.Events {
		v.note(Place{segment, f.off, f.First})
		v.countTo(f.payload, v.mark.Events-f.First.Events)
	}
	var b record.Batch
	at := f.First.Events
	for rest := f.payload; len(rest) > 0; {
		rest = rest[record.Parse(rest, &b):]
		v.hint(&b)
		v.stream(b.Stream).add(&b)
		v.origins = remember(v.origins, &b, at)
		v.offset(&b)
		at += uint64(b.Count)
	}
	v.pos = f.end()
}

// offset notes how far a batch goes in its partition.
func (v *survey) offset(b *record.Batch) {
	key, _, last, ok := b.Offsets()
	if !ok {
		return
	}
	if v.offsets == nil {
		v.offsets = make(map[[16]byte]int64)
	}
	if old, known := v.offsets[key]; !known || old < last {
		v.offsets[key] = last
	}
}

// reach moves to a position; what is before it is missing.
func (v *survey) reach(to Position) {
	if to.Events <= v.pos.Events {
		return
	}
	if v.mark != nil && v.at == nil && to.Events > v.mark.Events {
		v.note(Place{Position: to})
		v.at.to++ // It is in this gap, or right before it.
	}
	v.gaps = append(v.gaps, gap{from: v.pos, to: to, hints: map[uint32]missing{}})
	v.pos = to
}

// stream is the entry of a stream, which is made where it is missing: damage may
// have taken its name.
func (v *survey) stream(index uint32) *Stream {
	st := v.streams[index]
	if st == nil {
		st = &Stream{Index: index, Name: LostName(index)}
		v.streams[index] = st
	}
	return st
}

// hint notes the records that are missing before a batch by its number.
func (v *survey) hint(b *record.Batch) {
	first := v.seen[b.Stream]
	v.seen[b.Stream] = len(v.gaps)
	last := v.stream(b.Stream).LastSeq
	if b.FirstSeq <= last+1 {
		return
	}
	lacking := b.FirstSeq - last - 1
	for i := max(first, v.told); i < len(v.gaps) && lacking > 0; i++ {
		n := min(lacking, v.gaps[i].records())
		v.gaps[i].hints[b.Stream] = missing{n, last + 1}
		lacking, last = lacking-n, last+n
	}
}

func (g *gap) records() uint64 { return g.to.Records - min(g.from.Records, g.to.Records) }

// note remembers what was counted before the mark.
func (v *survey) note(place Place) {
	v.at = &marked{totals: map[uint32]Count{}, place: place, from: v.told, to: len(v.gaps)}
	for i, st := range v.streams {
		v.at.totals[i] = Count{st.Records, st.Bytes}
	}
}

// countTo adds the first events of a payload to what is before the mark.
func (v *survey) countTo(payload []byte, events uint64) {
	var b record.Batch
	for events > 0 && len(payload) > 0 {
		payload = payload[record.Parse(payload, &b):]
		if events < uint64(b.Count) {
			b.Slice(0, int(events))
		}
		events -= uint64(b.Count)
		if b.Kind == record.KindRecords {
			c := v.at.totals[b.Stream]
			v.at.totals[b.Stream] = Count{c.Records + uint64(b.Count), c.Bytes + uint64(b.Bytes)}
		}
	}
}

// finish ends the walk at a position, with the totals there, or nil where
// nobody knows them.
func (v *survey) finish(end Position, totals []Stream) {
	v.reach(end)
	v.tell(totals)
	if v.mark != nil && v.at == nil {
		v.note(Place{Position: end})
	}
}

// tell divides the open gaps among the streams, so that the totals result, and
// goes on with these.
func (v *survey) tell(totals []Stream) {
	var owed map[uint32]*Count
	if totals != nil && v.based {
		owed = map[uint32]*Count{}
		for _, st := range totals {
			had := v.stream(st.Index)
			owed[st.Index] = &Count{st.Records - min(had.Records, st.Records), st.Bytes - min(had.Bytes, st.Bytes)}
		}
	}
	for _, st := range totals {
		v.stream(st.Index).Name = st.Name
	}
	one := len(v.gaps)-v.told == 1
	for ; v.told < len(v.gaps); v.told++ {
		v.divide(&v.gaps[v.told], owed, one)
	}
	for _, st := range totals {
		*v.streams[st.Index] = st
	}
}

func isEnd(err error) bool { return errors.Is(err, io.EOF) }
