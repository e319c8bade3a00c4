package stdin_test

import (
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/spillway/spillway/internal/entry"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/source/stdin"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// taken is a router that notes what it is handed, as text.
type taken struct {
	mu                  sync.Mutex
	t                   *testing.T
	lines, letters, all []string
}

func (r *taken) Admit(c *record.Chunk) {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := record.Batch{Encoding: c.Encoding}
	for rest := c.Bodies; len(rest) > 0; {
		var body []byte
		body, _, rest = b.Next(rest)
		_, value, err := entry.Split(body)
		if err != nil {
			r.t.Error(err)
			return
		}
		if at := entry.Time(body, 0); at != c.Time {
			r.t.Errorf("an entry has the time %d, want %d", at, c.Time)
		}
		text, _, err := entry.AppendJSON(nil, value)
		if err != nil {
			r.t.Error(err)
		}
		r.all = append(r.all, c.Tag+" "+string(text))
	}
}

func (r *taken) Reject(c *record.Chunk) {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := record.Batch{Encoding: c.Encoding}
	text := ""
	for rest := c.Bodies; len(rest) > 0; {
		var body []byte
		body, _, rest = b.Next(rest)
		text += string(body)
	}
	r.letters = append(r.letters, text)
}

func (r *taken) Lines(tag string, _ int64, lines []byte, _ bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for line := range strings.Lines(string(lines)) {
		r.lines = append(r.lines, tag+" "+line)
	}
}

func (r *taken) Body(tag string, _ int64, body []byte, part record.Part) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, tag+" part "+string(body))
}

func (r *taken) MaxBody(string) int { return 100 }

// read gives a source some input and returns what it made of it.
func read(t *testing.T, input string, json bool) (*taken, *stdin.Source) {
	t.Helper()
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Dup(int(in.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	in.Close()
	r := &taken{t: t}
	s, err := stdin.New(fd, stdin.Config{Tag: "tag", JSON: json, Router: r})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	if _, err := out.WriteString(input); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	<-s.Done()
	s.Wait()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	return r, s
}

func TestText(t *testing.T) {
	r, s := read(t, "one\ntwo\n\nlast", false)
	if diff := cmp.Diff([]string{"tag one\n", "tag two\n", "tag \n", "tag last\n"}, r.lines); diff != "" {
		t.Error(diff)
	}
	if n, size, _ := s.Counts(); n != 4 || size != int64(len("one\ntwo\n\nlast\n")) {
		t.Errorf("counted %d records, %d bytes", n, size)
	}
}

// TestJSON: what is an object is an entry, and what is none is a dead letter.
func TestJSON(t *testing.T) {
	long := strings.Repeat("x", 100<<10)
	r, s := read(t, `{"a":1,"b":"ü","c":[true,null,1.5]}`+"\n"+`[1]`+"\n  \n"+`{"a":`+"\n"+`{"a":1} {"b":2}`+"\n"+
		`{"long":"`+long+`"}`+"\n"+`"],["`+"\n"+`{"a":2},{}],["x",1,{"b":3}`+"\n"+`{"end":true}`, true)
	want := []string{`tag {"a":1,"b":"ü","c":[true,null,1.5]}`, `tag {"long":"` + long + `"}`, `tag {"end":true}`}
	letters := []string{`[1]`, `{"a":`, `{"a":1} {"b":2}`, `"],["`, `{"a":2},{}],["x",1,{"b":3}`}
	if diff := cmp.Diff(want, r.all); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(letters, r.letters); diff != "" {
		t.Error(diff)
	}
	if n, _, invalid := s.Counts(); n != 8 || invalid != 5 {
		t.Errorf("counted %d records, %d invalid", n, invalid)
	}
}

// TestStop ends a source whose input goes on.
func TestStop(t *testing.T) {
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	fd, err := unix.Dup(int(in.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	in.Close()
	r := &taken{t: t}
	s, err := stdin.New(fd, stdin.Config{Tag: "tag", Router: r})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := out.WriteString("before\n"); err != nil {
		t.Fatal(err)
	}
	s.Start()
	s.Stop()
	s.Wait()
	if err := s.Close(); err != nil || len(r.lines) != 1 {
		t.Error(r.lines, err)
	}
}
