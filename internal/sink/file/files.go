package file

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink/appendfile"
	"github.com/spillway/spillway/internal/template"
)

// file is one open file.
type file struct {
	path   string
	handle handle // of the present one, which the log has as well
	log    appendfile.Writer
	period int64  // in which it was begun, where files are rotated by the clock
	used   uint64 // the last attempt that wrote to it
	away   bool   // its present file has an older one's name, and there is no new one yet
}

// files are those that are open.
type files struct {
	opts  *Options
	disk  disk
	hours bool // the path is made of the time, too

	open    map[string]*file
	attempt uint64
	touched []*file          // by this attempt
	failed  map[string]error // paths that this attempt could not open
	dirs    map[string]bool  // in which this attempt has made or renamed files
	rotated map[string]bool  // paths of which older files want to be looked after
	care    caretaker

	// What find has found last, which is nearly always what it is asked for next.
	last struct {
		attempt uint64
		stream  uint32
		hour    int64
		file    *file
		err     error
	}
	name []byte
}

func newFiles(o *Options, d disk) files {
	return files{
		opts: o, disk: d, hours: o.Path.Uses(template.Date) || o.Path.Uses(template.Hour),
		open: make(map[string]*file), failed: make(map[string]error), dirs: make(map[string]bool), rotated: make(map[string]bool),
		care: caretaker{disk: d, keep: o.MaxFile, compress: o.Compress, mode: o.FileMode},
	}
}

// begin begins an attempt. A file from which what an earlier one has written is still
// not taken back takes part in none, unless somebody else has moved it from its path:
// the records of that path wait.
func (s *files) begin() {
	s.attempt++
	s.touched = s.touched[:0]
	clear(s.failed)
	for path, f := range s.open {
		err := f.log.Ready()
		if err == nil {
			continue
		}
		if !f.away && !s.disk.same(f.handle, path) {
			delete(s.open, path)
			if err = f.log.Close(); err == nil {
				continue
			}
		}
		s.failed[path] = &tornError{err}
	}
}

// tornError says that a file still has what a failed attempt has written to it.
type tornError struct{ error }

func (e *tornError) Unwrap() error { return e.error }

var (
	// errNoRoom: the attempt writes to as many files as may be open.
	errNoRoom = errors.New("too many files in one request")
	errName   = errors.New("the tag makes no path")
)

// find returns the file for an event of a stream, open and ready to be written.
func (s *files) find(stream *record.Stream, at int64) (*file, error) {
	hour := int64(0)
	if s.hours {
		hour = at / int64(time.Hour)
	}
	l := &s.last
	if l.attempt == s.attempt && l.stream == stream.Index && l.hour == hour {
		return l.file, l.err
	}
	l.attempt, l.stream, l.hour = s.attempt, stream.Index, hour
	l.file, l.err = s.findPath(stream.Name, at)
	return l.file, l.err
}

func (s *files) findPath(tag string, at int64) (*file, error) {
	s.name = s.opts.Path.Append(s.name[:0], tag, time.Unix(0, at), appendEscaped)
	f := s.open[string(s.name)]
	if f != nil && f.used == s.attempt {
		return f, nil
	}
	path := string(s.name)
	if err := s.failed[path]; err != nil {
		return nil, err
	}
	f, err := s.ready(f, path)
	if err != nil {
		s.failed[path] = err
		return nil, err
	}
	f.used = s.attempt
	s.touched = append(s.touched, f)
	return f, nil
}

