// Package jsonfile delivers into files in the format of Docker's json-file log
// driver, one JSON object to a line, with its options and its rotation: before
// an entry is written, a file that has reached max-size becomes PATH.1, what was
// PATH.1 becomes PATH.2, and so on, and the one beyond max-file is deleted.
//
// Delivered means written to the kernel: it survives the death of the process,
// not a power cut; the driver does not sync either. An attempt that fails is
// taken back as a whole, so a retry leaves neither a torn line nor one twice.
//
// Where the sink differs from the driver: a rotation that fails is tried again,
// and never truncates a file that could not be renamed; a rotated file that
// could not be compressed stays as it is until that succeeds; an existing file
// that ends within a line gets a newline first.
package jsonfile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/spillway/spillway/internal/sink"
)

// The largest request and body, in bytes.
const (
	maxRequest = 1 << 20
	maxBody    = 1 << 20
)

// NoMaxSize is the MaxSize of a file that is never rotated.
const NoMaxSize = -1

// Options are the driver's options.
type Options struct {
	// Path is the file. Directories that are missing above it are made with mode
	// 02750, the file with 0640, whatever the umask is.
	Path string
	// MaxSize is the size, in bytes, from which on a file is rotated; or NoMaxSize.
	MaxSize int64
	// MaxFile is how many files there are at most, the present one included.
	MaxFile int
	// Compress turns rotated files into PATH.1.gz and so on, in the background. It
	// needs a MaxSize, and a MaxFile of at least 2.
	Compress bool
	// Attrs is the JSON object of the key attrs, or empty for none.
	Attrs []byte
}

func (o *Options) check() error {
	switch {
	case o.Path == "":
		return errors.New("the path of the log file is missing: set log-path")
	case o.MaxSize != NoMaxSize && o.MaxSize <= 0:
		return fmt.Errorf("max-size is %d: it must be a positive number", o.MaxSize)
	case o.MaxFile < 1:
		return fmt.Errorf("max-file is %d: it must be at least 1", o.MaxFile)
	case o.Compress && (o.MaxFile < 2 || o.MaxSize == NoMaxSize):
		return errors.New("compress needs rotation: set max-size, and max-file to at least 2")
	}
	return nil
}

// Sink writes one log file.
type Sink struct {
	opts    Options
	log     rotated
	encoder encoder
}

// New returns a sink. It tries to open the file, so that it is there from the
// start; if that fails, Check and every Send try again, and say why. An error of
// New is one of the options.
func New(o Options) (*Sink, error) { return newSink(o, osDisk{}) }

func newSink(o Options, d disk) (*Sink, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	path, err := filepath.Abs(o.Path)
	if err != nil {
		return nil, fmt.Errorf("find out where %s is: %w", strconv.Quote(o.Path), err)
	}
	o.Path = path
	s := &Sink{
		opts:    o,
		log:     rotated{path: path, maxSize: o.MaxSize, maxFile: o.MaxFile, compress: o.Compress, disk: d},
		encoder: encoder{attrs: o.Attrs},
	}
	s.log.open() //nolint:errcheck // The next Check or Send meets the same error, and says so.
	return s, nil
}

// Limits implements sink.Sink.
func (s *Sink) Limits() sink.Limits {
	return sink.Limits{RequestBytes: maxRequest, BodyBytes: maxBody, InFlight: 1}
}

// Check implements sink.Sink: the file is open, or can be opened now. It must
// not be called while a Send is under way.
func (s *Sink) Check(context.Context) error { return s.log.open() }

// Send implements sink.Sink. It does not end before the request is written,
// unless it waits for the compression of an earlier file when ctx ends.
func (s *Sink) Send(ctx context.Context, req sink.Request) sink.Outcome {
	if err := ctx.Err(); err != nil {
		return failed(err, false)
	}
	if err := s.log.open(); err != nil {
		return failed(err, false)
	}
	if err := s.log.Ready(); err != nil {
		return failed(err, true)
	}
	err := s.write(ctx, req)
	if err == nil {
		err = s.log.Flush()
	}
	if err != nil {
		undo := s.log.Rollback()
		return failed(errors.Join(err, undo), undo != nil)
	}
	if err := s.log.commit(); err != nil {
		return failed(err, true)
	}
	return sink.Outcome{Verdict: sink.Delivered}
}

func (s *Sink) write(ctx context.Context, req sink.Request) error {
	for _, b := range req.Batches() {
		if err := s.encoder.batch(ctx, &s.log, req.Stream(b.Stream).Name, b); err != nil {
			return err
		}
	}
	return nil
}

// failed makes the outcome of an attempt that must be repeated.
func failed(err error, unsure bool) sink.Outcome {
	out := sink.Outcome{Verdict: sink.Retry, Err: err, Unsure: unsure}
	for _, cause := range []error{fs.ErrPermission, fs.ErrNotExist, syscall.ENOTDIR, syscall.EISDIR, syscall.EROFS, errNotRegular} {
		out.Config = out.Config || errors.Is(err, cause)
	}
	return out
}

// Close implements sink.Sink. It waits a moment for a compression under way.
func (s *Sink) Close() error { return s.log.close() }
