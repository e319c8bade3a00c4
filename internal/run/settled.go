package run

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/spillway/spillway/internal/config/runfile"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/source/seen"
	"github.com/spillway/spillway/internal/statedir"
)

// settled finds out when a chunk is settled in every leg of its route, and tells
// the sources, which remember it from then on. Until then it remembers in which legs it
// is, so that one that is sent again goes to the others alone. A leg is known by the
// name of its sink: that is what it is after a change of the file, and after a restart.
//
// Legs tell under the locks of their buffers, so nothing here goes back to one.
type settled struct {
	sources atomic.Pointer[[]*source]

	mu sync.Mutex
	// parts has a key for each leg in which a chunk is settled that is not in all; nil
	// while no route has several legs.
	parts *seen.Chunks
}

// place is where in its route a leg stands: to which sink it leads, and to which its
// route does.
type place struct {
	sink  string
	sinks []string
}

// alone is the place of a leg beside which there is no other.
func alone(sink string) place { return place{sink, []string{sink}} }

// maxParts bounds the chunks that are settled in some legs, counted in each. Beyond it
// the oldest are forgotten, and may be delivered again if they are sent again.
const maxParts = 64 << 10

// legsFile is the name of the file of what is settled in some legs.
const legsFile = "legs"

// open begins to remember in which legs chunks are settled, once there is a route with
// several, or an earlier run had one.
func (s *settled) open(file *runfile.File, cfg *Config) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.parts != nil {
		return nil
	}
	path := ""
	if cfg.StateDir != "" {
		path = filepath.Join(cfg.StateDir, statedir.Chunks, legsFile)
	}
	if !slices.ContainsFunc(file.Routes, func(r runfile.Route) bool { return len(r.To) > 1 }) {
		if _, err := os.Stat(path); path == "" || errors.Is(err, fs.ErrNotExist) {
			return nil
		}
	}
	if path != "" {
		if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("make the directory of remembered chunks: %w", err)
		}
	}
	parts, note, err := seen.Open(path, maxParts)
	if errors.Is(err, seen.ErrLocked) {
		cfg.Log.Warn("another run has the file of chunks that are delivered to some of their sinks; this one forgets them when it ends", "file", path)
		parts, note, err = seen.Open("", maxParts)
	}
	if err != nil {
		return err
	}
	if note != "" {
		cfg.Log.Warn("the file of chunks that are delivered to some of their sinks was not whole", "found", note)
	}
	s.parts = parts
	return nil
}

// close ends it, when legs tell nothing any more that matters.
func (s *settled) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.parts == nil {
		return nil
	}
	return s.parts.Close()
}

// told takes keys of chunks that are settled in one leg.
func (s *settled) told(at place, keys [][16]byte) {
	if len(at.sinks) > 1 {
		keys = s.whole(at, keys)
	}
	sources := s.sources.Load()
	if len(keys) == 0 || sources == nil {
		return
	}
	for _, to := range *sources {
		to.Settled(keys)
	}
}

// whole returns those that are settled in all legs now, and remembers the others.
func (s *settled) whole(at place, keys [][16]byte) (whole [][16]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.parts == nil {
		return nil
	}
	var here, over [][16]byte
	for _, k := range keys {
		all := true
		var others [][16]byte
		for _, sink := range at.sinks {
			if sink == at.sink {
				continue
			}
			part := partOf(k, sink)
			all = all && s.parts.Has(part)
			others = append(others, part)
		}
		if all {
			whole, over = append(whole, k), append(append(over, others...), partOf(k, at.sink))
		} else {
			here = append(here, partOf(k, at.sink))
		}
	}
	if len(here) > 0 {
		s.parts.Settled(here...)
	}
	s.parts.Forget(over...)
	return whole
}

// has reports whether a chunk is settled in the leg to a sink, and not in all of its
// route.
func (s *settled) has(key [16]byte, sink string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.parts != nil && s.parts.Has(partOf(key, sink))
}

// partOf is the key of what of a chunk goes to a sink.
func partOf(key [16]byte, sink string) [16]byte {
	o := record.Origin{Key: key}
	return o.Part("to " + sink).Key
}
