package diskbuffer

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/spillway/spillway/internal/record"
)

// readCursor reads both slots. A slot that a live process is writing may look
// damaged for a moment.
func (in *inspection) readCursor() error {
	f, err := in.dir.Open(cursorName, false)
	if errors.Is(err, fs.ErrNotExist) {
		in.blurred = true
		in.missing = append(in.missing, Damage{File: cursorName, What: "it is missing, so all that is there counts as not settled"})
		return nil
	}
	if err != nil {
		return fmt.Errorf("open the cursor: %w", err)
	}
	state, next, good, err := readSlots(f)
	size := int64(0)
	if err == nil {
		var n int
		n, err = readFull(f, make([]byte, cursorSize), 0)
		size = int64(n)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("read the cursor: %w", err)
	}
	in.slot, in.cursor, in.blurred = state, good > 0, good < 2
	in.report.Settled, in.report.Offered = state.Settled, state.Offered
	switch {
	case good == 0:
		in.damage(Damage{cursorName, 0, size, "neither of its two states is readable, so all that is there counts as not settled"})
	case good == 1 && !in.report.Locked:
		at := int64(next) * slotStride
		in.damage(Damage{cursorName, min(at, size), min(at+slotSize, size), "one of its two states is unreadable; the other one counts, which may be the older"})
	}
	return nil
}

func (in *inspection) damage(d Damage) { in.report.Damage = append(in.report.Damage, d) }

// readMeta reads buffer.json.
func (in *inspection) readMeta() error {
	in.missing = append(in.missing, Damage{File: metaName, What: "it is missing, so nothing says where the records were going"})
	return in.with(metaName, func(f File) error {
		in.missing = in.missing[:len(in.missing)-1]
		text, err := readAll(f, maxMeta)
		if err != nil {
			return fmt.Errorf("read %s: %w", metaName, err)
		}
		meta, err := decodeMeta(text)
		if err != nil {
			in.damage(Damage{metaName, 0, int64(len(text)), "nothing says where the records were going: " + err.Error()})
			return nil //nolint:nilerr // It is damage, which is what was asked.
		}
		in.meta, in.hasMeta = meta, true
		in.report.Identity, in.report.Made, in.report.About = meta.Identity, meta.Made, meta.About
		return nil
	})
}

// segment goes through one segment.
func (in *inspection) segment(s *foundSegment, last bool) error {
	return in.with(s.name, func(f File) error {
		if !s.valid && s.size > 0 && !(in.report.Locked && last) {
			s.bad = append(s.bad, Damage{s.name, 0, min(s.size, segmentHeaderSize), "the header of the segment is damaged"})
		}
		frames := in.frames(f, s)
		defer frames.unpack.close()
		for {
			frame, err := frames.next()
			if frames.bad >= 0 {
				to := s.size
				if err == nil {
					to = frame.off
				}
				in.bad(s, frames.bad, to, err != nil && last)
			}
			if err == nil {
				err = in.whole(s, &frame)
			}
			if err != nil {
				return notEOF(err)
			}
		}
	})
}

// bad notes a range of a segment that holds no frame.
func (in *inspection) bad(s *foundSegment, from, to int64, torn bool) {
	if torn && in.report.Locked {
		return // A process is writing it at this moment.
	}
	if !s.valid {
		from = max(from, segmentHeaderSize) // What is before has been noted.
	}
	if from >= to {
		return
	}
	what := "no frame is readable here"
	if torn {
		what = "the end is torn: its process was killed, or the power went, while it was written"
	}
	s.bad = append(s.bad, Damage{s.name, from, to, what})
	s.dropped = s.dropped.with(from, to)
}

