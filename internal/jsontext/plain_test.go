package jsontext

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// TestCopyPlainAgrees with itself byte by byte, whatever stands where, and writes
// nothing behind what both have room for.
func TestCopyPlainAgrees(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	odd := []byte("\x00\x1f \x21\"#\\[]\x7f\x80\xff")
	for range 200_000 {
		src := bytes.Repeat([]byte{'a'}, r.IntN(80))
		for range r.IntN(3) {
			if len(src) > 0 {
				src[r.IntN(len(src))] = odd[r.IntN(len(odd))]
			}
		}
		stop := highBits * uint64(r.IntN(2))
		room := max(0, len(src)+r.IntN(9)-4)
		want := 0
		for want < min(room, len(src)) && isPlain(src[want], stop) {
			want++
		}
		for name, copied := range map[string]func(dst, src []byte, stop uint64) int{"words": copyPlainWords, "blocks": copyPlain} {
			dst := bytes.Repeat([]byte{'-'}, room+40)
			n := copied(dst[:room], src, stop)
			if n != want || !bytes.Equal(dst[:n], src[:n]) {
				t.Fatalf("%s: of %q into %d bytes %d were copied, as %q; expected %d", name, src, room, n, dst[:n], want)
			}
			if behind := dst[min(room, len(src)):]; len(bytes.Trim(behind, "-")) > 0 {
				t.Fatalf("%s: of %q into %d bytes, this was written behind the end: %q", name, src, room, behind)
			}
		}
	}
}

func isPlain(c byte, stop uint64) bool {
	return c >= ' ' && c != '"' && c != '\\' && (c < 0x80 || stop == 0)
}
