package deadletter

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Ask asks for all letters that q wants to be replayed, and says how many that are.
// Those that were asked for before are counted as well.
func (s *Store) Ask(ctx context.Context, q Query) (asked int64, err error) {
	q.Heads = true
	var ids []int64
	ask := func() error {
		err := s.locked(ctx, func() error {
			if err := s.eachFile(ctx, ids, func(f *file, ids []int64) error { return f.ask(ctx, ids) }); err != nil || len(ids) == 0 {
				return err
			}
			return s.markAsked()
		})
		asked += int64(len(ids))
		ids = ids[:0]
		return err
	}
	_, err = s.List(ctx, q, func(e *Entry) error {
		if ids = append(ids, e.ID); len(ids) < pageLetters {
			return nil
		}
		return ask()
	})
	return asked, errors.Join(err, ask())
}

// markAsked makes the file by whose presence a process sees, at the cost of a look at
// the directory, that there is something to replay.
func (s *Store) markAsked() error {
	f, err := os.OpenFile(filepath.Join(s.dir, askedName), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("ask for a replay: %w", err)
	}
	return f.Close()
}

// unmarkAsked removes that file when nothing is asked for any more.
func (s *Store) unmarkAsked(ctx context.Context) error {
	return s.locked(ctx, func() error {
		if n, err := s.Asked(ctx); err != nil || n > 0 {
			return err
		}
		if err := os.Remove(filepath.Join(s.dir, askedName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("end a replay: %w", err)
		}
		return nil
	})
}

// Withdraw takes back what was asked for and not replayed yet.
func (s *Store) Withdraw(ctx context.Context) error {
	return s.all(ctx, func(f *file) error {
		_, err := f.db.ExecContext(ctx, "DELETE FROM replay")
		return f.explain("take back what was to be replayed", err)
	})
}

// Asked is how many letters are to be replayed and were not yet.
func (s *Store) Asked(ctx context.Context) (asked int64, err error) {
	err = s.all(ctx, func(f *file) error {
		var n int64
		err := f.db.QueryRowContext(ctx, "SELECT count(*) FROM replay").Scan(&n)
		asked += n
		return f.explain("count what is to be replayed", err)
	})
	return asked, err
}

// all runs do on every file that is not damaged.
func (s *Store) all(ctx context.Context, do func(*file) error) error {
	files, err := filesIn(s.dir)
	if err != nil {
		return err
	}
	for _, number := range files.numbers {
		if err := s.with(ctx, number, do); err != nil && !errors.Is(err, fs.ErrNotExist) && !damaged(err) {
			return err
		}
	}
	return nil
}

// eachFile runs do with the ids of each file, which stand in order.
func (s *Store) eachFile(ctx context.Context, ids []int64, do func(*file, []int64) error) error {
	for len(ids) > 0 {
		number, n := numberOf(ids[0]), 1
		for n < len(ids) && numberOf(ids[n]) == number {
			n++
		}
		if err := s.with(ctx, number, func(f *file) error { return do(f, ids[:n]) }); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		ids = ids[n:]
	}
	return nil
}

func (f *file) ask(ctx context.Context, ids []int64) error {
	return f.inTransaction(ctx, "ask for a replay", func(exec execer) error {
		for _, id := range ids {
			if err := exec(ctx, "INSERT OR IGNORE INTO replay (letter) VALUES (?)", id); err != nil {
				return err
			}
		}
		return nil
	})
}

// answered takes letters off those that were asked for.
func (f *file) answered(ctx context.Context, ids []int64) error {
	return f.inTransaction(ctx, "end a replay", func(exec execer) error {
		for _, id := range ids {
			if err := exec(ctx, "DELETE FROM replay WHERE letter = ?", id); err != nil {
				return err
			}
		}
		return nil
	})
}

// asked are some of the ids that are asked for, from next on.
func (s *Store) asked(ctx context.Context, next int64) (ids []int64, err error) {
	err = s.all(ctx, func(f *file) error {
		if len(ids) > 0 {
			return nil
		}
		rows, err := f.db.QueryContext(ctx, "SELECT letter FROM replay WHERE letter >= ? ORDER BY letter LIMIT ?", next, pageLetters)
		if err != nil {
			return f.explain("see what is to be replayed", err)
		}
		for rows.Next() {
			var id int64
			if err := rows.Scan(&id); err != nil {
				return errors.Join(f.explain("see what is to be replayed", err), rows.Close())
			}
			ids = append(ids, id)
		}
		return f.explain("see what is to be replayed", errors.Join(rows.Err(), rows.Close()))
	})
	return ids, err
}
