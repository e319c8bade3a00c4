package diskbuffer

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
)

// Inspect reads a directory without writing to it, and calls visit, which may be
// nil, for each frame in order, settled ones included. An error of visit ends it.
// The memory that it takes is bounded by the largest frame. A process that uses
// the directory may go on: what it has not finished to write is not looked at,
// and what it settles and deletes meanwhile is not missed.
//
// Damage is no error: the report tells it. An error says what could not be read.
func Inspect(dir FS, visit func(Frame) error) (Report, error) {
	in := newInspection(dir)
	in.visit = visit
	err := in.run()
	return in.report, err
}

// inspection is one run of Inspect.
type inspection struct {
	dir    FS
	visit  func(Frame) error
	report Report
	// found are the segments, in the order of what is in them, aside those of another
	// buffer.
	found, aside []*foundSegment
	// mine is the tag of the buffer's frames, once known.
	mine  tag
	known bool
	// cursor is false where both slots are unreadable, blurred true where one is, so
	// that nobody knows what was offered.
	cursor, blurred bool
	slot            slot
	meta            Meta
	// hasMeta: buffer.json is good.
	hasMeta bool
	// missing are the files without which there is no buffer, unless nothing of it
	// is there any more.
	missing []Damage
	// end is where the last whole frame ended.
	end     Position
	streams map[uint32]*Stream
	// ahead: the names were looked for in all segments.
	ahead bool

	header [segmentHeaderSize]byte
}

func newInspection(dir FS) *inspection {
	return &inspection{dir: dir, streams: make(map[uint32]*Stream)}
}

func (in *inspection) run() error {
	if p, ok := in.dir.(interface{ InUse() (bool, error) }); ok {
		locked, err := p.InUse()
		if err != nil {
			return err
		}
		in.report.Locked = locked
	}
	if err := in.readCursor(); err != nil {
		return err
	}
	if err := in.readMeta(); err != nil {
		return err
	}
	if err := in.readHeaders(); err != nil {
		return err
	}
	for i, s := range in.found {
		if err := in.segment(s, i == len(in.found)-1); err != nil {
			return err
		}
	}
	in.finish()
	return nil
}

// readHeaders lists the segments and puts them in order.
func (in *inspection) readHeaders() error {
	entries, err := in.dir.List()
	if err != nil {
		return fmt.Errorf("list the disk buffer: %w", err)
	}
	slices.SortFunc(entries, func(a, b Entry) int { return cmp.Compare(a.Name, b.Name) })
	for _, e := range entries {
		number, isSegment := segmentNumber(e.Name)
		switch {
		case isSegment:
			in.found = append(in.found, &foundSegment{name: e.Name, size: e.Size, number: number})
			in.report.Segments++
			in.report.Bytes += e.Size
		case strings.HasSuffix(e.Name, asideSuffix):
			in.report.SetAside += e.Size
		default:
			in.report.Bytes += e.Size
		}
	}
	for _, s := range in.found {
		if err := in.readHeader(s); err != nil {
			return err
		}
	}
	if in.report.Bytes > 0 {
		in.report.Damage = append(in.report.Damage, in.missing...)
	}
	in.findTag()
	for _, s := range in.found {
		if err := in.place(s); err != nil {
			return err
		}
	}
	in.order()
	if len(in.found) == 0 || in.found[0].first == never {
		return nil
	}
	in.end = in.found[0].first
	if !in.cursor {
		in.report.Settled = in.end
	}
	in.report.Lost = in.end.Records - min(in.report.Settled.Records, in.end.Records)
	return nil
}

// order sorts the segments by position, as Open does. One without a frame is where
// its name says; one of another buffer is left alone.
func (in *inspection) order() {
	for _, s := range in.found {
		if s.foreign {
			in.aside = append(in.aside, s)
		}
	}
	in.found = slices.DeleteFunc(in.found, func(s *foundSegment) bool { return s.foreign })
	next := never
	for _, s := range slices.Backward(in.found) {
		if !s.placed {
			s.first = next
		}
		next = s.first
	}
	slices.SortFunc(in.found, func(a, b *foundSegment) int {
		return cmp.Or(cmp.Compare(a.first.Events, b.first.Events), cmp.Compare(a.number, b.number))
	})
	until := never
	for i := len(in.found) - 1; i >= 0; i-- {
		// A segment with the same beginning is a copy, and ends where this one does.
		if i+1 < len(in.found) && in.found[i+1].first.Events > in.found[i].first.Events {
			until = in.found[i+1].first
		}
		in.found[i].until = until
	}
}

