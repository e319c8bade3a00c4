package diskbuffer

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
)

// asideSuffix ends the names of what a repair took out of a buffer. Nothing of
// this program reads it again, or deletes it.
const asideSuffix = ".bad"

// tempSuffix ends the names of files that a repair has not finished. They are of
// no use to anybody, and the next repair makes them anew.
const tempSuffix = ".new"

// Plan is what Repair does.
type Plan struct {
	Report Report
	// Steps are in the order in which they are done.
	Steps []Step
	// Beyond is damage that no repair can undo: what is gone is not there.
	Beyond []string
}

// Step is one thing that a repair does.
type Step struct {
	// File is what it changes, and What says how, for people.
	File, What string
	// SetAside are the bytes that it takes out and keeps in files of their own.
	SetAside int64

	kind    stepKind
	segment *foundSegment
}

type stepKind uint8

const (
	rewriteSegment  stepKind = iota // without what is no frame of it
	setSegmentAside                 // as a whole
	rewriteCursor
)

// PlanRepair says what Repair would do, and writes nothing.
func PlanRepair(dir FS) (*Plan, error) {
	in := newInspection(dir)
	if err := in.run(); err != nil {
		return nil, err
	}
	return in.plan(), nil
}

func (in *inspection) plan() *Plan {
	p := &Plan{Report: in.report}
	for _, s := range in.aside {
		p.Steps = append(p.Steps, Step{
			File: s.name, What: "set it aside as a whole: it belongs to another buffer", SetAside: s.size, kind: setSegmentAside, segment: s,
		})
	}
	for _, s := range in.found {
		if !s.damaged() {
			continue
		}
		aside := int64(0)
		for _, d := range s.dropped {
			aside += d.to - d.from
		}
		switch {
		case len(s.kept) == 0 && (!s.valid || s.duplicates > 0):
			p.Steps = append(p.Steps, Step{
				File: s.name, What: "set it aside as a whole: it holds no frame that is not elsewhere", SetAside: s.size,
				kind: setSegmentAside, segment: s,
			})
		default:
			if !s.valid || s.renamed() {
				aside += min(segmentHeaderSize, s.size)
			}
			p.Steps = append(p.Steps, Step{
				File: s.name, What: fmt.Sprintf("write it anew with its %d good frames, and set the rest aside", s.good), SetAside: aside,
				kind: rewriteSegment, segment: s,
			})
		}
	}
	for _, d := range in.report.Damage {
		switch d.File {
		case cursorName:
			p.Steps = append(p.Steps, Step{File: cursorName, What: "write it anew: " + d.What, SetAside: d.To - d.From, kind: rewriteCursor})
		case metaName:
			p.Beyond = append(p.Beyond, metaName+": "+d.What+"; the records can be exported, and are not drained by themselves")
		}
	}
	if in.report.Lost > 0 {
		p.Beyond = append(p.Beyond, fmt.Sprintf("%d records are lost; who empties the buffer counts them as dropped", in.report.Lost))
	}
	return p
}

// ErrChanged says that a directory is not any more what a plan was made for.
var ErrChanged = errors.New("the disk buffer has changed since the plan was made")

// Repair does what a plan says. It takes the lock, which it holds until dir is
// closed, and gives ErrLocked where a process uses the buffer, and ErrChanged
// where the plan would be another one now. What it takes out of a file it first
// keeps, durably, in another one, whose name ends in .bad. Killed at any moment it
// leaves a buffer with every record that could be read before.
func Repair(dir FS, p *Plan) error {
	if err := dir.Lock(); err != nil {
		return err
	}
	in := newInspection(dir)
	if err := in.run(); err != nil {
		return err
	}
	now := in.plan()
	if !slices.EqualFunc(now.Steps, p.Steps, func(a, b Step) bool {
		return a.File == b.File && a.What == b.What && a.SetAside == b.SetAside
	}) {
		return ErrChanged
	}
	for _, s := range now.Steps {
		if err := in.repair(s); err != nil {
			return fmt.Errorf("repair %s: %w", s.File, err)
		}
	}
	return nil
}

func (in *inspection) repair(s Step) error {
	switch s.kind {
	case setSegmentAside:
		name, err := in.freeName(s.File)
		if err == nil {
			err = in.dir.Rename(s.File, name)
		}
		return errors.Join(err, in.dir.Sync())
	case rewriteCursor:
		return in.repairCursor()
	default:
		return in.repairSegment(s.segment)
	}
}

// freeName is a name for what is set aside of a file, which nothing has.
func (in *inspection) freeName(of string) (string, error) {
	entries, err := in.dir.List()
	if err != nil {
		return "", err
	}
	for n := 1; ; n++ {
		name := of + asideSuffix
		if n > 1 {
			name = fmt.Sprintf("%s.%d%s", of, n, asideSuffix)
		}
		if !slices.ContainsFunc(entries, func(e Entry) bool { return e.Name == name }) {
			return name, nil
		}
	}
}

