package deadletter

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spillway/spillway/internal/record"
)

// TestLettersComeBackWhole: every field, and bytes of every kind and length.
func TestLettersComeBackWhole(t *testing.T) {
	dir := storeDir(t)
	s := mustOpen(t, dir, Options{})
	bodies := [][]byte{
		nil, {}, []byte("x"), []byte("caf\xe9\x00\xff"), bytes.Repeat([]byte("h"), headBytes), bytes.Repeat([]byte("i"), headBytes+1),
		bytes.Repeat([]byte("part"), (headBytes+partBytes)/4), bytes.Repeat([]byte("lng"), 1<<20),
	}
	var want []record.Letter
	for i, body := range bodies {
		l := letter(i)
		l.Body, l.Tag, l.Detail = body, "tag\x00\xff'", strings.Repeat("word ", i*1000)
		l.Seq, l.Time, l.Encoding, l.Status = 1<<64-1-uint64(i), -1, record.Encoding(i%2), -3
		want = append(want, l)
	}
	put(t, s, want...)
	for _, again := range []bool{false, true} {
		if again {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			existing, err := OpenExisting(dir, Options{})
			if err != nil {
				t.Fatal(err)
			}
			s = existing
		}
		got := all(t, s, Query{})
		if len(got) != len(want) {
			t.Fatalf("%d entries, want %d", len(got), len(want))
		}
		for i := range want {
			if want[i].Body == nil {
				want[i].Body = []byte{}
			}
			one, err := s.Get(t.Context(), got[i].ID)
			if err = errors.Join(err, same(&one, &want[i])); err != nil {
				t.Errorf("letter %d: %v", i, err)
			}
		}
	}
	heads := all(t, s, Query{Heads: true})
	if e := heads[len(heads)-1]; e.Size != 3<<20 || len(e.Body) != headBytes {
		t.Errorf("the head of %d bytes is %d bytes", e.Size, len(e.Body))
	}
	if _, err := s.Get(t.Context(), 99); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a letter that is not there: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestPuttingTwiceMakesOneEntry, which knows of both.
func TestPuttingTwiceMakesOneEntry(t *testing.T) {
	s := mustOpen(t, storeDir(t), Options{})
	first := letter(1)
	put(t, s, first, letter(2))
	seen := all(t, s, Query{})
	again := first
	again.Status, again.Detail, again.Attempts, again.First, again.Last = 413, "too large", 3, 2e18, 3e18
	other := first
	other.Body = []byte("another record that was given the same origin")
	elsewhere := first
	elsewhere.Destination = "relay"
	put(t, s, again, other, elsewhere)
	got := all(t, s, Query{})
	if len(got) != 4 {
		t.Fatalf("%d entries, want 4", len(got))
	}
	want := again
	want.Attempts, want.First = 4, first.First
	if err := same(&got[0], &want); err != nil || got[0].Revision != 2 || got[0].ID != seen[0].ID {
		t.Errorf("entry %d in revision %d: %v", got[0].ID, got[0].Revision, err)
	}
	// The same call once more, since its caller does not know that it succeeded.
	put(t, s, again)
	if got := all(t, s, Query{IDs: []int64{got[0].ID}}); got[0].Attempts != 7 {
		t.Errorf("%d attempts, want 7: of a letter with another first attempt", got[0].Attempts)
	}
	put(t, s, letter(2))
	if got := all(t, s, Query{IDs: []int64{got[1].ID}}); got[0].Attempts != 1 || got[0].Revision != 2 {
		t.Errorf("%d attempts in revision %d, want 1 in revision 2", got[0].Attempts, got[0].Revision)
	}
	seen[1].Revision++
	// Who has seen the first revision must not remove the second.
	if n, err := s.Remove(t.Context(), []Ref{seen[0].Ref(), seen[1].Ref(), {ID: 77, Revision: 1}}); n != 1 || err != nil {
		t.Errorf("%d removed, want 1 (%v)", n, err)
	}
	if got := all(t, s, Query{}); len(got) != 3 || got[0].ID != seen[0].ID {
		t.Errorf("%d entries are left, want 3 with the one that came back", len(got))
	}
}

// TestQueries choose by every field that they name.
func TestQueries(t *testing.T) {
	s := mustOpen(t, storeDir(t), Options{})
	var letters []record.Letter
	for n := 1; n <= 600; n++ {
		l := letter(n)
		if n%2 == 0 {
			l.Destination = "relay"
		}
		if n%3 == 0 {
			l.Reason = "rejected-too-long"
		}
		if n%5 == 0 {
			l.Tag = "db.main"
		}
		letters = append(letters, l)
	}
	put(t, s, letters...)
	at := func(n int64) time.Time { return time.Unix(0, 1e18+n) }
	for _, c := range []struct {
		name string
		q    Query
		want func(n int64) bool
	}{
		{"all", Query{}, func(int64) bool { return true }},
		{"destination", Query{Destination: "relay"}, func(n int64) bool { return n%2 == 0 }},
		{"reason", Query{Reason: "rejected-too-long"}, func(n int64) bool { return n%3 == 0 }},
		{"tag", Query{Tag: func(tag string) bool { return strings.HasPrefix(tag, "db.") }}, func(n int64) bool { return n%5 == 0 }},
		{"since and until", Query{Since: at(100), Until: at(400)}, func(n int64) bool { return n >= 100 && n < 400 }},
		{"ids", Query{IDs: []int64{500, 7, 601}}, func(n int64) bool { return n == 7 || n == 500 }},
		{"last", Query{Last: 300}, func(n int64) bool { return n <= 300 }},
		{"together", Query{Destination: "relay", Reason: "rejected-too-long", Until: at(500)}, func(n int64) bool { return n%6 == 0 && n < 500 }},
		{"none", Query{Destination: "nowhere"}, func(int64) bool { return false }},
	} {
		var want, got []int64
		for n := int64(1); n <= 600; n++ {
			if c.want(n) {
				want = append(want, n)
			}
		}
		for _, e := range all(t, s, c.q) {
			got = append(got, int64(e.Seq))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: found %d letters, want %d", c.name, len(got), len(want))
		}
	}
}

// TestNothingIsReadableForOthers, and no name comes from data.
func TestNothingIsReadableForOthers(t *testing.T) {
	dir := storeDir(t)
	s := mustOpen(t, dir, Options{})
	put(t, s, letter(1))
	for _, name := range append(filesOf(t, dir), ".") {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
	}
	if got := filesOf(t, dir); !slices.Equal(got, []string{"letters-1.db", "letters-1.db-shm", "letters-1.db-wal", "lock"}) {
		t.Errorf("the files are %q", got)
	}
}

// TestALetterWithoutOriginIsRefused, since it could not be told from others.
func TestALetterWithoutOriginIsRefused(t *testing.T) {
	s := mustOpen(t, storeDir(t), Options{})
	contains(t, s.Put(t.Context(), []record.Letter{letter(1), {Destination: "x"}}), "no origin")
	if got := all(t, s, Query{}); len(got) != 0 {
		t.Errorf("%d entries, want none: all or nothing", len(got))
	}
}

// TestWithoutAStore nothing is made.
func TestWithoutAStore(t *testing.T) {
	dir := storeDir(t)
	if _, err := OpenExisting(dir, Options{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenExisting(dir, Options{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an empty directory: %v", err)
	}
	if got := filesOf(t, dir); len(got) != 0 {
		t.Errorf("made %q", got)
	}
}

// TestAFullStoreTakesNothing, says so, and takes letters again when there is room.
func TestAFullStoreTakesNothing(t *testing.T) {
	dir := storeDir(t)
	const limit = 2 << 20
	s := mustOpen(t, dir, Options{Max: limit})
	n, err := 0, error(nil)
	for ; err == nil && n < 10000; n++ {
		l := letter(n)
		l.Body = bytes.Repeat([]byte{byte(n)}, 10_000)
		err = s.Put(t.Context(), []record.Letter{l})
	}
	if !errors.Is(err, ErrFull) {
		t.Fatalf("after %d letters the error is %v, want ErrFull", n, err)
	}
	contains(t, err, "max-dead-letter-size", dir)
	entries := all(t, s, Query{})
	if len(entries) != n-1 || n < 100 {
		t.Errorf("%d entries, %d were put", len(entries), n-1)
	}
	size := int64(0)
	for _, name := range filesOf(t, dir) {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(name, "-shm") {
			size += info.Size()
		}
	}
	t.Logf("%d letters, %d bytes in the files", len(entries), size)
	if size > limit+limit/2 {
		t.Errorf("the files have %d bytes, the limit is %d", size, limit)
	}
	if removed, err := s.Remove(t.Context(), []Ref{entries[0].Ref(), entries[1].Ref()}); removed != 2 || err != nil {
		t.Fatalf("%d removed (%v)", removed, err)
	}
	put(t, s, letter(n))
	// More room, or less, holds from the next write on.
	many := func(n int) (err error) {
		for i := range 100 {
			l := letter(20_000 + n + i)
			l.Body = bytes.Repeat([]byte{byte(i)}, 10_000)
			err = errors.Join(err, s.Put(t.Context(), []record.Letter{l}))
		}
		return err
	}
	if err := many(0); !errors.Is(err, ErrFull) {
		t.Errorf("it was full: %v", err)
	}
	if err := errors.Join(s.SetMax(2*limit), many(1000)); err != nil {
		t.Errorf("with twice the room: %v", err)
	}
	if err := errors.Join(s.SetMax(limit), many(2000)); !errors.Is(err, ErrFull) {
		t.Errorf("with half of that: %v", err)
	}
	if sum, err := s.Summary(t.Context()); err != nil || sum.Max != limit || sum.Letters < int64(n+50) {
		t.Errorf("%+v, %v", sum, err)
	}
}

// TestRoomIsGivenBack when letters are removed and the store is compacted.
func TestRoomIsGivenBack(t *testing.T) {
	dir := storeDir(t)
	s := mustOpen(t, dir, Options{})
	for n := range 40 {
		l := letter(n)
		l.Body = bytes.Repeat([]byte{byte(n)}, 500_000)
		put(t, s, l)
	}
	var refs []Ref
	for _, e := range all(t, s, Query{Heads: true}) {
		refs = append(refs, e.Ref())
	}
	before, err := s.Summary(t.Context())
	if err != nil || before.Letters != 40 || before.Bytes != 20_000_000 || before.Disk < 20_000_000 {
		t.Errorf("the summary is %+v (%v)", before, err)
	}
	if removed, err := s.Remove(t.Context(), refs[1:]); removed != 39 || err != nil {
		t.Fatalf("%d removed (%v)", removed, err)
	}
	if err := s.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	after, err := s.Summary(t.Context())
	if err != nil || after.Letters != 1 || after.Bytes != 500_000 || after.Disk > 1<<20 {
		t.Errorf("the summary is %+v (%v)", after, err)
	}
	info, err := os.Stat(s.path(1))
	if err != nil || info.Size() != after.Disk {
		t.Errorf("the file has %d bytes, the summary says %d (%v)", info.Size(), after.Disk, err)
	}
}

// TestAStoreThatSomebodyDeletes while it is open is made anew: what would go into
// the deleted file nobody would find.
func TestAStoreThatSomebodyDeletes(t *testing.T) {
	dir := storeDir(t)
	s := mustOpen(t, dir, Options{})
	put(t, s, letter(1))
	for _, remove := range []func() error{
		func() error { return os.Remove(s.path(1)) },
		func() error { return os.RemoveAll(dir) },
	} {
		if err := remove(); err != nil {
			t.Fatal(err)
		}
		put(t, s, letter(2))
		if got := all(t, s, Query{}); len(got) != 1 || got[0].Seq != 2 {
			t.Errorf("found %v, want the letter that was put since", got)
		}
	}
}

// TestPutEndsWithItsContext while another process holds the store.
func TestPutEndsWithItsContext(t *testing.T) {
	dir := storeDir(t)
	s := mustOpen(t, dir, Options{Wait: time.Minute})
	other := mustOpen(t, dir, Options{})
	f, err := other.present(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	tx, err := f.db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.Put(ctx, []record.Letter{letter(1)}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the error is %v, want that of the context", err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	put(t, s, letter(1))
}
