package local

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
)

// backSource reads a source backwards, to find where its part of the tail
// begins. Only the files that hold the tail are opened, and those which are
// being written to.
type backSource struct {
	*source
	last  int      // the last segment there was at first
	index int      // the present segment
	file  *os.File // of that, or nil
	lines *backLines

	key      int64 // the place in time of the entry, or the latest that it can be
	loaded   bool  // there is an entry
	start    int64 // its offset
	picked   bool  // an entry belongs to the tail; the first of those is at:
	atIndex  int
	atOffset int64
	live     bool  // the last segment is being written to
	end      int64 // of what it held at first
}

// seekTail makes the sources begin with the last entries that the query
// chooses.
func (r *reader) seekTail(ctx context.Context) error {
	var q backQueue
	all := make([]*backSource, len(r.sources))
	for i, s := range r.sources {
		all[i] = &backSource{source: s, last: len(s.segments) - 1, index: len(s.segments) - 1}
		more, err := all[i].begin()
		if err == nil && more {
			q = append(q, all[i])
		}
		if err != nil {
			return errors.Join(fmt.Errorf("read the local store: %w", err), closeAll(all))
		}
	}
	err := r.pick(ctx, q)
	for _, b := range all {
		b.apply()
	}
	return errors.Join(err, closeAll(all))
}

// pick finds the tail's entries, the last one first.
func (r *reader) pick(ctx context.Context, q backQueue) error {
	heap.Init(&q)
	left := r.query.Tail
	for n := 0; len(q) > 0 && left > 0; n++ {
		if err := ctx.Err(); n%256 == 0 && err != nil {
			return err
		}
		b := q[0]
		if !r.query.Since.IsZero() && b.key < r.query.Since.UnixNano() {
			return nil
		}
		if b.loaded && r.query.chooses(&b.entry) {
			left--
			b.picked, b.atIndex, b.atOffset = true, b.index, b.start
		}
		more, err := b.previous()
		if err != nil {
			return fmt.Errorf("read the local store: %w", err)
		}
		if more {
			heap.Fix(&q, 0)
		} else {
			heap.Pop(&q)
		}
	}
	return nil
}

// begin goes to the end of the last segment.
func (b *backSource) begin() (bool, error) {
	if b.last < 0 {
		return false, nil
	}
	if g := b.segments[b.last]; g.closed {
		b.key = g.last
		return true, nil
	}
	if err := b.open(); err != nil {
		return false, err
	}
	if b.file != nil {
		ended, err := b.ended(b.segments[b.last], b.file)
		if err != nil {
			return false, err
		}
		b.live = !ended
	}
	more, err := b.previous()
	if b.loaded && b.index == b.last {
		b.end = b.start + int64(len(b.entry.Line)) + 1
	}
	return more, err
}

// previous goes to the entry before the present one, or to the segment before.
func (b *backSource) previous() (bool, error) {
	b.loaded = false
	for b.index >= 0 {
		if b.file == nil {
			if err := b.open(); err != nil {
				return false, err
			}
			if b.file == nil {
				b.index--
				continue
			}
		}
		line, start, err := b.lines.previous()
		if errors.Is(err, io.EOF) {
			if err := b.close(); err != nil {
				return false, err
			}
			b.index--
			continue
		}
		if err != nil {
			return false, err
		}
		if b.parser.parse(line, &b.entry) == nil {
			b.key, b.loaded, b.start = b.entry.sort, true, start
			return true, nil
		}
	}
	return false, nil
}

func (b *backSource) open() error {
	f, err := b.openSegment(b.index)
	if err != nil || f == nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	b.file, b.lines = f, newBackLines(f, info.Size())
	return nil
}

func (b *backSource) close() error {
	if b.file == nil {
		return nil
	}
	f := b.file
	b.file, b.lines = nil, nil
	return f.Close()
}

// apply makes the source begin with its part of the tail.
func (b *backSource) apply() {
	s, follow := b.source, b.reader.query.Follow
	switch {
	case b.picked:
		s.segments, s.from = s.segments[b.atIndex:], b.atOffset
	case b.live && follow:
		s.segments, s.from = s.segments[b.last:], b.end
	case follow:
		s.segments = s.segments[b.last+1:]
	default:
		s.segments = nil
	}
	if follow {
		return
	}
	// What has appeared meanwhile would be more than the tail.
	if b.picked {
		s.segments = s.segments[:b.last-b.atIndex+1]
	}
	if b.live {
		s.to = b.end
	}
}

func closeAll(all []*backSource) error {
	var err error
	for _, b := range all {
		if b != nil {
			err = errors.Join(err, b.close())
		}
	}
	return err
}

// backQueue is a heap of sources, the one whose entry is the latest first.
type backQueue []*backSource

func (q backQueue) Len() int      { return len(q) }
func (q backQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q backQueue) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(q[i].key, q[j].key), cmp.Compare(q[i].writer, q[j].writer)) > 0
}
func (q *backQueue) Push(x any) { *q = append(*q, x.(*backSource)) }
func (q *backQueue) Pop() any {
	last := len(*q) - 1
	b := (*q)[last]
	*q = (*q)[:last]
	return b
}
