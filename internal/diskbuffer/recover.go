package diskbuffer

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
)

// Open opens the buffer in dir, locks it, and owns dir from then on; on an error
// it closes dir. Where there is no buffer the error is fs.ErrNotExist, and where
// another process has it, ErrLocked. It reads the header of every segment, and
// what the last one and the one with the cursor hold; more only where these are
// damaged. It changes nothing but for a torn end of the last segment, which it
// cuts off: bytes in which there is no whole frame.
func Open(dir FS, o Options) (*Store, *Found, error) {
	s, found, err := openStore(dir, o)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("open disk buffer: %w", err), dir.Close())
	}
	return s, found, nil
}

func openStore(dir FS, o Options) (*Store, *Found, error) {
	if err := dir.Lock(); err != nil {
		return nil, nil, err
	}
	entries, err := dir.List()
	if err != nil {
		return nil, nil, err
	}
	r := &recovery{Store: newStore(dir, o), found: &Found{}}
	if err := r.open(entries); err != nil {
		for _, seg := range r.segments {
			if seg.file != nil {
				err = errors.Join(err, seg.file.Close())
			}
		}
		if r.cursor != nil {
			err = errors.Join(err, r.cursor.file.Close())
		}
		return nil, nil, err
	}
	return r.Store, r.found, nil
}

// recovery is a store that is being opened.
type recovery struct {
	*Store
	found *Found
	any   bool // nothing says which frames are this buffer's: the first one does
	good  int  // slots of the cursor that were good
}

func (r *recovery) note(format string, args ...any) {
	r.found.Notes = append(r.found.Notes, fmt.Sprintf(format, args...))
}

func (r *recovery) open(entries []Entry) error {
	meta, err := readMeta(r.dir)
	for try := 1; try < readTries && err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errMeta); try++ {
		meta, err = readMeta(r.dir)
	}
	known := err == nil
	var names []Entry
	for _, e := range entries {
		r.used += e.Size
		if _, ok := segmentNumber(e.Name); ok {
			names = append(names, e)
		}
	}
	if !known {
		if len(names) == 0 && !errors.Is(err, errMeta) {
			// A Create, or a Remove, that did not come to its end. Or it cannot be
			// read now: what is appended under another incarnation would be foreign
			// as soon as it can be.
			return err
		}
		r.note("%s: %v; where the records were going is unknown", metaName, err)
	}
	slices.SortFunc(names, func(a, b Entry) int { return cmp.Compare(a.Name, b.Name) })
	if err := r.headers(names, &meta, known); err != nil {
		return err
	}
	r.found.Meta = meta
	if err := r.readCursor(); err != nil {
		return err
	}
	if err := r.readEnd(); err != nil {
		return err
	}
	return r.readPending()
}

// readCursor reads the cursor, or makes a new one. Where a slot is damaged,
// nobody knows what was offered: all may have been delivered.
func (r *recovery) readCursor() error {
	c, good, err := openCursor(r.dir)
	if errors.Is(err, fs.ErrNotExist) {
		r.note("%s: it is missing; all records are delivered again", cursorName)
		if c, err = createCursor(r.dir, slot{}); err == nil {
			r.used += cursorSize
		}
	}
	if err != nil {
		return err
	}
	r.cursor, r.good = c, good
	if good > 0 {
		if good == 1 {
			r.note("%s: one of its two states is damaged", cursorName)
		}
		return nil
	}
	r.note("%s: it is damaged; all records are delivered again", cursorName)
	if len(r.segments) > 0 && r.segments[0].first != never {
		c.state.Settled = r.segments[0].first
	}
	return nil
}

// readEnd finds where the buffer ends and what the streams are there.
func (r *recovery) readEnd() error {
	all := spans(r.segments)
	from, whole, err := r.enough(all)
	if err != nil {
		return err
	}
	v := newSurvey(r.cursor.state.Settled)
	if len(r.segments) > 0 && r.segments[from].first != never {
		v.pos = r.segments[from].first
	}
	end := int64(0)
	for i := from; i < len(all); i++ {
		if end, err = v.walk(r.dir, all[i], r.tag, r.any); err != nil {
			return fmt.Errorf("read segment %s: %w", all[i].name, err)
		}
	}
	read := v.pos
	r.conclude(v, len(all) > 0)
	if len(all) == 0 {
		return nil
	}
	return r.resume(end, whole && r.end == read, r.cursor.state.Clean && r.end != read)
}

