package deadletter

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/spillway/spillway/internal/record"
)

// Query says which letters are wanted. The zero value wants all.
type Query struct {
	// IDs are the only ones wanted, where there are any.
	IDs []int64
	// Destination, Reason: exactly this one, where it is not empty.
	Destination, Reason string
	// Tag decides by the tag, where it is not nil.
	Tag func(tag string) bool
	// Since and Until bound the time of the last attempt: from Since on, before
	// Until. A zero time is no bound.
	Since, Until time.Time
	// Last, where it is not 0, is the greatest id wanted, so that a second reading
	// finds no letters that came after the first.
	Last int64
	// Heads leaves of a long body only the first 64 KiB; Entry.Size has its size.
	Heads bool
}

// Entry is one letter of a store.
type Entry struct {
	// ID names the letter; ids grow in the order of arrival, and none is used again.
	ID int64
	// Revision grows, from 1, when the letter is put again.
	Revision int64
	// Size is that of the whole body, in bytes.
	Size int64
	record.Letter
}

// idRange are the ids that can match.
func (q *Query) idRange() (first, last int64) {
	first, last = 1, math.MaxInt64
	if len(q.IDs) > 0 {
		first, last = slices.Min(q.IDs), slices.Max(q.IDs)
	}
	if q.Last > 0 {
		last = min(last, q.Last)
	}
	return first, last
}

// where is that part of the query which SQLite can decide; match decides all.
func (q *Query) where() (text string, args []any) {
	var b strings.Builder
	add := func(condition string, arg any) {
		b.WriteString(" AND ")
		b.WriteString(condition)
		args = append(args, arg)
	}
	if q.Destination != "" {
		add("destination = ?", q.Destination)
	}
	if q.Reason != "" {
		add("reason = ?", q.Reason)
	}
	if !q.Since.IsZero() {
		add("last >= ?", q.Since.UnixNano())
	}
	if !q.Until.IsZero() {
		add("last < ?", q.Until.UnixNano())
	}
	return b.String(), args
}

func (q *Query) match(e *Entry) bool {
	first, last := q.idRange()
	switch {
	case e.ID < first || e.ID > last, len(q.IDs) > 0 && !slices.Contains(q.IDs, e.ID):
		return false
	case q.Destination != "" && e.Destination != q.Destination, q.Reason != "" && e.Reason != q.Reason:
		return false
	case !q.Since.IsZero() && e.Last < q.Since.UnixNano(), !q.Until.IsZero() && e.Last >= q.Until.UnixNano():
		return false
	}
	return q.Tag == nil || q.Tag(e.Tag)
}