// whole takes a frame that is as it was written.
func (in *inspection) whole(s *foundSegment, h *scanned) error {
	if h.First.Events < in.end.Events || h.Kind == kindBatches && h.First.Events >= s.until.Events {
		s.dropped = s.dropped.with(h.off, h.off+h.size())
		if h.Kind == kindBatches && h.First.Events < s.until.Events {
			s.duplicates++
		}
		return nil
	}
	s.good++
	s.kept = s.kept.with(h.off, h.off+h.size())
	if h.Kind == kindStreams && !in.learn(h.payload) {
		return nil
	}
	if h.First.Events > in.end.Events {
		if in.report.Locked {
			// What seems to be missing may have been settled and deleted just now.
			if err := in.settledMeanwhile(); err != nil {
				return err
			}
		}
		in.advance(h.First)
	}
	if h.Kind != kindBatches {
		return nil
	}
	in.end = h.end()
	in.count(&h.frameHeader)
	in.follow(h.payload)
	if in.visit == nil {
		return nil
	}
	settled := uint64(0)
	if at := in.report.Settled.Events; at > h.First.Events {
		settled = min(at-h.First.Events, uint64(h.Events))
	}
	return in.visit(Frame{
		File: s.name, Offset: h.off, First: h.First, Events: int(h.Events), Records: int(h.Records), Settled: int(settled),
		Payload: h.payload, StreamName: in.streamName,
	})
}

// advance moves the end on, over what cannot be read.
func (in *inspection) advance(to Position) {
	to = later(in.end, to)
	if from := max(in.end.Records, in.report.Settled.Records); to.Records > from {
		in.report.Lost += to.Records - from
	}
	in.end = to
}

// count counts what of a frame is not settled.
func (in *inspection) count(h *frameHeader) {
	end, settled := h.end(), in.report.Settled
	if end.Events <= settled.Events {
		return
	}
	in.report.Frames++
	events := end.Events - max(h.First.Events, settled.Events)
	records := end.Records - max(h.First.Records, min(settled.Records, end.Records))
	in.report.Records += records
	in.report.Markers += events - min(records, events)
}

// settledMeanwhile looks at the cursor of a live process once more.
func (in *inspection) settledMeanwhile() error {
	return in.with(cursorName, func(f File) error {
		state, _, good, err := readSlots(f)
		if err != nil || good == 0 {
			return err
		}
		if state.Settled.Events > in.report.Settled.Events {
			in.report.Settled, in.report.Offered = state.Settled, state.Offered
		}
		return nil
	})
}

// learn takes the streams of a streams frame, and reports whether they are all.
func (in *inspection) learn(payload []byte) (all bool) {
	flags, streams, _ := parseStreams(payload)
	all = flags&streamsComplete != 0
	for i := range streams {
		if st := in.streams[streams[i].Index]; st == nil || all {
			in.streams[streams[i].Index] = &streams[i]
		} else {
			st.Name = streams[i].Name
		}
	}
	return all
}

// follow keeps the totals of the streams.
func (in *inspection) follow(payload []byte) {
	for rest := payload; len(rest) > 0; {
		var b record.Batch
		rest = rest[record.Parse(rest, &b):]
		st := in.streams[b.Stream]
		if st == nil {
			st = &Stream{Index: b.Stream}
			in.streams[b.Stream] = st
		}
		st.add(&b)
	}
}

// streamName is the name of a stream. Where damage hides it so far, the rest of
// the segments is searched for it once.
func (in *inspection) streamName(index uint32) string {
	if st := in.streams[index]; st != nil && st.Name != "" {
		return st.Name
	}
	if !in.ahead {
		in.ahead = true
		in.lookAhead()
	}
	if st := in.streams[index]; st != nil && st.Name != "" {
		return st.Name
	}
	return LostName(index)
}

// lookAhead learns the names of streams from all segments. What goes wrong here
// goes wrong again where it is reported.
func (in *inspection) lookAhead() {
	other := newInspection(in.dir)
	for _, s := range in.found {
		//nolint:errcheck // Said above.
		in.with(s.name, func(f File) error {
			frames := in.frames(f, s)
			defer frames.unpack.close()
			for {
				frame, err := frames.next()
				if err != nil {
					return err
				}
				if frame.Kind == kindStreams {
					other.learn(frame.payload)
				}
			}
		})
	}
	for index, st := range other.streams {
		if mine := in.streams[index]; mine == nil {
			in.streams[index] = &Stream{Index: index, Name: st.Name}
		} else if mine.Name == "" {
			mine.Name = st.Name
		}
	}
}
