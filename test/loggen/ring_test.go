package main

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// TestShrinksLikeAnAccessLog holds the text to the ratio that the benchmarks state.
func TestShrinksLikeAnAccessLog(t *testing.T) {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{250, 1000, 10_000} {
		p := plan{size: size, lines: 1 << 20, linesPerWrite: 1}
		text := newRing(p).text[:1<<20]
		packed := 0
		for at := 0; at < len(text); at += 64 << 10 {
			packed += len(encoder.EncodeAll(text[at:at+64<<10], nil))
		}
		ratio := float64(len(text)) / float64(packed)
		if t.Logf("%d-byte lines shrink %.2f times", size, ratio); ratio < 3.7 || ratio > 4.3 {
			t.Errorf("%d-byte lines shrink %.2f times, expected about 4", size, ratio)
		}
	}
}

// TestLinesOverTheRing checks every byte that is not text by chance: number, prefix, length and newline, also where
// the ring starts over in the middle of a write.
func TestLinesOverTheRing(t *testing.T) {
	const prefix = "@S"
	p := plan{prefix: prefix, size: 80_000, lines: 1000, linesPerWrite: 7}
	r := newRing(p)
	number := int64(999_999_999_990) - 500
	for i := int64(0); i < 500; {
		block := r.take(i, 7, number+i)
		if len(block) == 0 || len(block)%(p.size+1) != 0 {
			t.Fatalf("block of %d bytes, expected whole lines", len(block))
		}
		for ; len(block) > 0; block = block[p.size+1:] {
			line := block[:p.size+1]
			want := fmt.Sprintf("%s%012d ", prefix, number+i)
			if !bytes.HasPrefix(line, []byte(want)) || bytes.IndexByte(line, '\n') != p.size {
				t.Fatalf("line %d is %.40q with its newline at %d", number+i, line, bytes.IndexByte(line, '\n'))
			}
			i++
		}
	}
}

func TestSmallestLine(t *testing.T) {
	r := newRing(plan{size: 16, lines: 3, linesPerWrite: 1})
	if got, want := string(r.take(0, 1, 7)), "000000000007 10.\n"; got != want {
		t.Errorf("got %q, expected %q", got, want)
	}
}