// enough is from which segment on they must be read, to know all that is held in the
// streams at the end. whole says that it is the last one, and that its head is good.
func (r *recovery) enough(all []frameSpan) (from int, whole bool, err error) {
	last := len(all) - 1
	if last < 0 {
		return 0, false, nil
	}
	head, ok, err := opening(r.dir, all[last], r.tag)
	if err != nil {
		return 0, false, err
	}
	all[last].head, whole, from = head, ok && all[last].headed, last
	if !ok {
		from, err = based(r.dir, all, last, r.tag)
	}
	return from, whole, err
}

// conclude takes over what was read of the segments, if there are any.
func (r *recovery) conclude(v *survey, any bool) {
	state, read := &r.cursor.state, v.pos
	r.origins, r.originsHidden = v.origins, len(v.gaps) > 0
	r.found.Partitions = v.offsets
	// A segment says where it begins even if nothing in it is whole.
	for _, seg := range r.segments {
		if seg.headed {
			v.finish(later(v.pos, seg.first), nil)
		}
	}
	v.finish(later(v.pos, state.Settled), nil)
	if state.Clean {
		v.finish(later(v.pos, state.End), nil)
	}
	r.end = v.pos
	r.found.Clean = state.Clean && read == state.End && r.end == read && len(v.gaps) == 0
	r.changed = any && (!v.closing || r.end != read)
	if r.totalled = never; !r.changed {
		r.totalled = r.end
	}
	for _, st := range v.streams {
		r.know(&known{*st, r.end.Events})
	}
	if !v.based {
		r.fill()
	}
	for _, seg := range r.segments {
		if seg.first == never {
			seg.first = r.end
		}
	}
}

// later is the later one of two positions.
func later(a, b Position) Position {
	return Position{max(a.Events, b.Events), max(a.Records, b.Records)}
}

// fill makes up the streams before those that are known, where no table of all
// streams was readable: damage has taken their names.
func (r *recovery) fill() {
	const most = 1 << 12
	last := uint32(0)
	for i := range r.streams {
		last = max(last, i)
	}
	for i := range last {
		if r.streams[i] == nil && last < most {
			r.know(&known{Stream: Stream{Index: i, Name: LostName(i)}, end: r.end.Events})
		}
	}
}

// resume cuts a torn end off the last segment and opens it for more, if it may
// be continued. A promise says that what is behind the last frame was more than
// a write that did not come to its end, so that it stays.
func (r *recovery) resume(end int64, whole, promise bool) error {
	ends := spans(r.segments)
	for i, seg := range r.segments {
		seg.sealed = i < len(r.segments)-1
		seg.synced, seg.last = seg.first, ends[i].until
		if seg.last == never {
			seg.last = r.end
		}
		if r.found.Clean {
			seg.synced, seg.syncedTo, seg.named = seg.last, seg.written, true
		}
	}
	r.unnamed = true // Even after a clean close: what was left behind by a failed write may be continued.
	seg := r.segments[len(r.segments)-1]
	if seg.headed {
		end = max(end, segmentHeaderSize)
	}
	torn := seg.size - end
	if torn > 0 && promise {
		seg.sealed = true
		r.note("%s: its last %d bytes are damaged", seg.name, torn)
		return nil
	}
	if !whole && torn <= 0 {
		seg.sealed = true
		return nil
	}
	f, err := r.dir.Open(seg.name, true)
	if err != nil {
		return err
	}
	seg.file = f
	if torn > 0 {
		r.note("%s: a torn end of %d bytes was cut off", seg.name, torn)
		if err := f.Truncate(seg.size - torn); err != nil {
			seg.sealed = true
			r.note("%s: %v", seg.name, err)
			return nil
		}
		seg.size -= torn
		seg.written = seg.size
		seg.syncedTo = min(seg.syncedTo, seg.written) // What comes there now is not what was synced.
		r.used -= torn
	}
	seg.sealed = !whole
	return nil
}
