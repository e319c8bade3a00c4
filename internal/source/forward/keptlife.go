package forward

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	protocol "github.com/spillway/spillway/forward"
)

// wake sets the timer to when a line has waited long enough.
func (k *keptParts) wake() {
	if k.ended || k.timer == nil {
		return
	}
	var due time.Time
	for _, l := range k.lines {
		if !l.handed && (due.IsZero() || l.due.Before(due)) {
			due = l.due
		}
	}
	if !due.IsZero() {
		k.timer.Reset(time.Until(due))
	}
}

// expire lets lines out that have waited long enough, or all of them.
func (k *keptParts) expire(all bool) {
	k.mu.Lock()
	var out []*keptLine
	for _, l := range k.lines {
		if !l.handed && len(l.keys) > 0 && (all || !time.Now().Before(l.due)) {
			l.handed = true
			out = append(out, l)
		}
	}
	k.wake()
	k.mu.Unlock()
	for _, l := range out {
		k.hand(l, l.entry(false), false, nil)
	}
}

// start begins to let lines out in time, those of an earlier process too.
func (k *keptParts) start() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ended || k.timer != nil {
		return
	}
	k.timer = time.AfterFunc(time.Hour, func() { k.during(func() { k.expire(false) }) })
	for _, l := range k.lines {
		l.due = time.Now().Add(partAge)
	}
	k.wake()
}

// end lets everything out, and keeps nothing from then on. What is not taken stays
// in its file for the next process.
func (k *keptParts) end() {
	k.mu.Lock()
	started := k.timer != nil && !k.ended
	k.ended = true
	if started {
		k.timer.Stop()
	}
	k.mu.Unlock()
	if started {
		k.expire(true)
	}
}

// recover reads the lines that an earlier process has left. It reports what cannot be
// read, and was acknowledged; a file that cannot be opened stays.
func (k *keptParts) recover() error {
	paths, err := filepath.Glob(filepath.Join(k.dir, partsPattern))
	for _, path := range paths {
		file, frames, damaged, unread := readPartsFile(path)
		err = errors.Join(err, damaged, unread)
		if unread != nil || damaged != nil && len(frames) == 0 {
			continue // It stays, for somebody to look at.
		}
		l := &keptLine{file: file}
		for i := range frames {
			f := &frames[i]
			e, rest, bad := protocol.NextEntry(f.entry)
			var p part
			if bad == nil && len(rest) == 0 {
				p, _ = readPart(e.Record)
			}
			if p.log == nil {
				err = errors.Join(err, fmt.Errorf("%s: frame %d holds no part", path, i))
				break
			}
			l.tag, l.id, l.since = f.tag, string(p.id), f.since
			k.add(l, f.key, f.entry, &p)
		}
		k.lines = append(k.lines, l)
		if len(l.keys) == 0 {
			k.forget(l) // Its first part was never acknowledged.
		}
	}
	return err
}

func (k *keptParts) trouble(err error) {
	k.counts.Trouble = err.Error()
	if k.report != nil {
		k.report(err)
	}
}
