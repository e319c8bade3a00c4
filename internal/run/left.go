package run

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/spillway/spillway/internal/config"
	"github.com/spillway/spillway/internal/diskbuffer"
	"github.com/spillway/spillway/internal/pipeline"
	"github.com/spillway/spillway/internal/statedir"
)

// Orphan is a disk buffer that an earlier run left for a sink that is gone. It
// stays as it is: it is delivered when the file has a sink of that name again.
type Orphan struct {
	Directory string `json:"directory"`
	Route     string `json:"route"`
	Sink      string `json:"sink"`
}

// left is a disk buffer of an earlier run that no leg has opened.
type left struct {
	path        string
	route, sink string
	// place is where it stands among all that is left of its route.
	place place
}

// adopt looks at the disk buffers that earlier runs have left and no leg has
// opened, because their routes are gone: each is delivered to the sink of its
// name, or shown. Of those to one sink one is delivered at a time, so that their
// number costs no memory.
func (r *Run) adopt() {
	if r.cfg.StateDir == "" {
		return
	}
	all, err := statedir.ListBuffers(r.cfg.StateDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		r.cfg.Log.Warn("the disk buffers of earlier runs cannot be seen", "error", err)
	}
	bySink := map[string][]left{}
	var orphans []Orphan
	for _, found := range all {
		l, err := lookAt(found.Path)
		switch {
		case err != nil:
			r.cfg.Log.Warn("a disk buffer cannot be read; it stays as it is", "directory", found.Path, "error", err)
		case l == nil:
		case r.file.Sink(l.sink) != nil:
			bySink[l.sink] = append(bySink[l.sink], *l)
		default:
			orphans = append(orphans, Orphan{Directory: l.path, Route: l.route, Sink: l.sink})
			r.cfg.Log.Warn("the file has no sink for a disk buffer of an earlier run; it stays as it is",
				"directory", l.path, "route", l.route, "sink", l.sink)
		}
	}
	r.mu.Lock()
	r.orphans = orphans
	r.mu.Unlock()
	r.places(bySink, orphans)
	for name, all := range bySink {
		r.endings.leave("what earlier runs left for the sink "+name, func() error {
			var errs []error
			for _, l := range all {
				errs = append(errs, r.deliverLeft(&l))
			}
			return errors.Join(errs...)
		})
	}
}

// places says where each buffer stands among those of its route that have something
// left, of which a chunk may be in several: those that are being delivered already, and
// those that nobody delivers, count as well.
func (r *Run) places(bySink map[string][]left, orphans []Orphan) {
	sinks := map[string][]string{}
	note := func(route, sink string) {
		if !slices.Contains(sinks[route], sink) {
			sinks[route] = append(sinks[route], sink)
		}
	}
	r.mu.Lock()
	for _, l := range r.leaving {
		note(l.route, l.name)
	}
	r.mu.Unlock()
	for _, o := range orphans {
		note(o.Route, o.Sink)
	}
	for _, all := range bySink {
		for _, l := range all {
			note(l.route, l.sink)
		}
	}
	for _, all := range bySink {
		for i := range all {
			of := sinks[all[i].route]
			all[i].place = place{all[i].sink, of}
		}
	}
}

// lookAt returns nil where a buffer is in use, or not of a run.
func lookAt(path string) (l *left, err error) {
	dir, err := diskbuffer.OpenReadOnly(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	meta, err := diskbuffer.ReadMeta(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // Somebody makes it, or has just emptied it.
	}
	if err != nil {
		return nil, err
	}
	l = &left{path: path}
	var ours bool
	if l.route, l.sink, ours = ParseIdentity(meta.Identity); !ours {
		return nil, nil
	}
	if u, ok := dir.(interface{ InUse() (bool, error) }); ok {
		if used, err := u.InUse(); used || err != nil {
			return nil, err
		}
	}
	return l, nil
}

// deliverLeft delivers what is in a buffer of an earlier run.
func (r *Run) deliverLeft(l *left) error {
	leg, err := r.openLeft(l)
	switch {
	case errors.Is(err, diskbuffer.ErrLocked), errors.Is(err, fs.ErrNotExist), errors.Is(err, errUnwanted):
		return nil
	case err != nil:
		return fmt.Errorf("the disk buffer %s stays as it is: %w", l.path, err)
	}
	return r.leaveNow(leg, nil)
}

// errUnwanted says that the run ends, or that its file has no such sink any more.
var errUnwanted = errors.New("nobody wants it")

// leftMemory is what one leg for what is on the disk already holds, in bytes.
const leftMemory = 4 << 20

func (r *Run) openLeft(l *left) (*leg, error) {
	r.opening.Lock()
	defer r.opening.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopping {
		return nil, errUnwanted
	}
	to := r.file.Sink(l.sink)
	if to == nil {
		return nil, errUnwanted
	}
	plan := legPlan{route: l.route, sink: *to, buffer: config.Buffer{
		Mode: config.Spill, Limit: leftMemory, LossMarkers: true, MaxDisk: 1 << 30,
		WhenFull: config.WhenFullBlock, Durability: config.DurabilityMemory, Compression: config.DiskCompressionNone,
	}}
	shared, err := r.sinks.get(&plan.sink)
	if err != nil {
		return nil, err
	}
	disk, err := pipeline.OpenLeft(l.path, diskbuffer.Owner{UID: -1, GID: -1}, plan.bufferOptions(), r.cfg.Log)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open it: %w", err), r.sinks.put(shared))
	}
	made := r.startPipeline(plan, shared, disk, l.place)
	r.leaving = append(r.leaving, made)
	return made, nil
}
