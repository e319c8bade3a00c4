package deadletter

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
)

// Ref is a letter in the revision in which somebody has seen it.
type Ref struct {
	ID, Revision int64
	// Size is that of its body.
	Size int64
}

// Ref names the entry in its revision.
func (e *Entry) Ref() Ref { return Ref{e.ID, e.Revision, e.Size} }

// Remove deletes letters, and says how many. One that is gone, or that was put again
// since it was seen, is left out. What was removed is removed when Remove returns,
// also after a power cut; with an error those of some files may be removed. A few
// hundred letters at a time keep others from waiting.
func (s *Store) Remove(ctx context.Context, refs []Ref) (removed int64, err error) {
	for len(refs) > 0 {
		number, n := numberOf(refs[0].ID), 1
		for n < len(refs) && numberOf(refs[n].ID) == number {
			n++
		}
		done, err := s.removeFrom(ctx, number, refs[:n])
		removed += done
		if err != nil {
			return removed, err
		}
		refs = refs[n:]
	}
	return removed, nil
}

func (s *Store) removeFrom(ctx context.Context, number int, refs []Ref) (removed int64, err error) {
	err = s.with(ctx, number, func(f *file) error {
		removed, err = f.remove(ctx, refs)
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	return removed, err
}

// with runs do on the file of that number, which is the present one or one that was
// set aside; the error is fs.ErrNotExist where it is gone.
func (s *Store) with(ctx context.Context, number int, do func(*file) error) (err error) {
	all, err := filesIn(s.dir)
	if err != nil {
		return err
	}
	var f *file
	if number == all.last() {
		f, err = s.present(ctx)
	}
	if err == nil && (f == nil || f.number != number) {
		if f, err = s.openFile(number, s.bounds(all, number)); err == nil {
			defer func() { err = errors.Join(err, f.close()) }()
		}
	}
	if err != nil {
		return err
	}
	return do(f)
}

func (f *file) remove(ctx context.Context, refs []Ref) (removed int64, err error) {
	tx, err := f.db.BeginTx(ctx, nil)
	if err != nil {
		return 0, f.explain("begin to remove", err)
	}
	defer func() {
		if rolled := tx.Rollback(); rolled != nil && !errors.Is(rolled, sql.ErrTxDone) && err == nil {
			err = f.explain("take back", rolled)
		}
	}()
	var bytes int64
	for _, ref := range refs {
		done, err := tx.ExecContext(ctx, "DELETE FROM letter WHERE id = ? AND revision = ?", ref.ID, ref.Revision)
		if err != nil {
			return 0, f.explain(fmt.Sprintf("remove letter %d", ref.ID), err)
		}
		rows, err := done.RowsAffected()
		if err != nil {
			return 0, f.explain("remove", err)
		}
		if rows == 0 {
			continue
		}
		removed, bytes = removed+rows, bytes+ref.Size
		if ref.Size <= headBytes {
			continue
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM rest WHERE part BETWEEN ? AND ?", partID(ref.ID, 0), partID(ref.ID, maxParts-1)); err != nil {
			return 0, f.explain(fmt.Sprintf("remove letter %d", ref.ID), err)
		}
	}
	if removed > 0 {
		if _, err := tx.ExecContext(ctx, "UPDATE total SET letters = letters - ?, bytes = bytes - ?", removed, bytes); err != nil {
			return 0, f.explain("remove", err)
		}
	}
	if err := tx.Commit(); err != nil {
		return 0, f.explain("remove", err)
	}
	return removed, nil
}

// compactPages are given back at a time, 4 MiB, so that others wait for a moment
// only.
const compactPages = 1024

// Compact gives the room of removed letters back to the disk. It may take a second
// for each 100 MiB, in which others read and write.
func (s *Store) Compact(ctx context.Context) error {
	all, err := filesIn(s.dir)
	if err != nil {
		return err
	}
	for _, number := range all.numbers {
		err := s.with(ctx, number, func(f *file) error { return f.compact(ctx) })
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (f *file) compact(ctx context.Context) error {
	before := int64(-1)
	for {
		var free int64
		if err := f.db.QueryRowContext(ctx, "PRAGMA freelist_count").Scan(&free); err != nil {
			return f.explain("compact", err)
		}
		if free == 0 || free == before {
			break
		}
		before = free
		if err := f.pragma(ctx, fmt.Sprintf("incremental_vacuum(%d)", compactPages)); err != nil {
			return err
		}
	}
	// The file itself shrinks when the log is written into it.
	return f.pragma(ctx, "wal_checkpoint(TRUNCATE)")
}

// pragma runs one that gives rows; it goes on as long as they are asked for.
func (f *file) pragma(ctx context.Context, text string) error {
	rows, err := f.db.QueryContext(ctx, "PRAGMA "+text)
	if err != nil {
		return f.explain(text, err)
	}
	for rows.Next() {
		continue
	}
	return f.explain(text, errors.Join(rows.Err(), rows.Close()))
}

// Summary says how much a store holds.
type Summary struct {
	// Letters and Bytes are those of letters and of their bodies.
	Letters int64 `json:"letters"`
	Bytes   int64 `json:"bytes"`
	// Disk is the size of the files and Max what it is bounded to, in bytes.
	Disk int64 `json:"disk_bytes"`
	Max  int64 `json:"max_bytes"`
	// Aside are the files that were set aside.
	Aside []string `json:"set_aside"`
}

// Summary says how much the store holds. It reads one row of each file, and leaves
// out what a damaged one cannot say.
func (s *Store) Summary(ctx context.Context) (Summary, error) {
	sum := Summary{Max: s.max.Load(), Aside: []string{}}
	all, err := filesIn(s.dir)
	if err != nil {
		return sum, err
	}
	for _, number := range all.numbers {
		if number != all.last() {
			sum.Aside = append(sum.Aside, s.path(number))
		}
		err := s.with(ctx, number, func(f *file) error { return f.addTo(ctx, &sum) })
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !damaged(err) {
			return sum, err
		}
	}
	return sum, nil
}

func (f *file) addTo(ctx context.Context, sum *Summary) error {
	var letters, bytes, pages int64
	if err := f.db.QueryRowContext(ctx, "PRAGMA page_count").Scan(&pages); err != nil {
		return f.explain("read", err)
	}
	sum.Disk += pages * pageSize
	if err := f.db.QueryRowContext(ctx, "SELECT letters, bytes FROM total").Scan(&letters, &bytes); err != nil {
		if errors.Is(err, sql.ErrNoRows) {
			return &damageError{f.path, err}
		}
		return f.explain("read", err)
	}
	sum.Letters, sum.Bytes = sum.Letters+letters, sum.Bytes+bytes
	return nil
}
