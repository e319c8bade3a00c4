package deadletter

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
)

const (
	// pageLetters and pageBytes bound what is read at once, and held while it is
	// handed out. Between two pages the file is not in use, so a slow reader holds
	// up nothing.
	pageLetters = 256
	pageBytes   = 256 << 10
)

// Report says what a reading came across.
type Report struct {
	// Matched letters were handed out.
	Matched int64
	// Damage has each file in which something is damaged.
	Damage []Damage
}

// Damage is what is wrong with one file of the store.
type Damage struct {
	Path string
	// Lost is how many letters cannot be read, and -1 where the file cannot even
	// say how many it should have.
	Lost int64
	// Error is the first that was met.
	Error error
}

// List calls visit with each letter that q wants, in the order in which they
// arrived. An entry is valid during its visit alone. Letters that come or go
// meanwhile are listed or not. Memory is bounded, but for the body of one letter.
// What is damaged is left out and reported; the error is that of visit, of ctx, or
// of a file system.
func (s *Store) List(ctx context.Context, q Query, visit func(*Entry) error) (Report, error) {
	var report Report
	all, err := filesIn(s.dir)
	if err != nil {
		return report, err
	}
	for _, number := range all.numbers {
		if err := s.listFile(ctx, all, number, &q, &report, visit); err != nil {
			return report, err
		}
	}
	return report, nil
}

func (s *Store) listFile(ctx context.Context, all files, number int, q *Query, report *Report, visit func(*Entry) error) (err error) {
	f, err := s.openFile(number, s.bounds(all, number))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() {
		if closed := f.close(); closed != nil && !damaged(closed) {
			err = errors.Join(err, closed)
		}
	}()
	r := reader{view: view{f, f.db}, q: q, visit: visit}
	err = f.ours(ctx)
	if err == nil {
		err = r.read(ctx)
	}
	report.Matched += r.matched
	switch {
	case err != nil && (!damaged(err) || ctx.Err() != nil || r.visiting):
		return err
	case err == nil && r.damage == nil:
		return nil
	case r.damage == nil:
		r.damage = err
	}
	lost, err := f.census(ctx)
	if err != nil {
		return err
	}
	report.Damage = append(report.Damage, Damage{f.path, lost, r.damage})
	return nil
}

// Get returns one letter whole; where there is none the error is fs.ErrNotExist.
func (s *Store) Get(ctx context.Context, id int64) (e Entry, err error) {
	none := fmt.Errorf("dead letter %d: %w", id, fs.ErrNotExist)
	err = s.with(ctx, numberOf(id), func(f *file) error {
		v := view{f, f.db}
		found, err := v.one(ctx, id)
		if err != nil {
			return err
		}
		if found == nil {
			return none
		}
		there, err := v.readRest(ctx, found)
		if err == nil && !there {
			return none
		}
		e = *found
		return err
	})
	var row *rowError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return e, none
	case damaged(err) && !errors.As(err, &row):
		return s.getAround(ctx, id, err)
	}
	return e, err
}

// getAround returns a letter of a file in which something is damaged.
func (s *Store) getAround(ctx context.Context, id int64, why error) (e Entry, err error) {
	report, err := s.List(ctx, Query{IDs: []int64{id}}, func(found *Entry) error {
		e = *found
		return nil
	})
	if err == nil && report.Matched == 0 {
		err = fmt.Errorf("dead letter %d: %w", id, why)
	}
	return e, err
}

// columns are what an entry is read from.
const columns = `id, revision, destination, source, tag, origin, seq, time, encoding, status, reason, detail, attempts, first, last, size, sum, head`

// scan reads a row of columns.
func scan(rows *sql.Rows, e *Entry) error {
	var seq, sum int64
	var head sql.RawBytes
	*e = Entry{}
	err := rows.Scan(&e.ID, &e.Revision, &e.Destination, &e.Source, &e.Tag, &e.Origin, &seq, &e.Time, &e.Encoding, &e.Status, &e.Reason,
		&e.Detail, &e.Attempts, &e.First, &e.Last, &e.Size, &sum, &head)
	if err != nil {
		if code(err) == 0 {
			return &rowError{e.ID, err} // a column holds a value of another type
		}
		return err
	}
	e.Seq, e.Body = uint64(seq), append([]byte(nil), head...)
	if found := sumOf(e.Revision, &e.Letter, e.Size, e.Body); int64(found) != sum {
		return &rowError{e.ID, fmt.Errorf("found a checksum of %08x; expected %08x", found, sum)}
	}
	return nil
}

// rowError is the error of one letter that is damaged, among others that can be
// read.
type rowError struct {
	id  int64
	err error
}

func (e *rowError) Error() string { return fmt.Sprintf("dead letter %d is damaged: %v", e.id, e.err) }

func (e *rowError) Unwrap() error { return e.err }

// readRest completes the body of e. Where the letter is gone meanwhile it reports
// false.
func (f view) readRest(ctx context.Context, e *Entry) (bool, error) {
	left := e.Size - int64(len(e.Body))
	if left <= 0 {
		return true, nil
	}
	if len(e.Body) != headBytes || left > maxParts*partBytes {
		return false, &rowError{e.ID, fmt.Errorf("found %d bytes of a body of %d; expected %d", len(e.Body), e.Size, headBytes)}
	}
	rows, err := f.QueryContext(ctx, "SELECT part, sum, bytes FROM rest WHERE part BETWEEN ? AND ? ORDER BY part",
		partID(e.ID, 0), partID(e.ID, maxParts-1))
	if err != nil {
		return false, f.explain("read", err)
	}
	none := true
	var torn error
	for rows.Next() && torn == nil {
		var part, sum int64
		var bytes sql.RawBytes
		none = false
		torn = rows.Scan(&part, &sum, &bytes)
		if torn == nil && int64(crc32.Checksum(bytes, castagnoli)) != sum {
			torn = errors.New("found a wrong checksum in the rest of the body")
		}
		e.Body = append(e.Body, bytes...)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return false, f.explain("read", err)
	}
	if none {
		return false, nil
	}
	if torn == nil && int64(len(e.Body)) != e.Size {
		torn = fmt.Errorf("found %d bytes of a body of %d", len(e.Body), e.Size)
	}
	if torn != nil {
		return false, &rowError{e.ID, torn}
	}
	return true, nil
}
