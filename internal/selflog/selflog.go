// Package selflog is the program's own log where there is nobody to read its
// standard error: the journal of systemd, and without one two small files in
// the state directory that are written in turn. It never logs what passes
// through the program.
package selflog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/journal"
)

// Options of a log.
type Options struct {
	// Dir is where the files are, and Name how they begin.
	Dir, Name string
	// Program is the identifier in the journal.
	Program string
	Level   slog.Level
	// Fields are part of each entry.
	Fields []any
}

// Open returns a logger; close it at the end.
func Open(o Options) (*slog.Logger, io.Closer, error) {
	if journal.Enabled() {
		h := &journalHandler{level: o.Level, program: o.Program}
		return slog.New(h).With(o.Fields...), io.NopCloser(nil), nil
	}
	f, err := openPair(filepath.Join(o.Dir, o.Name))
	if err != nil {
		return nil, nil, err
	}
	h := slog.NewJSONHandler(f, &slog.HandlerOptions{Level: o.Level})
	log := slog.New(h).With(o.Fields...)
	if err := sweep(o.Dir, time.Now()); err != nil {
		log.Warn("old logs could not be removed", "error", err)
	}
	return log, f, nil
}

// The logs of programs that are long gone, such as the loggers of containers,
// must not add up for ever: what has not been written for keepAge goes, once
// there are more than keepFiles.
const (
	keepFiles = 256
	keepAge   = 7 * 24 * time.Hour
)

func sweep(dir string, now time.Time) error {
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) <= keepFiles {
		return err
	}
	var errs []error
	for _, e := range entries {
		info, err := e.Info()
		if err == nil && now.Sub(info.ModTime()) > keepAge {
			err = removeUnused(filepath.Join(dir, e.Name()))
		}
		if !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// removeUnused removes a log that no process has open: one that had nothing to
// say for long may yet have.
func removeUnused(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil
	}
	return errors.Join(err, os.Remove(path))
}

// journalHandler sends entries to the journal, attributes as fields of their
// own.
type journalHandler struct {
	level   slog.Level
	program string
	attrs   []slog.Attr
	group   string
}

// Enabled implements slog.Handler.
func (h *journalHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level }

// WithAttrs implements slog.Handler.
func (h *journalHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	for _, a := range attrs {
		a.Key = h.group + a.Key
		c.attrs = append(c.attrs[:len(c.attrs):len(c.attrs)], a)
	}
	return &c
}

// WithGroup implements slog.Handler.
func (h *journalHandler) WithGroup(name string) slog.Handler {
	c := *h
	c.group += name + "_"
	return &c
}

// Handle implements slog.Handler.
func (h *journalHandler) Handle(_ context.Context, r slog.Record) error {
	fields := map[string]string{"SYSLOG_IDENTIFIER": h.program}
	text := r.Message
	add := func(a slog.Attr) {
		value := a.Value.Resolve().String()
		fields["SPILLWAY_"+fieldName(a.Key)] = value
		text += fmt.Sprintf(" %s=%q", a.Key, value)
	}
	for _, a := range h.attrs {
		add(a)
	}
	r.Attrs(func(a slog.Attr) bool {
		a.Key = h.group + a.Key
		add(a)
		return true
	})
	priority := journal.PriInfo
	switch {
	case r.Level >= slog.LevelError:
		priority = journal.PriErr
	case r.Level >= slog.LevelWarn:
		priority = journal.PriWarning
	case r.Level < slog.LevelInfo:
		priority = journal.PriDebug
	}
	return journal.Send(text, priority, fields)
}

// fieldName is a key as the journal allows it.
func fieldName(key string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		if r >= 'a' && r <= 'z' {
			return r - 'a' + 'A'
		}
		return '_'
	}, key)
}

// halfSize is how much goes into one file of a pair before the other is begun
// anew, so that both together keep the last half megabyte at least.
const halfSize = 512 << 10

// pair is two files that are written in turn. Both are opened at the start,
// since the process may not be allowed to later, and for appending, since the
// loggers of one container share them.
type pair struct {
	mu    sync.Mutex
	files [2]*os.File
	now   int
	size  int64
}

func openPair(base string) (*pair, error) {
	p := &pair{}
	for i := range p.files {
		f, err := os.OpenFile(fmt.Sprintf("%s.%d.log", base, i), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("open the program's own log: %w", err), p.Close())
		}
		p.files[i] = f
		// Who sweeps leaves alone what others have open.
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB); err != nil && !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("lock the program's own log: %w", err), p.Close())
		}
	}
	return p, p.resume()
}

// resume goes on where the pair was left: in the file that was written last.
func (p *pair) resume() error {
	var newest int64
	for i, f := range p.files {
		info, err := f.Stat()
		if err != nil {
			return fmt.Errorf("open the program's own log: %w", err)
		}
		if at := info.ModTime().UnixNano(); at > newest {
			newest, p.now, p.size = at, i, info.Size()
		}
	}
	return nil
}

// Write implements io.Writer.
func (p *pair) Write(entry []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.size+int64(len(entry)) > halfSize {
		p.now, p.size = 1-p.now, 0
		if err := p.files[p.now].Truncate(0); err != nil {
			return 0, fmt.Errorf("begin the program's own log anew: %w", err)
		}
	}
	n, err := p.files[p.now].Write(entry)
	p.size += int64(n)
	return n, err
}

// Close implements io.Closer.
func (p *pair) Close() error {
	var errs []error
	for _, f := range p.files {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}
