// Package file delivers into files whose paths are made of a record's tag and
// time, one record to a line: as JSON, as fluentd's out_file writes it, or as
// text.
//
// Delivered means after fdatasync: it survives a power cut. One request is synced
// as a whole, each of its files once, and a request is as large as what has come
// meanwhile. An attempt that fails is taken back as a whole, so that a retry
// leaves neither a torn line nor one twice. A file that cannot be opened, or from
// which nothing can be taken back, holds up the records of that file alone.
//
// The files belong to the sink. What stands in one behind the last newline when
// the sink opens it is the rest of a write that a kill or a power cut has cut
// off, of records that were not delivered, and is removed. A file that somebody
// renames or deletes is made anew with the next request.
//
// At most 256 files are open; a request that goes to more is delivered in part,
// and the rest at once after it.
package file

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spillway/spillway/internal/sink"
	"github.com/spillway/spillway/internal/sink/appendfile"
	"github.com/spillway/spillway/internal/template"
)

// Limits of a request, in bytes.
const (
	maxRequest = 8 << 20
	maxBody    = 1 << 20
)

// maxOpen is how many files are open at once.
const maxOpen = 256

// Format is how a record becomes a line.
type Format uint8

const (
	// JSON is one object: the time and the tag under their keys, then the record's
	// own fields; of a line of text the text under its key.
	JSON Format = iota
	// OutFile is the line of fluentd's out_file: time, tag and the record as JSON,
	// with tabs between.
	OutFile
	// Text is the value of one key of a record, the record as JSON where it has no
	// such key, and a line of text as it is.
	Text
)

// Compression is what becomes of rotated files.
type Compression uint8

// The choices of Compression. Where files are compressed, their names have .gz or .zst behind them.
const (
	NoCompression Compression = iota
	Gzip
	Zstd
)

// Options say where records go, and how they look there.
type Options struct {
	// Path gives the path of a record by its tag and time. What a tag has that may
	// not stand in the name of a file is percent-encoded. It must be absolute.
	Path *template.Template

	Format Format
	// LogKey is the key whose value Text writes.
	LogKey string
	// TextKey is where the text of a line stands in JSON and OutFile.
	TextKey string
	// TimeKey and TagKey are the keys of the time and the tag in JSON; empty leaves
	// them out. A record that has such a key itself keeps its own value.
	TimeKey, TagKey string

	// MaxSize rotates a file that has reached so many bytes, RotateEvery one that
	// was begun in an earlier period of the clock, counted from 1970 in UTC; 0 never
	// does. A rotated file has the moment of its rotation behind its name.
	MaxSize     int64
	RotateEvery time.Duration
	// MaxFile is how many files of one path there are at most, the present one
	// included; the oldest goes. 0 keeps all.
	MaxFile  int
	Compress Compression

	// FileMode and DirMode are the modes of what is made, whatever the umask is.
	FileMode, DirMode fs.FileMode
}

// Defaults of modes.
const (
	DefaultFileMode fs.FileMode = 0o640
	DefaultDirMode  fs.FileMode = 0o750
)

func (o *Options) check() error {
	switch {
	case o.Path == nil || !filepath.IsAbs(o.Path.String()):
		return errors.New("the path of the files is missing or relative: expected an absolute one, such as /var/log/kept/{tag}.log")
	case o.MaxSize < 0 || o.RotateEvery < 0 || o.MaxFile < 0:
		return fmt.Errorf("rotation at %d bytes, every %v, of %d files: expected none below 0", o.MaxSize, o.RotateEvery, o.MaxFile)
	case o.Compress != NoCompression && o.MaxSize == 0 && o.RotateEvery == 0:
		return errors.New("compression is of rotated files: set a size or a time at which they are rotated")
	case o.Format == Text && o.LogKey == "" || o.Format != Text && o.TextKey == "":
		return errors.New("the key of the text is missing")
	}
	if o.FileMode == 0 {
		o.FileMode = DefaultFileMode
	}
	if o.DirMode == 0 {
		o.DirMode = DefaultDirMode
	}
	return nil
}

// Sink writes files. Several legs may share one: their requests take turns.
type Sink struct {
	opts   Options
	turn   chan struct{} // holds one: whoever sends
	files  files
	lines  encoder
	buffer []byte // what the present file gathers in
}

// New returns a sink; it opens nothing yet.
func New(o Options) (*Sink, error) { return newSink(o, osDisk{}) }

func newSink(o Options, d disk) (*Sink, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	return &Sink{
		opts: o, turn: make(chan struct{}, 1), files: newFiles(&o, d), lines: newEncoder(&o),
		buffer: make([]byte, 0, appendfile.BufferSize),
	}, nil
}

// Limits implements sink.Sink.
func (s *Sink) Limits() sink.Limits {
	// One sync is under way at a time, so what comes meanwhile shares the next: a
	// pause between small requests would only hold up senders that wait for an
	// acknowledgement.
	return sink.Limits{
		RequestBytes: maxRequest, PerEvent: len(s.opts.TimeKey) + len(s.opts.TagKey) + 64, BodyBytes: maxBody, InFlight: 1, Eager: true,
	}
}

// Check implements sink.Sink: a file can be made in the folder that all paths
// have in common, and nothing went wrong with files that were rotated.
func (s *Sink) Check(context.Context) error {
	return errors.Join(s.files.disk.tryOut(s.files.commonDir(), s.opts.DirMode), s.files.care.err())
}

// Send implements sink.Sink. It does not end before the request is written and
// synced.
func (s *Sink) Send(ctx context.Context, req sink.Request) sink.Outcome {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
	}
	if err := ctx.Err(); err != nil {
		return failed(err, false)
	}
	s.files.begin()
	a := attempt{sink: s, req: req}
	err := a.write(ctx)
	if err == nil {
		err = s.files.sync()
	}
	if err != nil {
		undo := s.files.rollback()
		return failed(fmt.Errorf("write to files: %w", errors.Join(err, undo)), undo != nil || a.unsure)
	}
	if err := s.files.commit(); err != nil {
		return failed(err, true)
	}
	return a.outcome()
}

// failed makes the outcome of an attempt that must be repeated.
func failed(err error, unsure bool) sink.Outcome {
	return sink.Outcome{Verdict: sink.Retry, Err: err, Unsure: unsure, Config: needsAction(err)}
}

// needsAction reports whether somebody has to put something right.
func needsAction(err error) bool {
	for _, cause := range []error{fs.ErrPermission, fs.ErrNotExist, syscall.ENOTDIR, syscall.EISDIR, syscall.EROFS, errNotRegular} {
		if errors.Is(err, cause) {
			return true
		}
	}
	return false
}

// Close implements sink.Sink. It waits a moment for a compression under way.
func (s *Sink) Close() error { return s.files.close() }
