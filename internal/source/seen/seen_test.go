package seen_test

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/spillway/spillway/internal/source/seen"
)

func key(n int) (k seen.Key) {
	binary.BigEndian.PutUint64(k[8:], uint64(n))
	return k
}

func open(t *testing.T, path string, limit int) *seen.Chunks {
	t.Helper()
	c, note, err := seen.Open(path, limit)
	if err != nil || note != "" {
		t.Fatal(note, err)
	}
	return c
}

func closed(t *testing.T, c *seen.Chunks) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestTheLastSenderIsAnswered: a chunk that is sent again while it is under way is
// answered once, to whoever asked last.
func TestTheLastSenderIsAnswered(t *testing.T) {
	c := open(t, "", 10)
	var answers []string
	ask := func(who string) seen.State {
		return c.Begin(key(1), func(ok bool) {
			if !ok {
				who = "not " + who
			}
			answers = append(answers, who)
		})
	}
	if first, second := ask("first"), ask("second"); first != seen.New || second != seen.UnderWay {
		t.Fatal(first, second)
	}
	c.Reached(key(1))
	if third := ask("third"); third != seen.Known || !slices.Equal(answers, []string{"not first", "second"}) {
		t.Fatal(third, answers)
	}
}

// TestSettledIsNotAnswered: while the source waits to hear of a chunk, nobody else is
// told that it is taken, though somewhere nothing of it is held any more.
func TestSettledIsNotAnswered(t *testing.T) {
	c := open(t, "", 10)
	c.Begin(key(1), func(bool) {})
	c.Settled(key(1))
	answered := false
	if again := c.Begin(key(1), func(ok bool) { answered = ok }); again != seen.UnderWay || answered {
		t.Error(again, answered)
	}
	c.Reached(key(1))
	if again := c.Begin(key(1), func(bool) {}); again != seen.Known || !answered {
		t.Error(again, answered)
	}
}

// TestRefusedIsForgotten: what was not kept is taken when it comes again.
func TestRefusedIsForgotten(t *testing.T) {
	c := open(t, "", 10)
	refused := false
	c.Begin(key(1), func(ok bool) { refused = !ok })
	c.Refused(key(1))
	if again := c.Begin(key(1), func(bool) {}); !refused || again != seen.New {
		t.Error(refused, again)
	}
}

// TestOnlySettledOutliveTheProcess: an id must not vouch for what a disk buffer,
// or nothing, holds.
func TestOnlySettledOutliveTheProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "chunks")
	c := open(t, path, 10)
	for i := range 4 {
		c.Begin(key(i), func(bool) {})
	}
	c.Reached(key(0))
	c.Reached(key(1))
	c.Settled(key(1))
	c.Settled(key(2)) // Settled and not yet answered is known too.
	closed(t, c)
	c = open(t, path, 10)
	defer closed(t, c)
	for i, want := range []seen.State{seen.New, seen.Known, seen.Known, seen.New} {
		if got := c.Begin(key(i), func(bool) {}); got != want {
			t.Errorf("chunk %d: got %d, want %d", i, got, want)
		}
	}
}

// TestLocked: two processes must not answer for one source.
func TestLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "chunks")
	c := open(t, path, 1)
	for i := range 5000 { // Beyond the point where the file is another one.
		c.Begin(key(i), func(bool) {})
		c.Reached(key(i))
		c.Settled(key(i))
	}
	if _, _, err := seen.Open(path, 1); !errors.Is(err, seen.ErrLocked) {
		t.Error(err)
	}
	closed(t, c)
}

// TestDamage: a torn end is cut off, and damage costs the entry in which it is.
func TestDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "chunks")
	c := open(t, path, 10)
	for i := range 3 {
		c.Settled(key(i))
	}
	closed(t, c)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text[16+20+3] ^= 1 // The second key.
	if err := os.WriteFile(path, append(text, "torn"...), 0o600); err != nil {
		t.Fatal(err)
	}
	c, note, err := seen.Open(path, 10)
	if err != nil || note == "" {
		t.Fatal(note, err)
	}
	c.Settled(key(3))
	closed(t, c)
	if c, note, err = seen.Open(path, 10); err != nil || note == "" {
		t.Fatal(note, err)
	}
	defer closed(t, c)
	for i, want := range []seen.State{seen.Known, seen.New, seen.Known, seen.Known} {
		if got := c.Begin(key(i), func(bool) {}); got != want {
			t.Errorf("chunk %d: got %d, want %d", i, got, want)
		}
	}
}

// TestModel holds the memory to a list of the keys that became known, over any
// number of processes.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 5).Draw(t, "limit")
		dir, err := os.MkdirTemp("", "seen")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		path := filepath.Join(dir, "chunks")
		reopen := func() *seen.Chunks {
			c, note, err := seen.Open(path, limit)
			if err != nil || note != "" {
				t.Fatal(note, err)
			}
			return c
		}
		c := reopen()
		defer func() {
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
		}()
		var known []int
		var file []int
		t.Repeat(map[string]func(*rapid.T){
			"settle": func(t *rapid.T) {
				first := rapid.IntRange(0, 20).Draw(t, "key")
				for i := range rapid.SampledFrom([]int{1, 3, 1100}).Draw(t, "times") {
					n := (first + i) % 21
					if !slices.Contains(known, n) {
						known = append(known, n)
						known = known[max(0, len(known)-limit):]
						file = append(file, n)
					}
					c.Settled(key(n))
				}
			},
			"restart": func(t *rapid.T) {
				if err := c.Close(); err != nil {
					t.Fatal(err)
				}
				c = reopen()
				known = file[max(0, len(file)-limit):]
			},
			"": func(t *rapid.T) {
				_, n, trouble := c.State()
				if n != len(known) || trouble != nil {
					t.Fatalf("%d are known, %v; want %v", n, trouble, known)
				}
				for n := range 21 {
					got := c.Begin(key(n), func(bool) {}) == seen.Known
					c.Refused(key(n))
					if want := slices.Contains(known, n); got != want {
						t.Fatalf("chunk %d: known %t, want %t", n, got, want)
					}
				}
			},
		})
	})
}

// FuzzOpen: whatever stands in the file, it opens, and what is added is found.
func FuzzOpen(f *testing.F) {
	f.Add([]byte("spillway chunks\n"))
	f.Add([]byte("spillway chunks\n01234567890123456789"))
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), "chunks")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		c, _, err := seen.Open(path, 3)
		if err != nil {
			t.Fatal(err)
		}
		c.Settled(key(1))
		closed(t, c)
		c, _, err = seen.Open(path, 3)
		if err != nil {
			t.Fatal(err)
		}
		defer closed(t, c)
		if c.Begin(key(1), func(bool) {}) != seen.Known {
			t.Error("what was settled is not known")
		}
	})
}
