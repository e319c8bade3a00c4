package local

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Endings of the names of segments, and of files that are thrown away.
const (
	openEnd    = ".open"
	closedEnd  = ".jsonl"
	scratchEnd = ".tmp"
)

// segment is what the name of a segment tells.
type segment struct {
	first   int64 // the place in time of the first line
	writer  string
	ordinal int
	closed  bool
	counts  // of a closed segment
}

// counts is what a segment holds.
type counts struct {
	min     int64 // the earliest time of an entry
	last    int64 // the place in time of the last line
	records int64
	bytes   int64 // of the records' bodies
	size    int64 // of the file
}

// add adds what was written behind.
func (c *counts) add(o counts) {
	if o.size == 0 {
		return
	}
	if c.size == 0 {
		c.min = o.min
	}
	c.min, c.last = min(c.min, o.min), max(c.last, o.last)
	c.records += o.records
	c.bytes += o.bytes
	c.size += o.size
}

// base is the part of the name that never changes.
func (g *segment) base() string {
	return fmt.Sprintf("%019d-%s-%06d", max(g.first, 0), g.writer, g.ordinal)
}

func (g *segment) name() string {
	if !g.closed {
		return g.base() + openEnd
	}
	return fmt.Sprintf("%s-%d-%d-%d-%d-%d%s", g.base(), max(g.min, 0), max(g.last, 0), g.records, g.bytes, g.size, closedEnd)
}

// parseName reads a name. What is no segment's name is not ours.
func parseName(name string) (segment, bool) {
	var g segment
	rest, isOpen := strings.CutSuffix(name, openEnd)
	if !isOpen {
		rest, g.closed = strings.CutSuffix(name, closedEnd)
	}
	fields := strings.Split(rest, "-")
	switch {
	case isOpen && len(fields) == 3:
	case g.closed && len(fields) == 8:
		for i, n := range []*int64{&g.min, &g.last, &g.records, &g.bytes, &g.size} {
			if !parseNumber(fields[3+i], n) {
				return segment{}, false
			}
		}
	default:
		return segment{}, false
	}
	var ordinal int64
	if !parseNumber(fields[0], &g.first) || !parseNumber(fields[2], &ordinal) || fields[1] == "" {
		return segment{}, false
	}
	g.writer, g.ordinal = fields[1], int(ordinal)
	return g, g.name() == name
}

func parseNumber(s string, n *int64) bool {
	v, err := strconv.ParseUint(s, 10, 63)
	*n = int64(v)
	return err == nil
}

// list returns the segments of a folder, the oldest first.
func list(f folder) ([]segment, error) {
	dir, err := f.OpenFile(".", readOnly, 0)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var all []segment
	for _, name := range names {
		if g, ok := parseName(name); ok {
			all = append(all, g)
		}
	}
	slices.SortFunc(all, func(a, b segment) int {
		return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(a.writer, b.writer), cmp.Compare(a.ordinal, b.ordinal))
	})
	return all, nil
}
