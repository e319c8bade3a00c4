package diskbuffer

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
)

// headers reads the header of every segment file and puts them into the order
// of what they hold.
func (r *recovery) headers(names []Entry, meta *Meta, known bool) error {
	if known {
		r.identify(*meta)
	}
	for _, e := range names {
		h, ok, err := readSegmentHeader(r.dir, e.Name)
		if err != nil {
			return err
		}
		number, _ := segmentNumber(e.Name)
		r.next = max(r.next, number+1)
		switch {
		case !ok:
			r.note("%s: its header is damaged", e.Name)
		case !known:
			// The first good header tells what buffer.json does not.
			known = true
			r.header = h
			r.tag = h.tag()
			meta.Incarnation, meta.Limit = h.Incarnation, h.Limit
			if identitySum(meta.Identity) != h.Identity {
				meta.Identity = ""
			}
		case h.tag() != r.tag:
			r.note("%s: it belongs to another buffer and is left alone", e.Name)
			continue
		}
		if ok && h.Number != number {
			r.note("%s: it holds segment %d", e.Name, h.Number)
			r.next = max(r.next, h.Number+1)
		}
		if !ok {
			h = segmentHeader{First: never}
		}
		r.segments = append(r.segments, &segment{
			number: number, name: e.Name, first: h.First, headed: ok, head: segmentHeaderSize, written: e.Size, size: e.Size,
		})
	}
	r.any = !known
	if len(r.segments) == 0 && !known {
		r.identify(Meta{Incarnation: newIncarnation()})
		meta.Incarnation, meta.Identity = r.header.Incarnation, ""
	}
	return r.order()
}

// order sorts the segments by position. One whose header is damaged begins with
// its first frame, or is where its number says if it has none.
func (r *recovery) order() error {
	for _, seg := range r.segments {
		if seg.first != never {
			continue
		}
		f, ok, err := r.firstFrame(seg)
		if err != nil {
			return err
		}
		if ok {
			seg.first = f.First
		}
	}
	next := never
	for i := len(r.segments) - 1; i >= 0; i-- {
		if r.segments[i].first == never {
			r.segments[i].first = next
		}
		next = r.segments[i].first
	}
	slices.SortFunc(r.segments, func(a, b *segment) int {
		return cmp.Or(cmp.Compare(a.first.Events, b.first.Events), cmp.Compare(a.number, b.number))
	})
	return nil
}

// firstFrame is the first whole frame of a segment. The first one of all says
// what tag frames have, where nothing else does.
func (r *recovery) firstFrame(seg *segment) (scanned, bool, error) {
	fr, ok, err := firstFrame(r.dir, seg.name, seg.written, r.tag, r.any)
	if ok && r.any {
		r.any, r.tag = false, fr.Tag
		copy(r.header.Incarnation[:], fr.Tag[:])
	}
	return fr, ok, err
}

func firstFrame(dir FS, name string, size int64, t tag, any bool) (fr scanned, ok bool, err error) {
	f, err := dir.Open(name, false)
	if errors.Is(err, fs.ErrNotExist) {
		return scanned{}, false, nil // It was settled.
	}
	if err != nil {
		return scanned{}, false, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	s := newScan(f, 0, size, t)
	defer s.unpack.close()
	s.any = any
	fr, err = s.next()
	if isEnd(err) {
		return scanned{}, false, nil
	}
	if err != nil {
		return scanned{}, false, fmt.Errorf("read segment %s: %w", name, err)
	}
	return fr, true, nil
}

// opening is the end of what opens a segment, if that names all streams.
func opening(dir FS, span frameSpan, t tag) (end int64, ok bool, err error) {
	fr, ok, err := firstFrame(dir, span.name, span.limit, t, false)
	if err != nil || !ok || fr.Kind != kindStreams {
		return 0, false, err
	}
	flags, _, _ := parseStreams(fr.payload)
	return fr.off + fr.size(), flags&streamsComplete != 0, nil
}

// based goes back from a segment to one that begins with all streams.
func based(dir FS, all []frameSpan, from int, t tag) (int, error) {
	for ; from > 0; from-- {
		if _, ok, err := opening(dir, all[from], t); ok || err != nil {
			return from, err
		}
	}
	return 0, nil
}

func readSegmentHeader(dir FS, name string) (h segmentHeader, ok bool, err error) {
	f, err := dir.Open(name, false)
	if err != nil {
		return h, false, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	var buf [segmentHeaderSize]byte
	if _, err := readFull(f, buf[:], 0); err != nil {
		return h, false, fmt.Errorf("read the header of segment %s: %w", name, err)
	}
	return h, h.parse(buf[:]), nil
}
