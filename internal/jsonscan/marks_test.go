package jsonscan

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
)

// FuzzMarks scans values with marks and without, which must come to the same. What is
// found stands behind as many bytes as move it over the edges of words.
func FuzzMarks(f *testing.F) {
	for _, inside := range []string{
		``, `"`, `\`, `\"`, `\\`, `\\"`, `\\\"`, `\u00`, `\u00e9`, `ü`, "\xff", "\n", "\x00", `":1,"b":"`, `\":1,"b":"`, `"}\"`, `"},"`, `":{"c":["d","\\"]},"`,
		strings.Repeat(`\\`, 64), strings.Repeat(`\"`, 64), strings.Repeat(`\`, 65), strings.Repeat(`\\`, 40) + `"`,
	} {
		f.Add([]byte(`"`+inside+`"`), uint16(0))
		f.Add([]byte(inside), uint16(63))
		f.Add([]byte(`"`+inside+`","id":"`+inside+`"`), uint16(40))
	}
	f.Fuzz(func(t *testing.T, foreign []byte, before uint16) {
		pad := strings.Repeat("x", int(before)%(mostMarked+100))
		value := append([]byte(`{"pad":"`+pad+`","v":`), foreign...)
		checkMarks(t, append(value, '}'))
		checkMarks(t, foreign)
		checkMarks(t, append(bytes.Repeat([]byte{' '}, int(before%100)), foreign...))
	})
}

func checkMarks(t *testing.T, value []byte) {
	t.Helper()
	keys, err := NewKeys("id", `a"b`)
	if err != nil {
		t.Fatal(err)
	}
	with, without := NewScanner(keys), NewScanner(keys)
	without.unmarked = true
	got, want := with.Scan(value), without.Scan(value)
	switch {
	case (got == nil) != (want == nil) || got != nil && got.Error() != want.Error():
		t.Fatalf("%q: scanned with marks: %v, without: %v", value, got, want)
	case want != nil:
		return
	case with.Members() != without.Members() || with.Size() < without.Size():
		t.Fatalf("%q: found %d members of at most %d bytes with marks, %d of %d without", value, with.Members(), with.Size(), without.Members(), without.Size())
	}
	for key := range 2 {
		if !bytes.Equal(with.Value(key), without.Value(key)) {
			t.Fatalf("%q: found %q with marks, %q without", value, with.Value(key), without.Value(key))
		}
	}
	for range 2 {
		a, n := with.AppendObject(nil)
		b, m := without.AppendObject(nil)
		if !bytes.Equal(a, b) || n != m {
			t.Fatalf("%q: made %q (%d replaced) with marks, %q (%d) without", value, a, n, b, m)
		}
		with.Remove(0)
		without.Remove(0)
	}
}

// TestMarks draws values out of what strings and escapes are made of, and sees that most
// of them are marked.
func TestMarks(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	parts := []string{`\\`, `\"`, `\u00e9`, `\n`, `a`, `bcdefg`, `","id":"`, `","n":-1.5e3,"a\"b":"`, ` `, `ü`, `":[{"x":"`, `"}],"y":"`, `\`, `"`}
	marked := 0
	for range 20_000 {
		value := []byte(`{"v":"`)
		kinds := 7 + r.IntN(len(parts)-6) // Later ones make most values bad.
		for range r.IntN(60) {
			value = append(value, parts[r.IntN(kinds)]...)
		}
		value = append(value, `"}`...)
		checkMarks(t, value)
		s := NewScanner(nil)
		if s.Scan(value) == nil && len(s.quotes) > 0 {
			marked++
		}
	}
	if canMark && marked < 1000 {
		t.Errorf("only %d values were good and marked", marked)
	}
}

// The marks of a value of each length are those of its bytes, however they lie.
func TestMarkEach(t *testing.T) {
	if !canMark {
		t.Skip("quotes are not marked here")
	}
	r := rand.New(rand.NewPCG(3, 4))
	room := make([]byte, mostMarked+32)
	for n := leastMarked; n <= mostMarked; n += 1 + r.IntN(7) {
		src := room[r.IntN(32):][:n:n]
		var quotes, slashes marks
		var control, slash, high bool
		for i := range src {
			src[i] = `"\ abc"`[r.IntN(7)]
			if r.IntN(n) == 0 {
				src[i] = byte(r.IntN(256))
			}
			set := uint64(1) << (i % 64)
			switch c := src[i]; {
			case c == '"':
				quotes[i/64] |= set
			case c == '\\':
				slashes[i/64] |= set
				slash = true
			case c < ' ':
				control = true
			case c >= 0x80:
				high = true
			}
		}
		var got, gotSlashes marks
		controls, backslashes, highs := markQuotes(&src[0], n, &got[0])
		markBackslashes(&src[0], n, &gotSlashes[0])
		if got != quotes || gotSlashes != slashes || controls != 0 != control || backslashes != 0 != slash || highs != 0 != high {
			t.Fatalf("%q: marked %x and %x, controls %t, backslashes %t, others %t; expected %x and %x, %t, %t, %t", src,
				got, gotSlashes, controls != 0, backslashes != 0, highs != 0, quotes, slashes, control, slash, high)
		}
	}
}