// ready makes a file ready for its first event of the attempt; f is nil where it
// is not open.
func (s *files) ready(f *file, path string) (*file, error) {
	if f != nil && !s.disk.same(f.handle, path) {
		// Somebody has moved or deleted it.
		delete(s.open, path)
		if err := f.log.Close(); err != nil {
			return nil, fmt.Errorf("close %s, which is no longer there: %w", path, err)
		}
		f = nil
	}
	if f == nil {
		if slices.ContainsFunc(strings.Split(path, "/"), func(name string) bool { return name == "." || name == ".." }) {
			return nil, fmt.Errorf("%w: %q would lead elsewhere", errName, path)
		}
		if err := s.makeRoom(); err != nil {
			return nil, err
		}
		f = &file{path: path}
		if err := s.openFile(f); err != nil {
			return nil, err
		}
		s.open[path] = f
	}
	if f.log.Size() > 0 && s.opts.RotateEvery > 0 && f.period != s.period(time.Now()) {
		if err := s.rotate(f); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// makeRoom closes the file that was not used for longest, where as many are open
// as may be.
func (s *files) makeRoom() error {
	if len(s.open) < maxOpen {
		return nil
	}
	var oldest *file
	for _, f := range s.open {
		if f.used != s.attempt && s.failed[f.path] == nil && (oldest == nil || f.used < oldest.used) {
			oldest = f
		}
	}
	if oldest == nil {
		return errNoRoom
	}
	delete(s.open, oldest.path)
	return oldest.log.Close()
}

// openFile opens the present file of a path, and notes where it was made.
func (s *files) openFile(f *file) error {
	h, about, err := s.disk.open(f.path, s.opts.FileMode, s.opts.DirMode)
	if err != nil {
		return err
	}
	f.handle, f.away = h, false
	f.log.Use(h, about.size, keepAll)
	f.period = s.period(time.Now())
	if about.size > 0 {
		f.period = s.period(about.changed)
	}
	for _, dir := range about.made {
		s.dirs[dir] = true
	}
	return nil
}

// keepAll lets an attempt take back whatever it has written, however many files it
// has rotated.
const keepAll = 1 << 30

func (s *files) period(t time.Time) int64 {
	if s.opts.RotateEvery <= 0 {
		return 0
	}
	return t.UnixNano() / int64(s.opts.RotateEvery)
}

// full reports whether the next line belongs into another file.
func (s *files) full(f *file) bool { return s.opts.MaxSize > 0 && f.log.Size() >= s.opts.MaxSize }

// rotate gives the present file the name of an older one and begins a new one.
// Where it fails in the middle the next attempt finds the path without its file.
func (s *files) rotate(f *file) error {
	if err := f.log.Flush(); err != nil {
		return err
	}
	if err := f.handle.Datasync(); err != nil {
		return err
	}
	older := f.path + "." + time.Now().UTC().Format(stampLayout)
	if err := s.disk.rename(f.path, older); err != nil {
		return fmt.Errorf("rotate: %w", err)
	}
	f.away = true
	s.dirs[filepath.Dir(f.path)] = true
	s.rotated[f.path] = true
	return s.openFile(f)
}

// stampLayout is what stands behind the name of a rotated file.
const stampLayout = "20060102T150405.000000000Z"

// syncsAtOnce bounds how many files are synced at the same time: a file system
// makes one commit of those that come together.
const syncsAtOnce = 8

// sync waits until what the attempt has written is on the disk, and then the
// names of files that it has made.
func (s *files) sync() error {
	errs := make([]error, len(s.touched))
	var next sync.Mutex
	at := 0
	work := func() {
		for {
			next.Lock()
			i := at
			at++
			next.Unlock()
			if i >= len(s.touched) {
				return
			}
			errs[i] = s.touched[i].handle.Datasync()
		}
	}
	if len(s.touched) > 1 {
		var workers sync.WaitGroup
		for range min(syncsAtOnce, len(s.touched)) {
			workers.Go(work)
		}
		workers.Wait()
	} else {
		work()
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for dir := range s.dirs {
		if err := s.disk.syncDir(dir); err != nil {
			return err
		}
		delete(s.dirs, dir)
	}
	return nil
}

// rollback takes back what the attempt has written.
func (s *files) rollback() error {
	var errs []error
	for _, f := range s.touched {
		f.log.Lend(nil)
		errs = append(errs, f.log.Rollback())
	}
	return errors.Join(errs...)
}

// commit ends an attempt that has succeeded. Only now may rotated files be
// compressed, since nothing will be taken back from them.
func (s *files) commit() error {
	var errs []error
	for _, f := range s.touched {
		errs = append(errs, f.log.Commit())
	}
	for path := range s.rotated {
		s.care.look(path)
	}
	clear(s.rotated)
	return errors.Join(errs...)
}

// commonDir is the folder that all paths have in common.
func (s *files) commonDir() string {
	text := s.opts.Path.String()
	if i := strings.IndexByte(text, '{'); i >= 0 {
		text = text[:i]
	}
	return filepath.Dir(text + "x")
}

func (s *files) close() error {
	errs := []error{s.care.end()}
	for _, f := range s.open {
		errs = append(errs, f.log.Ready(), f.log.Close())
	}
	return errors.Join(errs...)
}
