package pipe

import (
	"bytes"
	"fmt"
	"os"
	"sync"
	"testing"
	"unicode/utf8"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// got is one record as it was handed over.
type got struct {
	body string
	part record.Part
}

// recorder is an intake that keeps all and holds the reader to its contract.
type recorder struct {
	max int
	// before is called at the start of each call, and may block.
	before func()

	turns   sync.Mutex // of the readers
	mu      sync.Mutex
	records []got
	lines   ledger.Lines
	wrong   error
}

func (r *recorder) MaxBody() int { return r.max }

func (r *recorder) Turn() func() {
	r.turns.Lock()
	return r.turns.Unlock
}

func (r *recorder) begin() func() {
	if r.before != nil {
		r.before()
	}
	r.mu.Lock()
	return r.mu.Unlock
}

func (r *recorder) Lines(_ *record.Stream, t int64, lines []byte, valid bool) {
	defer r.begin()()
	if len(lines) == 0 || lines[len(lines)-1] != '\n' {
		r.fail("Lines got %q, which does not end with a line", lines)
	}
	if valid && !utf8.Valid(lines) {
		r.fail("Lines was promised valid UTF-8 and got %q", lines)
	}
	for line := range bytes.Lines(lines) {
		r.keep(t, line[:len(line)-1], record.Part{})
		r.lines.Read++
	}
	scribble(lines)
}

func (r *recorder) Body(_ *record.Stream, t int64, body []byte, part record.Part) {
	defer r.begin()()
	r.keep(t, body, part)
	scribble(body)
}

func (r *recorder) Count(_ *record.Stream, l ledger.Lines) {
	defer r.begin()()
	r.lines.Read += l.Read
	r.lines.Split += l.Split
	r.lines.Empty += l.Empty
	r.lines.InvalidUTF8 += l.InvalidUTF8
}

func (r *recorder) keep(t int64, body []byte, part record.Part) {
	if size := repaired(body); size > r.max {
		r.fail("a body of %d bytes after repair, where %d is the most: %.100q", size, r.max, body)
	}
	if t <= 0 {
		r.fail("a record has the time %d", t)
	}
	r.records = append(r.records, got{string(body), part})
}

func (r *recorder) fail(format string, args ...any) {
	if r.wrong == nil {
		r.wrong = fmt.Errorf(format, args...)
	}
}

// all returns what was handed over so far.
func (r *recorder) all() []got {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]got(nil), r.records...)
}

// scribble overwrites what was handed over, which is the intake's only until it
// returns: nobody may look at it again.
func scribble(b []byte) {
	for i := range b {
		b[i] = '?'
	}
}

// repaired is the length of b in a destination that takes only valid UTF-8.
func repaired(b []byte) int { return len(string([]rune(string(b)))) }

// newPipe returns a pipe; both of its ends are closed when the test ends.
func newPipe(t testing.TB) (*Descriptor, *os.File) {
	t.Helper()
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	d, err := Open(ends[0], "stdout")
	if err != nil {
		t.Fatal(err)
	}
	w := os.NewFile(uintptr(ends[1]), "writer")
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		_ = w.Close() // It may be closed already.
	})
	return d, w
}

var stdout = &record.Stream{Name: "stdout"}
