// Package local is the destination that needs nothing: a store of records in a
// folder of the state directory, up to a size, and the reader of that store.
//
// A folder holds segments, which are files of JSON lines (line.go). Each writer
// has segments of its own, so that programs which run at the same time never
// wait for each other's disk writes. They share a lock only for the moment in
// which one of them makes a segment and deletes the oldest ones to make room. A
// segment in use is locked by its writer and called
//
//	FIRST-WRITER-ORDINAL.open
//
// and when it is full, or its writer ends, it becomes
//
//	FIRST-WRITER-ORDINAL-MIN-LAST-RECORDS-BYTES-SIZE.jsonl
//
// and does not change any more. FIRST and LAST are the places in time of its
// first and last line and MIN the earliest time in it, in nanoseconds since 1970;
// WRITER is random. Its name tells readers whether they need it, and deleting it
// is counted without reading it. A segment whose writer was killed is read once,
// and named, by whoever makes the next segment.
//
// Delivered means after fdatasync: it survives a power cut. An attempt that
// fails is taken back as a whole.
package local

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/spillway/spillway/internal/sink"
	"github.com/spillway/spillway/internal/sink/appendfile"
)

// Sizes of a store, in bytes.
const (
	DefaultMaxSize = 1 << 30
	MinMaxSize     = 1 << 20
)

// Options says where the store is and who writes.
type Options struct {
	// Dir is the folder. It is made with mode 0700 where it is missing.
	Dir string
	// MaxSize bounds the segments of the folder together, in bytes: at least
	// MinMaxSize, or 0 for DefaultMaxSize. A program that writes counts with a whole
	// segment, which is a 64th of the bound, but at most 16 MiB; if so many write at
	// once that nothing else is left, further ones exceed the bound by a segment each.
	MaxSize int64
	// Run is what readers call this writer, such as the name of a command.
	Run string
}

// The largest segment, the most segments, and the largest request. A request is at most a sixteenth of a segment,
// so that it fits into one even if every byte needs an escape of six.
const (
	maxSegment     = 16 << 20
	maxSegments    = 16384
	requestsFit    = 16
	maxEvents      = 10_000
	roomForAnEvent = 800
)

// Sink is one writer of a store.
type Sink struct {
	store   store
	encoder *encoder
	next    segment     // who writes, and the last segment's ordinal
	segment *ownSegment // what is written to, or nil
	log     appendfile.Writer
}

// New opens the folder. It makes no segment before the first Send.
func New(o Options) (*Sink, error) {
	if o.MaxSize == 0 {
		o.MaxSize = DefaultMaxSize
	}
	if o.MaxSize < MinMaxSize {
		return nil, fmt.Errorf("the local store is to hold %d bytes: it needs at least %d", o.MaxSize, MinMaxSize)
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder of the local store: %w", err)
	}
	root, err := os.OpenRoot(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("open the folder of the local store: %w", err)
	}
	return newSink(o, root, osFile), nil
}

func newSink(o Options, f folder, wrap func(*os.File) segmentFile) *Sink {
	var id [4]byte
	rand.Read(id[:])
	return &Sink{
		store: store{
			folder: f, wrap: wrap,
			maxSize: o.MaxSize, segmentSize: min(o.MaxSize/64, maxSegment), leastSize: o.MaxSize / maxSegments,
		},
		encoder: newEncoder(o.Run),
		next:    segment{writer: hex.EncodeToString(id[:])},
	}
}

// Limits implements sink.Sink.
func (s *Sink) Limits() sink.Limits {
	size := int(s.store.segmentSize)
	return sink.Limits{
		RequestBytes: size / requestsFit, BodyBytes: size / requestsFit, Events: min(maxEvents, size/2/roomForAnEvent), InFlight: 1,
	}
}

// Check implements sink.Sink: files can be made in the folder.
func (s *Sink) Check(context.Context) error {
	if err := s.store.tryOut("check-" + s.next.writer + scratchEnd); err != nil {
		return fmt.Errorf("make a file in the local store: %w", err)
	}
	return nil
}

// Send implements sink.Sink. It does not end before the request is written and
// synced, unless it waits for the lock of the store when ctx ends.
func (s *Sink) Send(ctx context.Context, req sink.Request) sink.Outcome {
	if err := ctx.Err(); err != nil {
		return failed(err, false)
	}
	if err := s.log.Ready(); err != nil {
		return failed(err, true)
	}
	if err := s.fit(ctx, req); err != nil {
		return failed(err, false)
	}
	before := s.encoder.latest
	added := counts{}
	for _, b := range req.Batches() {
		s.encoder.batch(&s.log, req.Stream(b.Stream).Name, b, &added)
	}
	err := s.log.Flush()
	if err == nil {
		err = s.segment.file.Datasync()
	}
	if err != nil {
		s.encoder.latest = before
		undo := s.log.Rollback()
		return failed(fmt.Errorf("write to the local store: %w", errors.Join(err, undo)), undo != nil)
	}
	s.segment.counts.add(added)
	if err := s.log.Commit(); err != nil {
		return failed(err, true)
	}
	return sink.Outcome{Verdict: sink.Delivered}
}

// fit makes a new segment where the present one may have no room for the
// request.
func (s *Sink) fit(ctx context.Context, req sink.Request) error {
	need, first := int64(0), int64(0)
	for i, b := range req.Batches() {
		if i == 0 {
			first = max(b.Time, s.encoder.latest)
		}
		need += s.encoder.most(req.Stream(b.Stream).Name, b)
	}
	if s.segment != nil && s.log.Size()+need <= s.store.segmentSize {
		return nil
	}
	if err := s.endSegment(); err != nil {
		return err
	}
	g := s.next
	g.first = first
	g.ordinal++
	own, err := s.store.newSegment(ctx, g, need)
	if err != nil {
		return fmt.Errorf("make a segment of the local store: %w", err)
	}
	s.next, s.segment = g, own
	s.log.Use(own.file, 0, 0)
	return nil
}

// endSegment gives the present segment its final name.
func (s *Sink) endSegment() error {
	if s.segment == nil {
		return nil
	}
	if err := s.store.finish(s.segment.segment, s.segment.counts); err != nil {
		return fmt.Errorf("name a segment of the local store: %w", err)
	}
	s.segment = nil
	return s.log.Close()
}

// failed makes the outcome of an attempt that must be repeated.
func failed(err error, unsure bool) sink.Outcome {
	out := sink.Outcome{Verdict: sink.Retry, Err: err, Unsure: unsure}
	for _, cause := range []error{fs.ErrPermission, fs.ErrNotExist, syscall.ENOTDIR, syscall.EROFS} {
		out.Config = out.Config || errors.Is(err, cause)
	}
	return out
}

// Expired tells what the store has deleted since it was made to stay within its
// bound, whoever wrote it: how many records, and the bytes of their bodies.
func (s *Sink) Expired() (records, bytes int64, err error) {
	e, err := readExpired(s.store.folder)
	return e.Records, e.Bytes, err
}

// Close implements sink.Sink.
func (s *Sink) Close() error {
	return errors.Join(s.log.Ready(), s.endSegment(), s.log.Close(), s.store.folder.Close())
}
