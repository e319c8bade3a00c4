package diskbuffer

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// errClosed is what a store returns after Close.
var errClosed = errors.New("disk buffer is closed")

// Store is one disk buffer. Append and AddStream have one caller at a time, and
// so do Read, Seek and Next; all other methods are for any goroutine, all at the
// same time.
//
// Locks are taken in this order: tidying, syncing, writing, mu. Only mu is short;
// it is never held over a call of the file system.
type Store struct {
	dir      FS
	options  Options
	segment  int64 // size of segments
	warm     int64 // keepWarm, but in tests
	tag      tag
	header   segmentHeader // what all segments have in common
	cursor   *cursor
	read     reader
	tidying  sync.Mutex
	syncing  sync.Mutex
	writing  sync.Mutex
	appender // belongs to writing

	mu       sync.Mutex
	segments []*segment // by position; the last may be written
	next     uint64     // number of the next segment
	end      Position
	used     int64 // bytes of all files
	streams  map[uint32]*known
	table    int64 // bytes of the entries of a table of all streams
	free     int64 // on the file system, at the last look
	readAt   Position
	changed  bool     // since the last streams frame that ends the buffer
	totalled Position // where that was
	unnamed  bool     // a segment's name may not be durable
	closed   bool
}

// known is a stream that the disk may hold records of.
type known struct {
	Stream
	end uint64 // events of the buffer behind its newest
}

// know makes a stream known that is not; the lock is held.
func (s *Store) know(st *known) {
	s.streams[st.Index] = st
	s.table += st.size()
}

// size is what it takes in a table of streams, in bytes.
func (k *known) size() int64 { return streamFixedSize + int64(len(k.Name)) }

// Create makes a buffer in dir, locks it, and owns dir from then on; on an error
// it closes dir. A buffer that is there already is fs.ErrExist. What an earlier
// Create left unfinished is replaced.
func Create(dir FS, m Meta, o Options) (*Store, error) {
	s, err := create(dir, m, o)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("create disk buffer: %w", err), dir.Close())
	}
	return s, nil
}

func create(dir FS, m Meta, o Options) (*Store, error) {
	if m.Incarnation == ([12]byte{}) {
		m.Incarnation = newIncarnation()
	}
	text, err := m.encode()
	if err != nil {
		return nil, err
	}
	if err := dir.Lock(); err != nil {
		return nil, err
	}
	entries, err := dir.List()
	if err != nil {
		return nil, err
	}
	s := newStore(dir, o)
	for _, e := range entries {
		if _, ok := segmentNumber(e.Name); ok || e.Name == metaName {
			return nil, fmt.Errorf("%s is there already: %w", e.Name, fs.ErrExist)
		}
		if e.Name != cursorName && e.Name != metaTempName {
			s.used += e.Size
		}
	}
	s.used += int64(len(text)) + cursorSize
	s.identify(m)
	if need := s.reserve(); s.used+need > o.Max {
		return nil, &FullError{Need: need, Used: s.used, Max: o.Max}
	}
	if s.cursor, err = createCursor(dir, slot{}); err != nil {
		return nil, err
	}
	// Last, since it is what makes the directory a buffer.
	if err := writeMeta(dir, text); err != nil {
		return nil, errors.Join(err, s.cursor.file.Close())
	}
	return s, nil
}

func newStore(dir FS, o Options) *Store {
	if o.Segment <= 0 {
		o.Segment = segmentSize(o.Max)
	}
	s := &Store{dir: dir, options: o, segment: o.Segment, warm: keepWarm, next: 1, streams: map[uint32]*known{}}
	s.pack.kind = o.Compression
	s.read.store = s
	return s
}

// Rebound changes Max, MinFree and Compression. Max is not lowered below what is in use
// and what the end of the store may take beside: what was taken is kept.
func (s *Store) Rebound(o Options) {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.pack.kind = o.Compression
	s.mu.Lock()
	defer s.mu.Unlock()
	s.options.MinFree, s.options.Compression = o.MinFree, o.Compression
	s.options.Max = max(o.Max, min(s.options.Max, s.used+s.reserve()+s.spare))
	s.segment = segmentSize(s.options.Max)
}

// Space is how many bytes of the file system are free, and how large it is.
func (s *Store) Space() (free, total int64, err error) { return s.dir.Space() }

// identify takes over what every segment repeats of the meta data.
func (s *Store) identify(m Meta) {
	s.header = segmentHeader{Limit: m.Limit, Incarnation: m.Incarnation, Identity: identitySum(m.Identity)}
	s.tag = s.header.tag()
}

