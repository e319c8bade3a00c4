package record_test

import (
	"bytes"
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/spillway/spillway/internal/record"
)

// anyText draws bodies with runes of every length, bad bytes, pieces of runes
// and nothing at all.
var anyText = rapid.Custom(func(t *rapid.T) string {
	pieces := rapid.SliceOfN(rapid.SampledFrom([]string{
		"a", "log", "é", "€", "😀", "\ufffd", "\xff", "\x80", "\xe2\x82", "\xf0\x9f\x98", "\xed\xa0\x80", "\xc0\xaf",
		strings.Repeat("x", 40), "\x00", "\r",
	}), 0, 6).Draw(t, "pieces")
	return strings.Join(pieces, "")
})

// repair is the reference for what a body takes more: Go's own conversion
// replaces each bad byte by U+FFFD, which is three bytes.
func repair(body string) int {
	if body == "" {
		return 1
	}
	return len(string([]rune(body))) - len(body)
}

// lines is the reference for AppendLines: one line after the other, by the
// words of its documentation.
func lines(free int, src string, room record.Room) (kept []string, taken int, added record.Added) {
	cost := 0
	for {
		line, _, ended := strings.Cut(src[taken:], "\n")
		if !ended {
			break
		}
		extra := repair(line)
		cost += len(line) + extra + room.PerRecord
		if free -= record.FrameSize + len(line); free < 0 || added.Count == room.Count || cost > room.Cost && added.Count > 0 {
			break
		}
		added.Count++
		added.Bytes += len(line)
		added.Repair += extra
		if line == "" {
			added.Empty++
		}
		kept, taken = append(kept, line), taken+len(line)+1
	}
	return kept, taken, added
}

// tb is what a property and a fuzz target have in common.
type tb interface {
	Helper()
	Fatalf(format string, args ...any)
}

// checkLines compares AppendLines to the reference.
func checkLines(t tb, src string, valid bool, free int, room record.Room) {
	t.Helper()
	const before = "before"
	mem := make([]byte, len(before)+free+8)
	copy(mem, before)
	limit := len(before) + free
	for i := limit; i < len(mem); i++ {
		mem[i] = 0xee
	}
	dst, taken, added := record.AppendLines(mem[:len(before):limit], []byte(src), valid, room)
	want, wantTaken, wantAdded := lines(free, src, room)
	if diff := cmp.Diff(wantAdded, added); diff != "" || taken != wantTaken {
		t.Fatalf("%q into %d bytes, %+v: took %d bytes, want %d; added (-want +got):\n%s", src, free, room, taken, wantTaken, diff)
	}
	if &dst[0] != &mem[0] || string(dst[:len(before)]) != before {
		t.Fatalf("%q into %d bytes: the destination was replaced or changed at its start", src, free)
	}
	if !bytes.Equal(mem[limit:], bytes.Repeat([]byte{0xee}, 8)) {
		t.Fatalf("%q into %d bytes: written beyond the capacity", src, free)
	}
	got, invalid := bodies(dst[len(before):])
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("%q into %d bytes: bodies (-want +got):\n%s", src, free, diff)
	}
	for i, body := range want {
		if invalid[i] != !utf8.ValidString(body) {
			t.Fatalf("body %q is marked invalid: %t", body, invalid[i])
		}
	}
}

func TestAppendLines(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		src := strings.Join(rapid.SliceOfN(anyText, 0, 8).Draw(t, "lines"), "\n")
		src += rapid.SampledFrom([]string{"", "\n", "\n\n\n"}).Draw(t, "end")
		valid := utf8.ValidString(src) && rapid.Bool().Draw(t, "promise")
		// The bounds that some of the lines meet exactly are the ones worth a look.
		fit := record.Room{Count: rapid.IntRange(1, 8).Draw(t, "fit"), Cost: math.MaxInt, PerRecord: rapid.IntRange(0, 26).Draw(t, "per record")}
		_, _, exact := lines(math.MaxInt, src, fit)
		cost := exact.Bytes + exact.Repair + exact.Count*fit.PerRecord
		free := exact.Bytes + exact.Count*record.FrameSize
		near := rapid.IntRange(-1, 1)
		room := record.Room{
			Count:     rapid.SampledFrom([]int{exact.Count, exact.Count + 1, 1, math.MaxInt}).Draw(t, "count"),
			Cost:      rapid.SampledFrom([]int{cost + near.Draw(t, "near"), 0, math.MaxInt}).Draw(t, "cost"),
			PerRecord: fit.PerRecord,
		}
		checkLines(t, src, valid, max(free+rapid.SampledFrom([]int{-1, 0, 1, 99}).Draw(t, "free"), 0), room)
	})
}

func FuzzAppendLines(f *testing.F) {
	f.Add("a\nb\n", uint16(100), uint16(10), uint16(100), uint8(26))
	f.Add("\n\n\xff\n", uint16(13), uint16(3), uint16(4), uint8(0))
	f.Add("\xe2\x82\n\xac", uint16(6), uint16(1), uint16(1), uint8(1))
	f.Fuzz(func(t *testing.T, src string, free, count, cost uint16, perRecord uint8) {
		room := record.Room{Count: int(count), Cost: int(cost), PerRecord: int(perRecord)}
		checkLines(t, src, false, int(free), room)
		if utf8.ValidString(src) {
			checkLines(t, src, true, int(free), room)
		}
	})
}

func TestAppendBody(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		body := anyText.Draw(t, "body") + rapid.SampledFrom([]string{"", "\n", "\nmore"}).Draw(t, "end")
		dst, added := record.AppendBody([]byte("before"), []byte(body))
		want := record.Added{Count: 1, Bytes: len(body), Repair: repair(body)}
		if body == "" {
			want.Empty = 1
		}
		if diff := cmp.Diff(want, added); diff != "" {
			t.Fatalf("%q (-want +got):\n%s", body, diff)
		}
		got, invalid := bodies(bytes.TrimPrefix(dst, []byte("before")))
		if diff := cmp.Diff([]string{body}, got); diff != "" || invalid[0] != !utf8.ValidString(body) {
			t.Fatalf("%q is marked invalid: %t; (-want +got):\n%s", body, invalid[0], diff)
		}
	})
}

func TestRepair(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		body := anyText.Draw(t, "body")
		if got, want := record.Repair([]byte(body), !utf8.ValidString(body)), repair(body); got != want {
			t.Fatalf("repair of %q takes %d bytes, want %d", body, got, want)
		}
	})
}

func TestInvalidBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var body string
		if rapid.Bool().Draw(t, "raw") {
			body = string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
		} else {
			body = anyText.Draw(t, "body")
		}
		want := (len(string([]rune(body))) - len(body)) / 2
		if got := record.InvalidBytes([]byte(body)); got != want {
			t.Fatalf("%q has %d bad bytes, want %d", body, got, want)
		}
	})
}

func TestCountLines(t *testing.T) {
	for _, c := range []struct {
		src         string
		lines, size int
	}{{"", 0, 0}, {"\n", 1, 0}, {"a\n\nbc\n", 3, 3}, {"é\n", 1, 2}} {
		if n, size := record.CountLines([]byte(c.src)); n != c.lines || size != c.size {
			t.Errorf("%q has %d lines of %d bytes, want %d of %d", c.src, n, size, c.lines, c.size)
		}
	}
}
