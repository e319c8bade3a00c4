package deadletter

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/spillway/spillway/internal/record"
)

// groupBytes is about how many bytes of letters one commit takes from callers that
// wait; the letters of one caller are never divided.
const groupBytes = 4 << 20

// call is one call of Put that waits.
type call struct {
	letters []record.Letter
	bytes   int
	done    chan error // of capacity 1
}

// group gathers the calls that come while a commit is under way, so that they share
// the next one: a commit costs a sync, however much is in it.
type group struct {
	turn chan struct{} // holds one token; who has it commits
	mu   sync.Mutex
	wait []*call
}

func newGroup() *group {
	g := &group{turn: make(chan struct{}, 1)}
	g.turn <- struct{}{}
	return g
}

// join adds a call to those that wait.
func (g *group) join(c *call) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.wait = append(g.wait, c)
}

// leave takes a call back, and reports false where it is being committed.
func (g *group) leave(c *call) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.Index(g.wait, c)
	if i < 0 {
		return false
	}
	g.wait = slices.Delete(g.wait, i, i+1)
	return true
}

// next takes those off that go into one commit.
func (g *group) next() []*call {
	g.mu.Lock()
	defer g.mu.Unlock()
	n, bytes := 0, 0
	for n < len(g.wait) && (n == 0 || bytes+g.wait[n].bytes <= groupBytes) {
		bytes += g.wait[n].bytes
		n++
	}
	calls := slices.Clone(g.wait[:n])
	g.wait = slices.Delete(g.wait, 0, n)
	return calls
}

// Put writes letters, all or none; they outlast a power cut when it returns nil. A
// letter that is there already, by destination, origin and body, stays one entry,
// with the attempts of both and what was said last. The letters must not change
// during the call, nor after an error. The error is ErrFull where there is no room; where
// ctx ends it is that of ctx, and the letters are written or not, or still are when the
// disk answers. Where it does not for Options.Patience, the error says so.
func (s *Store) Put(ctx context.Context, letters []record.Letter) error {
	c := &call{letters: letters, done: make(chan error, 1)}
	for i := range letters {
		l := &letters[i]
		if l.Origin == "" {
			// Without it all letters with the same bytes would be one.
			return fmt.Errorf("put a dead letter for %s: found no origin; expected what identifies the record", l.Destination)
		}
		c.bytes += len(l.Body) + len(l.Detail) + len(l.Tag) + perLetter
	}
	if len(letters) == 0 {
		return nil
	}
	s.group.join(c)
	return s.await(ctx, c)
}

// await waits until a call is committed, by the goroutine of this or of another call. One
// at a time commits; where the disk hangs it is left behind, with the turn, so that there
// is never another.
func (s *Store) await(ctx context.Context, c *call) error {
	patience := time.NewTimer(s.o.Patience)
	defer patience.Stop()
	turn, over := s.group.turn, ctx.Done()
	for {
		select {
		case err := <-c.done:
			return err
		case <-turn:
			turn = nil
			go func() {
				s.lead(ctx, c)
				s.group.turn <- struct{}{}
			}()
		case <-over:
			if s.group.leave(c) {
				return fmt.Errorf("put dead letters: %w", ctx.Err())
			}
			// It is being committed, which ends soon, or never.
			over = nil
			patience.Reset(cutOffPatience)
		case <-patience.C:
			err := fmt.Errorf("put dead letters in %s: %w", s.dir, errHangs)
			if s.group.leave(c) || ctx.Err() == nil {
				return err
			}
			return fmt.Errorf("%w: %w", err, ctx.Err())
		}
	}
}

// lead commits until c, which may have been committed by another, is done.
func (s *Store) lead(ctx context.Context, c *call) {
	for led := false; !led; {
		calls := s.group.next()
		if len(calls) == 0 {
			return
		}
		led = slices.Contains(calls, c)
		// What other callers wait for must not end with this one's context.
		commit := context.WithoutCancel(ctx)
		if len(calls) == 1 && calls[0] == c {
			commit = ctx
		}
		err := s.commit(commit, calls)
		for _, one := range calls {
			one.done <- err
		}
	}
}

// put writes the letters of all calls in one transaction.
func (f *file) put(ctx context.Context, calls []*call) (err error) {
	tx, err := f.db.BeginTx(ctx, nil)
	if err != nil {
		return f.explain("begin to write", err)
	}
	w := writer{tx: tx}
	defer func() {
		if rolled := tx.Rollback(); rolled != nil && !errors.Is(rolled, sql.ErrTxDone) && err == nil {
			err = f.explain("take back", rolled)
		}
	}()
	for _, c := range calls {
		for i := range c.letters {
			if err := w.put(ctx, &c.letters[i]); err != nil {
				return f.explain("write", err)
			}
		}
	}
	if err := w.addToTotal(ctx); err != nil {
		return f.explain("write", err)
	}
	return f.explain("commit", tx.Commit())
}