// allStreams returns a copy of the streams, by index; the lock is held.
func (s *Store) allStreams() []Stream {
	all := make([]Stream, 0, len(s.streams))
	for _, st := range s.streams {
		all = append(all, st.Stream)
	}
	slices.SortFunc(all, func(a, b Stream) int { return cmp.Compare(a.Index, b.Index) })
	return all
}

// Settle says that all events before p are settled: they are not read again
// after the next Open. It never goes back, and costs one write at most; Tidy
// makes it durable.
func (s *Store) Settle(p Position) error {
	s.mu.Lock()
	end := s.end
	s.mu.Unlock()
	if p.Events > end.Events {
		return fmt.Errorf("settle events up to %d of a disk buffer that ends at %d", p.Events, end.Events)
	}
	return s.cursor.settle(p)
}

// Offer says that events below the given one may be delivered from now on. A
// process that dies then leaves word that they are possible duplicates.
func (s *Store) Offer(events uint64) error { return s.cursor.offer(events) }

// Withdraw says that of what was offered nothing from the given event on was, or
// will be, delivered. It is for somebody who knows how every attempt has ended and
// is about to Close, which makes it durable.
func (s *Store) Withdraw(events uint64) error { return s.cursor.withdraw(events) }

// End is where the next append goes.
func (s *Store) End() Position {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.end
}

// Usage says what the store holds.
func (s *Store) Usage() Usage {
	settled := s.cursor.settled()
	s.mu.Lock()
	defer s.mu.Unlock()
	return Usage{
		Bytes: s.used, Max: s.options.Max, Segments: len(s.segments), Free: s.free,
		Pending: Position{s.end.Events - settled.Events, s.end.Records - settled.Records},
	}
}

// Close closes the files and gives the lock back; the buffer stays on the disk.
// A clean Close writes the totals of all streams, makes all of it durable, and
// says in the cursor where it ends, so that the next Open can tell if anything
// is missing: what a failed sync took is lost, and not forgotten. An unclean one
// leaves the directory as a killed process would.
func (s *Store) Close(clean bool) error {
	s.tidying.Lock()
	defer s.tidying.Unlock()
	var err error
	if clean {
		err = s.finish()
	}
	return errors.Join(err, s.release())
}

// finish makes the end of the buffer known and durable.
func (s *Store) finish() error {
	err := s.writeClosing()
	_, syncErr := s.Sync()
	return errors.Join(err, syncErr, s.cursor.finish(s.End()))
}

// release closes everything, once nobody uses it.
func (s *Store) release() error {
	s.syncing.Lock()
	defer s.syncing.Unlock()
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	segments := slices.Clone(s.segments)
	closed := s.closed
	s.closed = true
	s.mu.Unlock()
	if closed {
		return errClosed
	}
	err := s.read.close()
	for _, seg := range segments {
		if seg.file != nil {
			err = errors.Join(err, seg.file.Close())
			seg.file = nil
		}
	}
	return errors.Join(err, s.cursor.file.Close(), s.dir.Close())
}

// Remove deletes a buffer of which all is settled, with its directory, and
// closes it; on an error it closes it, too, unless something is not settled.
// The cursor goes last, so that a Remove that was cut short leaves nothing that
// would be read again.
func (s *Store) Remove() error {
	s.tidying.Lock()
	defer s.tidying.Unlock()
	s.mu.Lock()
	end, segments := s.end, slices.Clone(s.segments)
	s.mu.Unlock()
	if settled := s.cursor.settled(); settled.Events < end.Events {
		return fmt.Errorf("remove disk buffer: %d events in it are not settled", end.Events-settled.Events)
	}
	if _, err := s.cursor.sync(); err != nil {
		return errors.Join(fmt.Errorf("remove disk buffer: %w", err), s.release())
	}
	names := []string{}
	for _, seg := range segments {
		names = append(names, seg.name)
	}
	err := s.removeAll(append(names, metaName))
	if err == nil {
		// The records must be gone for good before what says that they are settled.
		err = s.dir.Sync()
	}
	if err == nil {
		err = s.removeAll([]string{cursorName, lockName})
	}
	if dir, ok := s.dir.(interface{ RemoveDir() error }); ok && err == nil {
		// A process that has given up its privileges may empty the directory only, and
		// what a repair has set aside stays.
		if err = dir.RemoveDir(); errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.ENOTEMPTY) {
			err = nil
		}
	}
	if err != nil {
		err = fmt.Errorf("remove disk buffer: %w", err)
	}
	return errors.Join(err, s.release())
}

func (s *Store) removeAll(names []string) error {
	for _, name := range names {
		if err := s.dir.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
