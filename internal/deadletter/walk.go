package deadletter

import (
	"context"
	"database/sql"
	"errors"
)

// querier is a database, or one connection of it that is in a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// view is a file as a querier shows it.
type view struct {
	*file
	querier
}

// reader reads one file for List.
type reader struct {
	view     view
	q        *Query
	plain    bool // SQLite is not asked to leave out what does not match, so that every letter seen is a step
	visit    func(*Entry) error
	visiting bool // the error that is on its way is that of visit
	matched  int64
	damage   error // the first
}

// read hands out what the file has, page by page. Where a page cannot be read it
// goes on letter by letter for a while, around what is damaged.
func (r *reader) read(ctx context.Context) error {
	next, last := r.q.idRange()
	end, err := r.view.lastID(ctx)
	if err != nil {
		r.met(err)
		end = int64(r.view.number) * idsOfFile // no letter of the file has a greater one
	}
	last = min(last, end)
	for next <= last {
		page, after, err := r.page(ctx, next, last)
		if err := r.hand(ctx, page); err != nil {
			return err
		}
		if err == nil {
			next = after
			continue
		}
		if !r.met(err) {
			return err
		}
		if next, err = r.around(ctx, max(next, after), last); err != nil {
			return err
		}
	}
	return nil
}

// met keeps the first damage, and reports whether err is damage.
func (r *reader) met(err error) bool {
	var row *rowError
	if !damaged(err) && !errors.As(err, &row) {
		return false
	}
	if r.damage == nil {
		r.damage = err
	}
	r.plain = true
	return true
}

// lastID is the greatest id that a letter of the file has had.
func (f view) lastID(ctx context.Context) (id int64, err error) {
	err = f.QueryRowContext(ctx, "SELECT seq FROM sqlite_sequence WHERE name = 'letter'").Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, &damageError{f.path, err}
	}
	return id, f.explain("read", err)
}

// page reads what matches from id first on, and says where the next page begins.
// With an error it is what came before the damage.
func (r *reader) page(ctx context.Context, first, last int64) (page []Entry, next int64, err error) {
	where, args := "", []any{first, last}
	if !r.plain {
		text, more := r.q.where()
		where, args = text, append(args, more...)
	}
	rows, err := r.view.QueryContext(ctx, "SELECT "+columns+" FROM letter WHERE id BETWEEN ? AND ?"+where+" ORDER BY id", args...)
	if err != nil {
		return nil, first, r.view.explain("read", err)
	}
	next = first
	for bytes := 0; len(page) < pageLetters && bytes < pageBytes; {
		if !rows.Next() {
			if err = rows.Err(); err == nil {
				next = last + 1
			}
			break
		}
		var e Entry
		if err = scan(rows, &e); err != nil {
			break
		}
		next = e.ID + 1
		if r.q.match(&e) {
			page = append(page, e)
			bytes += perLetter + len(e.Body) + len(e.Tag) + len(e.Detail)
		}
	}
	if closed := rows.Close(); err == nil {
		err = closed
	}
	return page, next, r.view.explain("read", err)
}

// hand calls visit with the letters of a page.
func (r *reader) hand(ctx context.Context, page []Entry) error {
	for i := range page {
		e := &page[i]
		if !r.q.Heads {
			there, err := r.view.readRest(ctx, e)
			if err != nil && !r.met(err) {
				return err
			}
			if err != nil || !there {
				continue
			}
		}
		r.matched++
		if err := r.visit(e); err != nil {
			r.visiting = true
			return err
		}
		e.Body = nil
	}
	return nil
}

// calm is how many letters in a row must be whole until pages are tried again.
const calm = 1000

// around reads letter by letter from id next on, and returns where pages may be
// read again.
func (r *reader) around(ctx context.Context, next, last int64) (int64, error) {
	for good := 0; good < calm && next <= last; {
		id, err := r.view.nextReadable(ctx, next, last)
		if err != nil || id == 0 {
			return last + 1, err
		}
		if id > next {
			good = 0
		}
		next = id + 1
		e, err := r.view.one(ctx, id)
		if err != nil {
			if !r.met(err) {
				return next, err
			}
			good = 0
			continue
		}
		if good++; e == nil || !r.q.match(e) {
			continue
		}
		if err := r.hand(ctx, []Entry{*e}); err != nil {
			return next, err
		}
	}
	return next, nil
}

// one reads one letter; nil is none.
func (f view) one(ctx context.Context, id int64) (*Entry, error) {
	rows, err := f.QueryContext(ctx, "SELECT "+columns+" FROM letter WHERE id = ?", id)
	if err != nil {
		return nil, f.explain("read", err)
	}
	var e *Entry
	if rows.Next() {
		e = new(Entry)
		err = scan(rows, e)
	}
	if err == nil {
		err = rows.Err()
	}
	if closed := rows.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return nil, f.explain("read", err)
	}
	return e, nil
}

// nextReadable is the smallest id from first on that SQLite can find, and 0 where
// there is none. A page that is damaged hides a stretch of ids: the end of the
// stretch is looked for in steps that double, and then by halving.
func (f view) nextReadable(ctx context.Context, first, last int64) (int64, error) {
	seek := func(from int64) (id int64, hidden bool, err error) {
		err = f.QueryRowContext(ctx, "SELECT id FROM letter WHERE id BETWEEN ? AND ? ORDER BY id LIMIT 1", from, last).Scan(&id)
		switch err = f.explain("read", err); {
		case errors.Is(err, sql.ErrNoRows):
			return 0, false, nil
		case damaged(err):
			return 0, true, nil
		}
		return id, false, err
	}
	id, hidden, err := seek(first)
	if err != nil || !hidden {
		return id, err
	}
	bad, good := first, int64(0)
	for step := int64(1); good == 0; step *= 2 {
		from := bad + step
		if from > last {
			from = last
		}
		if id, hidden, err = seek(from); err != nil {
			return 0, err
		}
		switch {
		case !hidden:
			good = from
		case from == last:
			return 0, nil
		default:
			bad = from
		}
	}
	for bad+1 < good {
		middle := bad + (good-bad)/2
		found, hidden, err := seek(middle)
		if err != nil {
			return 0, err
		}
		if hidden {
			bad = middle
		} else {
			good, id = middle, found
		}
	}
	return id, nil
}

// census counts how many letters of a file cannot be read, at one moment; -1 is that
// the file does not know how many it has.
func (f *file) census(ctx context.Context) (lost int64, err error) {
	tx, err := f.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return -1, f.unlessDamaged(err)
	}
	defer func() {
		if ended := tx.Rollback(); ended != nil && err == nil {
			err = f.unlessDamaged(ended)
		}
	}()
	var total int64
	if err := tx.QueryRowContext(ctx, "SELECT letters FROM total").Scan(&total); err != nil {
		return -1, f.unlessDamaged(err)
	}
	r := reader{view: view{f, tx}, q: new(Query), visit: func(*Entry) error { return nil }}
	if err := r.read(ctx); err != nil {
		return -1, f.unlessDamaged(err)
	}
	return total - r.matched, nil
}

// unlessDamaged leaves of an error what is no damage, which is known already.
func (f *file) unlessDamaged(err error) error {
	if err = f.explain("count", err); damaged(err) || errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	return err
}