// repairSegment keeps what it takes out of a segment, and then puts one with the
// rest in its place.
func (in *inspection) repairSegment(s *foundSegment) error {
	f, err := in.dir.Open(s.name, false)
	if err != nil {
		return err
	}
	defer f.Close() // It was only read.
	aside := slices.Clone(s.dropped)
	header := in.newHeader(s)
	if !s.valid || s.renamed() {
		aside = append(aside, span{0, min(segmentHeaderSize, s.size)})
	}
	for _, d := range aside {
		name, err := in.freeName(fmt.Sprintf("%s.%d-%d", s.name, d.from, d.to))
		if err == nil {
			err = in.copySpans(name, nil, f, []span{d})
		}
		if err != nil {
			return fmt.Errorf("set bytes %d to %d aside: %w", d.from, d.to, err)
		}
	}
	// What is set aside must be durable before it is in no segment any more.
	if err := in.dir.Sync(); err != nil {
		return err
	}
	return in.replace(s.name, func(temp string) error { return in.copySpans(temp, header, f, s.kept) })
}

// newHeader is the header of a segment whose own is bad, or says another number.
func (in *inspection) newHeader(s *foundSegment) []byte {
	h := s.header
	if !s.valid {
		h = segmentHeader{First: s.first, Limit: in.meta.Limit, Incarnation: in.meta.Incarnation}
		if in.hasMeta {
			h.Identity = identitySum(in.meta.Identity)
		}
		for _, other := range in.found {
			if other.valid && other.header.tag() == in.mine {
				h.Limit, h.Incarnation, h.Identity = other.header.Limit, other.header.Incarnation, other.header.Identity
				break
			}
		}
		copy(h.Incarnation[:], in.mine[:])
	}
	h.Number = s.number
	dst := make([]byte, segmentHeaderSize)
	h.put(dst)
	return dst
}

// copySpans makes a durable file of a beginning and of pieces of another file.
func (in *inspection) copySpans(name string, beginning []byte, from File, spans []span) error {
	to, err := in.dir.Create(name)
	if err != nil {
		return err
	}
	err = in.writeSpans(to, beginning, from, spans)
	if err == nil {
		err = to.Sync()
	}
	return errors.Join(err, to.Close())
}

func (in *inspection) writeSpans(to File, beginning []byte, from File, spans []span) error {
	at := int64(len(beginning))
	if at > 0 {
		if err := to.WriteAt(0, beginning); err != nil {
			return err
		}
	}
	buf := make([]byte, 1<<20)
	for _, s := range spans {
		for s.from < s.to {
			n, err := readFull(from, buf[:min(int64(len(buf)), s.to-s.from)], s.from)
			if err == nil && n == 0 {
				err = fs.ErrInvalid
			}
			if err == nil {
				err = to.WriteAt(at, buf[:n])
			}
			if err != nil {
				return err
			}
			s.from, at = s.from+int64(n), at+int64(n)
		}
	}
	return nil
}

// replace makes a file anew beside the old one and then puts it in its place.
func (in *inspection) replace(name string, write func(temp string) error) error {
	temp := name + tempSuffix
	if err := in.dir.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := write(temp); err != nil {
		return err
	}
	if err := in.dir.Rename(temp, name); err != nil {
		return err
	}
	return in.dir.Sync()
}

// repairCursor writes both states of the cursor. Since one was unreadable, all that
// is there counts as possibly delivered.
func (in *inspection) repairCursor() error {
	state := in.slot
	state.Offered = in.report.Offered
	if !in.cursor {
		state.Settled = in.report.Settled
	}
	old, err := in.dir.Open(cursorName, false)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	default:
		err := in.keepCursor(old)
		if err := errors.Join(err, old.Close()); err != nil {
			return fmt.Errorf("set it aside: %w", err)
		}
	}
	return in.replace(cursorName, func(temp string) error {
		f, err := in.dir.Create(temp)
		if err != nil {
			return err
		}
		for i := range int64(2) {
			state.Generation++
			var text [slotSize]byte
			state.put(text[:])
			if err := f.WriteAt(i*slotStride, text[:]); err != nil {
				return errors.Join(err, f.Close())
			}
		}
		return errors.Join(f.Sync(), f.Close())
	})
}

func (in *inspection) keepCursor(old File) error {
	entries, err := in.dir.List()
	if err != nil {
		return err
	}
	size := int64(0)
	for _, e := range entries {
		if e.Name == cursorName {
			size = e.Size
		}
	}
	name, err := in.freeName(cursorName)
	if err != nil {
		return err
	}
	if err := in.copySpans(name, nil, old, []span{{0, size}}); err != nil {
		return err
	}
	return in.dir.Sync()
}
