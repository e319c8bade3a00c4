package record_test

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/spillway/spillway/internal/record"
)

// cost is what text takes once it is repaired.
func cost(text []byte) int { return len(string([]rune(string(text)))) }

// checkCuts cuts text to its end and holds each piece to what CutAt promises.
func checkCuts(t tb, text []byte, limit int) {
	t.Helper()
	var joined []byte
	bad := 0
	for rest := text; len(rest) > 0; {
		n := record.CutAt(rest, limit)
		if n < 1 || n > len(rest) {
			t.Fatalf("%q at most %d: cut at %d of %q", text, limit, n, rest)
		}
		piece := rest[:n]
		switch {
		case limit >= utf8.UTFMax && cost(piece) > limit:
			t.Fatalf("%q at most %d: piece %q takes %d bytes", text, limit, piece, cost(piece))
		case n < len(rest) && cost(rest) <= limit:
			t.Fatalf("%q at most %d: %q is cut at %d though it fits", text, limit, rest, n)
		case limit >= utf8.UTFMax && utf8.Valid(text) && !utf8.Valid(piece):
			t.Fatalf("%q at most %d: piece %q splits a rune", text, limit, piece)
		case n < len(rest) && cost(piece) <= limit-utf8.UTFMax && utf8.FullRune(rest[n:]):
			t.Fatalf("%q at most %d: piece %q is shorter than it must be", text, limit, piece)
		}
		bad += record.InvalidBytes(piece)
		joined = append(joined, piece...)
		rest = rest[n:]
	}
	if !bytes.Equal(joined, text) {
		t.Fatalf("%q at most %d: the pieces make %q", text, limit, joined)
	}
	if limit >= utf8.UTFMax && bad != record.InvalidBytes(text) {
		t.Fatalf("%q at most %d: the pieces have %d bad bytes, the text %d", text, limit, bad, record.InvalidBytes(text))
	}
}

func TestCutAt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(anyText, 0, 6).Draw(t, "text"), "")
		if rapid.Bool().Draw(t, "valid") {
			text = strings.ToValidUTF8(text, "?")
		}
		checkCuts(t, []byte(text), rapid.IntRange(0, 80).Draw(t, "limit"))
	})
}

// TestCutAtCases names the cases that a random text seldom meets.
func TestCutAtCases(t *testing.T) {
	for _, c := range []struct {
		name, text  string
		limit, want int
	}{
		{"nothing", "", 5, 0},
		{"fits", "hello", 5, 5},
		{"one byte over", "hello!", 5, 5},
		{"rune at the cut", "abcd€", 5, 4},
		{"rune up to the cut", "ab€d", 5, 5},
		{"bad bytes count three", "\xff\xff\xff", 6, 2},
		{"short enough even if every byte is bad", "\xff\xff", 6, 2},
		{"bad byte that does not fit", "abcd\xffe", 6, 4},
		{"rune that is not read to its end", "abcdefgh\xe2\x82", 8, 8},
		{"rune that has no end and fits as it is", "ab\xe2\x82", 8, 4},
		{"rune larger than the limit", "€", 2, 1},
		{"no room at all", "abc", 0, 1},
		{"less than no room", "abc", -1, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := record.CutAt([]byte(c.text), c.limit); got != c.want {
				t.Errorf("%q at most %d is cut at %d, want %d", c.text, c.limit, got, c.want)
			}
		})
	}
}

func FuzzCutAt(f *testing.F) {
	f.Add([]byte("abc€def"), uint8(4))
	f.Add([]byte("\xff\xff\xe2\x82"), uint8(6))
	f.Add([]byte("😀😀\x80"), uint8(5))
	f.Fuzz(func(t *testing.T, text []byte, limit uint8) { checkCuts(t, text, int(limit)) })
}
