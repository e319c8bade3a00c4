package appendfile

import (
	"bytes"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/spillway/spillway/internal/jsontext"
)

// memory is a file. Its operations fail while bad says so.
type memory struct {
	bytes.Buffer
	bad    func() bool
	closed bool
	writes []int
}

var errBad = errors.New("no space left")

func (m *memory) Write(p []byte) (int, error) {
	m.writes = append(m.writes, len(p))
	if m.bad() {
		m.Buffer.Write(p[:len(p)/3])
		return len(p) / 3, errBad
	}
	return m.Buffer.Write(p)
}

func (m *memory) Truncate(size int64) error {
	if m.bad() {
		return errBad
	}
	m.Buffer.Truncate(int(size))
	return nil
}

func (m *memory) Close() error               { m.closed = true; return nil }
func (m *memory) Stat() (fs.FileInfo, error) { return m, nil }
func (m *memory) Size() int64                { return int64(m.Len()) }
func (m *memory) Name() string               { return "memory" }
func (m *memory) Mode() fs.FileMode          { return 0 }
func (m *memory) ModTime() time.Time         { return time.Time{} }
func (m *memory) IsDir() bool                { return false }
func (m *memory) Sys() any                   { return nil }

func never() bool { return false }

func TestWritesEndBetweenEntries(t *testing.T) {
	f := &memory{bad: never}
	var w Writer
	w.Use(f, 0, 0)
	entry := []byte(strings.Repeat("e", 999) + "\n")
	for range 3000 {
		w.Put(entry)
		w.End()
	}
	if w.Size() != 3_000_000 {
		t.Errorf("the size is %d", w.Size())
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	for _, n := range f.writes {
		if n%1000 != 0 {
			t.Errorf("a write of %d bytes ends within an entry", n)
		}
	}
	if len(f.writes) != 3 || f.Len() != 3_000_000 {
		t.Errorf("%d bytes in writes of %v", f.Len(), f.writes)
	}
}

// TestAttempts: whatever fails, files hold what was committed and, in an
// attempt or after a rollback that failed, something behind it.
func TestAttempts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		failing := rapid.SliceOfN(rapid.Bool(), 0, 40).Draw(t, "failing")
		bad := func() bool {
			if len(failing) == 0 {
				return false
			}
			b := failing[0]
			failing = failing[1:]
			return b
		}
		first := &memory{bad: bad}
		files, committed := []*memory{first}, []string{""}
		var w Writer
		w.Use(first, 0, 99)
		for range rapid.IntRange(1, 15).Draw(t, "attempts") {
			if w.Ready() != nil {
				continue
			}
			attempt, sound := make([]string, len(files)), len(failing) == 0
			for range rapid.IntRange(0, 3).Draw(t, "entries") {
				body := strings.Repeat("b", rapid.SampledFrom([]int{0, 3, 1000, BufferSize, 2*BufferSize + 7}).Draw(t, "size"))
				w.Put([]byte("<"))
				w.PutText(jsontext.Valid, []byte(body))
				w.Put([]byte(">"))
				w.End()
				attempt[len(attempt)-1] += "<" + body + ">"
				if rapid.IntRange(0, 4).Draw(t, "rotate") == 0 && w.Flush() == nil {
					f := &memory{bad: bad}
					files, committed, attempt = append(files, f), append(committed, ""), append(attempt, "")
					w.Use(f, 0, 99)
				}
			}
			if w.Flush() == nil {
				if err := w.Commit(); err != nil {
					t.Fatal(err)
				}
				for i, s := range attempt {
					committed[i] += s
				}
			} else if sound {
				t.Fatal("an attempt failed on a sound file")
			} else if w.Rollback() != nil {
				for i, f := range files {
					if !strings.HasPrefix(f.String(), committed[i]) {
						t.Fatalf("file %d lost what was committed", i)
					}
				}
				continue
			}
			for i, f := range files {
				if f.String() != committed[i] {
					t.Fatalf("file %d has %d bytes, of which %d are committed", i, f.Len(), len(committed[i]))
				}
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		for i, f := range files {
			if !f.closed {
				t.Fatalf("file %d is still open", i)
			}
		}
	})
}

func TestOnlyFilesThatExistAreKept(t *testing.T) {
	var w Writer
	var files []*memory
	for range 5 {
		files = append(files, &memory{bad: never})
		w.Use(files[len(files)-1], 0, 2)
	}
	for i, f := range files {
		if f.closed != (i < 2) {
			t.Errorf("file %d: closed is %v", i, f.closed)
		}
	}
}