// readHeader reads the header of a segment; one that a live process has deleted
// meanwhile stays without.
func (in *inspection) readHeader(s *foundSegment) error {
	return in.with(s.name, func(f File) error {
		n, err := readFull(f, in.header[:min(segmentHeaderSize, s.size)], 0)
		if err != nil {
			return fmt.Errorf("read the header of %s: %w", s.name, err)
		}
		// A file as short as its header holds nothing that would tell a bad one.
		s.valid = n == segmentHeaderSize && s.header.parse(in.header[:])
		return nil
	})
}

// with opens a file for reading. One that is gone is passed over.
func (in *inspection) with(name string, do func(f File) error) error {
	f, err := in.dir.Open(name, false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open %s: %w", name, err)
	}
	return errors.Join(do(f), f.Close())
}

// findTag finds out whose frames belong here: those of most headers, else those
// of buffer.json, else those of the first whole frame.
func (in *inspection) findTag() {
	in.mine, in.known = tag(in.meta.Incarnation[:8]), in.hasMeta
	votes := make(map[tag]int)
	for _, s := range in.found {
		if !s.valid {
			continue
		}
		t := s.header.tag()
		if votes[t]++; len(votes) == 1 || votes[t] > votes[in.mine] {
			in.mine, in.known = t, true
		}
	}
	if in.hasMeta && in.mine != tag(in.meta.Incarnation[:8]) {
		in.damage(Damage{File: metaName, What: "it is of another buffer than the segments, or damaged"})
	}
}

// place finds where a segment belongs.
func (in *inspection) place(s *foundSegment) error {
	if s.valid {
		s.first, s.placed, s.foreign = s.header.First, true, s.header.tag() != in.mine
		return nil
	}
	return in.with(s.name, func(f File) error {
		frame, err := in.frames(f, s).next()
		if err == nil {
			s.first, s.placed = frame.First, true
			if !in.known {
				in.mine, in.known = frame.Tag, true
			}
		}
		return notEOF(err)
	})
}

// frames walks over the frames of a segment.
func (in *inspection) frames(f File, s *foundSegment) *scan {
	from := int64(0)
	if s.valid {
		from = segmentHeaderSize
	}
	frames := newScan(f, min(from, s.size), s.size, in.mine)
	frames.any = !in.known
	return frames
}

func notEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// finish completes the report.
func (in *inspection) finish() {
	r := &in.report
	r.Clean = in.cursor && in.slot.Clean
	in.advance(r.Settled)
	if r.Clean {
		in.advance(in.slot.End)
	}
	r.End = in.end
	r.Settled.Records = min(r.Settled.Records, r.End.Records)
	if r.Offered = min(r.Offered, r.End.Events); in.blurred {
		r.Offered = r.End.Events
	}
	for _, s := range in.found {
		r.Damage = append(r.Damage, s.bad...)
		if s.duplicates > 0 {
			r.Damage = append(r.Damage, Damage{File: s.name, What: fmt.Sprintf("%d frames stand in another segment as well", s.duplicates)})
		}
		if s.renamed() {
			r.Damage = append(r.Damage, Damage{File: s.name, What: fmt.Sprintf("it is segment %016x, under another name", s.header.Number)})
		}
	}
	for _, s := range in.aside {
		r.Damage = append(r.Damage, Damage{File: s.name, What: "it belongs to another buffer and counts for nothing"})
	}
	for _, d := range r.Damage {
		r.DamagedBytes += d.To - d.From
	}
	for _, st := range in.streams {
		r.Streams = append(r.Streams, *st)
	}
	slices.SortFunc(r.Streams, func(a, b Stream) int { return cmp.Compare(a.Index, b.Index) })
}
