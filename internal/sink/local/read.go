package local

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"time"
)

// Query says what to read. Its zero value means everything that is there.
type Query struct {
	// Since and Until choose by time, which is at least Since and before Until;
	// zero means no bound.
	Since, Until time.Time
	// Tail chooses the last entries of those that are there at the start; 0 means
	// all of them, NoTail none.
	Tail int
	// Streams chooses the streams of these names; none means all.
	Streams []string
	// Follow goes on with what is written later, until Until has passed.
	Follow bool
	// Damaged is told of what is no entry and was left out, such as a line that was
	// cut off when its writer was killed. It may be nil.
	Damaged func(Damage)
}

// NoTail is the Tail of a query that wants nothing of what is there already.
const NoTail = -1

// Damage is a place in a segment that holds no entry.
type Damage struct {
	Segment string
	Offset  int64
	Size    int64
	Err     error
}

// pollInterval is how often a reader that follows looks for something new.
const pollInterval = 150 * time.Millisecond

// Read calls emit for each entry of the store in dir that the query chooses. The
// entries of one writer come in the order in which they were written, and those
// of several by time; while it follows, by time among what has appeared since
// the last look. It ends with the first error of emit, or that of ctx. An entry
// is valid until emit returns.
//
// Memory is bounded by the number of programs that wrote at the same time: some
// 200 KiB for each, or twice the longest line. Nothing keeps the store from
// deleting what is about to be read; that is left out.
func Read(ctx context.Context, dir string, q Query, emit func(Entry) error) (err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("read the local store: %w", err)
	}
	r := newReader(root, q, emit)
	defer func() { err = errors.Join(err, r.close()) }()
	if err := r.look(); err != nil {
		return fmt.Errorf("read the local store: %w", err)
	}
	if q.Tail != 0 {
		if err := r.seekTail(ctx); err != nil {
			return err
		}
	}
	for {
		if err := r.merge(ctx); err != nil || !q.Follow {
			return err
		}
		if !q.Until.IsZero() && !time.Now().Before(q.Until) {
			return nil
		}
		if err := r.wait(ctx); err != nil {
			return err
		}
	}
}

// reader reads a store.
type reader struct {
	root     *os.Root
	query    Query
	emit     func(Entry) error
	sources  []*source // of which something is to be read, or may be later
	byWriter map[string]*source
	changed  time.Time // when the folder had changed last
	settled  bool      // that was not just before it was listed
}

func newReader(root *os.Root, q Query, emit func(Entry) error) *reader {
	return &reader{root: root, query: q, emit: emit, byWriter: make(map[string]*source)}
}

// look lists the folder, if it has changed.
func (r *reader) look() error {
	info, err := r.root.Stat(".")
	if err != nil {
		return err
	}
	if r.settled && info.ModTime().Equal(r.changed) {
		return nil
	}
	// Times of folders are coarse: a change right after this may not show.
	r.changed, r.settled = info.ModTime(), time.Since(info.ModTime()) > time.Second
	all, err := list(r.root)
	if err != nil {
		return err
	}
	slices.SortFunc(all, func(a, b segment) int { return cmp.Compare(a.ordinal, b.ordinal) })
	for _, g := range all {
		s := r.byWriter[g.writer]
		if s == nil {
			s = &source{reader: r, writer: g.writer, key: math.MinInt64, to: math.MaxInt64}
			r.byWriter[g.writer] = s
			r.sources = append(r.sources, s)
		}
		s.add(g)
	}
	return nil
}

// wanted tells whether a segment may hold entries that the query chooses.
func (q *Query) wanted(g segment) bool {
	return !g.closed || (q.Since.IsZero() || g.last >= q.Since.UnixNano()) && (q.Until.IsZero() || g.min < q.Until.UnixNano())
}

// chooses tells whether the query chooses an entry.
func (q *Query) chooses(e *Entry) bool {
	return !e.Time.Before(q.Since) && (q.Until.IsZero() || e.Time.Before(q.Until)) &&
		(len(q.Streams) == 0 || slices.Contains(q.Streams, e.Stream))
}

// queue is a heap of sources, the one that comes next first.
type queue []*source

func (q queue) Len() int      { return len(q) }
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q queue) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(q[i].key, q[j].key), cmp.Compare(q[i].writer, q[j].writer)) < 0
}
func (q *queue) Push(x any) { *q = append(*q, x.(*source)) }
func (q *queue) Pop() any {
	last := len(*q) - 1
	s := (*q)[last]
	*q = (*q)[:last]
	return s
}

// merge gives out everything that is there.
func (r *reader) merge(ctx context.Context) error {
	q := make(queue, 0, len(r.sources))
	for _, s := range r.sources {
		if s.prepare() {
			q = append(q, s)
		}
	}
	heap.Init(&q)
	for n := 0; len(q) > 0; n++ {
		if err := ctx.Err(); n%256 == 0 && err != nil {
			return err
		}
		s := q[0]
		if s.loaded && r.query.chooses(&s.entry) {
			if err := r.emit(s.entry); err != nil {
				return err
			}
		}
		more, err := s.advance()
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

// wait waits for the next look, and looks.
func (r *reader) wait(ctx context.Context) error {
	timer := time.NewTimer(pollInterval)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
	}
	if err := r.look(); err != nil {
		return fmt.Errorf("read the local store: %w", err)
	}
	return nil
}

func (r *reader) close() error {
	var err error
	for _, s := range r.byWriter {
		err = errors.Join(err, s.close())
	}
	return errors.Join(err, r.root.Close())
}
