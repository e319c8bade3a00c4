package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/spillway/spillway/internal/catalog"
	"github.com/spillway/spillway/internal/config"
	"github.com/spillway/spillway/internal/console"
	"github.com/spillway/spillway/internal/diskbuffer"
	"github.com/spillway/spillway/internal/pipeline"
	"github.com/spillway/spillway/internal/selflog"
	"github.com/spillway/spillway/internal/source/pipe"
	"github.com/spillway/spillway/internal/statedir"
	"github.com/spillway/spillway/internal/version"
)

func (l *logger) open() error {
	if err := l.inherit(); err != nil {
		return err
	}
	c := l.options.Container()
	if err := l.openState(statedir.Hash(containerName())); err != nil {
		return err
	}
	l.log = l.log.With("container_id", c.ID, "namespace", c.Namespace)
	var err error
	l.destination, err = catalog.Open(l.options, catalog.Surroundings{
		UserAgent: "spillway/" + version.String(),
	})
	if err != nil {
		return err
	}
	l.identity = pipeline.Identity{
		Program: "spillway-shim", Container: c.ID, Name: c.Name, Namespace: c.Namespace,
		Destination: l.destination.Name, Mode: string(l.options.Buffer().Mode),
	}
	return l.openSpill()
}

// openSpill opens the buffer's disk, in mode spill. Its files belong to the user
// that the logger is going to be.
func (l *logger) openSpill() error {
	o := l.options.Buffer()
	if o.Mode != config.Spill {
		return nil
	}
	about, err := l.destination.About(l.options)
	if err != nil {
		return err
	}
	identity, err := l.destination.Identity(l.options)
	if err != nil {
		return err
	}
	l.disk, err = pipeline.OpenSpill(pipeline.Spill{
		StateDir: l.options.StateDir(), Identity: identity, About: about,
		Owner: diskbuffer.Owner{UID: l.options.Shim().UID, GID: l.options.Shim().GID},
	}, o, l.log)
	return err
}

// openState opens the parts of the state directory; name is the logger's own
// there.
func (l *logger) openState(name string) error {
	dir, err := statedir.Open(l.options.StateDir())
	if err != nil {
		return err
	}
	l.state = dir
	l.closers = append(l.closers, dir)
	log, closer, err := openLog(dir.Path(), containerName(), l.options.Verbose())
	if err != nil {
		return err
	}
	l.log = log
	l.closers = append(l.closers, closer)
	if l.exits, err = dir.Exits(); err != nil {
		return err
	}
	l.closers = append(l.closers, l.exits)
	run, err := dir.Sub(statedir.Run)
	if err != nil {
		return err
	}
	l.console, err = console.Listen(run, name)
	if errors.Is(err, console.ErrPathTooLong) {
		l.log.Warn("spillway status will not see this logger", "error", err)
		return nil
	}
	if err != nil {
		return err
	}
	l.closers = append(l.closers, l.console)
	return nil
}

// inherit takes over the descriptors that containerd gives: 3 and 4 to read, 5
// to say ready on.
func (l *logger) inherit() error {
	for i, name := range []string{names[0], names[1], "ready"} {
		fd := 3 + i
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFIFO {
			return errNotLogger
		}
		if i == 2 {
			// A child, such as the one that fetches credentials, must not keep it open.
			unix.CloseOnExec(fd)
			l.ready = os.NewFile(uintptr(fd), name)
			continue
		}
		var err error
		if l.pipes[i], err = pipe.Open(fd, name); err != nil {
			return err
		}
		l.closers = append(l.closers, l.pipes[i])
	}
	return nil
}

// openLog opens the program's own log.
func openLog(stateDir, name string, verbose bool) (*slog.Logger, io.Closer, error) {
	dir := filepath.Join(stateDir, statedir.Log)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, fmt.Errorf("make the folder of the program's own log: %w", err)
	}
	level := slog.LevelInfo
	if verbose {
		level = slog.LevelDebug
	}
	return selflog.Open(selflog.Options{
		Dir: dir, Name: "shim-" + statedir.Hash(name), Program: "spillway-shim", Level: level,
	})
}
