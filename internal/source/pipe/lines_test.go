package pipe

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
)

// checkLines compares what was handed over with the lines of text, of which each
// record may hold max bytes after repair.
func checkLines(text []byte, max int, r *recorder) error {
	if r.wrong != nil {
		return r.wrong
	}
	rest := r.records
	var count ledger.Lines
	for line := range bytes.Lines(text) {
		line = bytes.TrimSuffix(line, []byte{'\n'})
		n, err := checkLine(string(line), max, rest)
		if err != nil {
			return fmt.Errorf("line %d, of %d bytes: %w", count.Read+1, len(line), err)
		}
		rest = rest[n:]
		count.Read++
		if n > 1 {
			count.Split++
		}
	}
	if len(rest) > 0 {
		return fmt.Errorf("%d records too many, the first is %.100q", len(rest), rest[0].body)
	}
	if r.lines != count {
		return fmt.Errorf("the lines were counted as %+v, want %+v", r.lines, count)
	}
	return nil
}

// checkLine finds one line at the start of records, and returns of how many it
// consists.
func checkLine(line string, max int, records []got) (int, error) {
	if len(records) == 0 {
		return 0, errors.New("it is missing")
	}
	if repaired([]byte(line)) <= max {
		if records[0] != (got{body: line}) {
			return 0, fmt.Errorf("it is %.100q as part %+v, want %.100q whole", records[0].body, records[0].part, line)
		}
		return 1, nil
	}
	rest := line
	for i, r := range records {
		if !strings.HasPrefix(rest, r.body) {
			return 0, fmt.Errorf("part %d is %.100q, the line goes on with %.100q", i+1, r.body, rest)
		}
		rest = rest[len(r.body):]
		if want := (record.Part{Ordinal: uint32(i + 1), Last: rest == ""}); r.part != want {
			return 0, fmt.Errorf("part %d of %d bytes says %+v, want %+v", i+1, len(r.body), r.part, want)
		}
		if rest == "" {
			return i + 1, nil
		}
		// No rune could be added, nor three bytes that may yet become one.
		if size := repaired([]byte(r.body)); size <= max-9 {
			return 0, fmt.Errorf("part %d has %d bytes after repair, of %d", i+1, size, max)
		}
		if splitsRune(line, len(line)-len(rest)) {
			return 0, fmt.Errorf("part %d ends within a rune: …%.10q|%.10q", i+1, r.body[len(r.body)-4:], rest)
		}
	}
	return 0, fmt.Errorf("%d bytes of it are missing", len(rest))
}

// splitsRune tells whether a rune of text lies across at.
func splitsRune(text string, at int) bool {
	for i := max(at-utf8.UTFMax+1, 0); i < at; i++ {
		if r, size := utf8.DecodeRuneInString(text[i:]); (r != utf8.RuneError || size > 1) && i+size > at {
			return true
		}
	}
	return false
}

// someText draws what a program may write: lines of lengths around limit, of
// all kinds of bytes, with or without a newline at the end.
func someText(limit int) *rapid.Generator[[]byte] {
	unit := rapid.SampledFrom([]string{"a", "é", "€", "😀", "\xff", "\xe2\x82", "\xf0\x9f\x98", "\xc3x", "a\xf0", "\x00"})
	length := rapid.OneOf(
		rapid.IntRange(0, 20), rapid.IntRange(limit-6, limit+6), rapid.IntRange(limit/3-2, limit/3+2),
		rapid.SampledFrom([]int{2*limit - 1, 2 * limit, 2*limit + 1, 5 * limit, bufferSize - 1, bufferSize, bufferSize + 1}),
	)
	return rapid.Custom(func(t *rapid.T) []byte {
		var text []byte
		for range rapid.IntRange(0, 6).Draw(t, "lines") {
			for range rapid.IntRange(1, 3).Draw(t, "stretches") {
				u := unit.Draw(t, "unit")
				text = append(text, strings.Repeat(u, min(length.Draw(t, "length"), 400_000)/len(u))...)
			}
			text = append(text, rapid.SampledFrom([]string{"\n", "\n", "\r\n", "\n\n", "x\n"}).Draw(t, "end")...)
		}
		if rapid.Bool().Draw(t, "unfinished") {
			text = append(text, strings.Repeat(unit.Draw(t, "last unit"), length.Draw(t, "last length"))...)
		}
		return text
	})
}

var limits = rapid.OneOf(rapid.IntRange(64, 300), rapid.SampledFrom([]int{
	4096, 16 << 10, bufferSize - 1, bufferSize, bufferSize + 1, 100_000, 2 * bufferSize, 300_000,
}))

// feed writes chunk into the pipe and lets the reader take it, step by step as
// Run does, without the rests between.
func feed(r *Reader, w io.Writer, chunk []byte) error {
	if _, err := w.Write(chunk); err != nil {
		return err
	}
	for left := len(chunk); left > 0; {
		n, err := r.read()
		if err != nil || n == 0 {
			return fmt.Errorf("a read brought %d bytes and %w, where %d are left", n, err, left)
		}
		r.take(n)
		r.flush()
		left -= n
		if most := max(bufferSize, r.maxLine()+1); len(r.buf) > most {
			return fmt.Errorf("the buffer has %d bytes, where %d are enough", len(r.buf), most)
		}
	}
	return nil
}

// TestReaderAgainstModel writes random text in random chunks: what is handed
// over are its lines.
func TestReaderAgainstModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		limit := limits.Draw(rt, "limit")
		text := someText(limit).Draw(rt, "text")
		chunk := rapid.OneOf(rapid.IntRange(1, 10), rapid.IntRange(1, 2*limit), rapid.IntRange(1, bufferSize))

		d, w := newPipe(t)
		intake := &recorder{max: limit}
		r := New(d, stdout, intake, Options{})
		r.buf = make([]byte, bufferSize)
		for sent := 0; sent < len(text); {
			n := min(chunk.Draw(rt, "chunk"), bufferSize, len(text)-sent)
			// Few chunks are enough for the start of a long text.
			n = max(n, (len(text)-sent)/100)
			n = min(n, bufferSize)
			if err := feed(r, w, text[sent:sent+n]); err != nil {
				rt.Fatal(err)
			}
			sent += n
		}
		if err := w.Close(); err != nil {
			rt.Fatal(err)
		}
		if n, err := r.read(); n > 0 || !errors.Is(err, io.EOF) {
			rt.Fatalf("the end brought %d bytes and %v", n, err)
		}
		r.finish()
		if err := checkLines(text, limit, intake); err != nil {
			rt.Fatal(err)
		}
	})
}

// FuzzReader reads foreign bytes in chunks of one size.
func FuzzReader(f *testing.F) {
	for _, seed := range []string{
		"", "\n", "a\nb", "\r\n\r\n", strings.Repeat("\xff", 200), strings.Repeat("😀", 50) + "\n", strings.Repeat("a\xe2\x82", 100),
	} {
		f.Add([]byte(seed), 64, 1)
		f.Add([]byte(seed), 100, 1000)
	}
	f.Fuzz(func(t *testing.T, text []byte, limit, chunk int) {
		limit = 64 + max(limit, 0)%400
		chunk = 1 + max(chunk, 0)%5000
		d, w := newPipe(t)
		intake := &recorder{max: limit}
		r := New(d, stdout, intake, Options{})
		r.buf = make([]byte, bufferSize)
		for sent := 0; sent < len(text); sent += chunk {
			if err := feed(r, w, text[sent:min(sent+chunk, len(text))]); err != nil {
				t.Fatal(err)
			}
		}
		r.finish()
		if err := checkLines(text, limit, intake); err != nil {
			t.Fatal(err)
		}
	})
}

// TestTheBufferOfALongLineIsGivenBack: a container that wrote one pays for it no
// longer than the line lasts.
func TestTheBufferOfALongLineIsGivenBack(t *testing.T) {
	d, w := newPipe(t)
	r := New(d, stdout, &recorder{max: 8 * bufferSize}, Options{})
	r.buf = make([]byte, bufferSize)
	for range 5 {
		if err := feed(r, w, bytes.Repeat([]byte("x"), bufferSize)); err != nil {
			t.Fatal(err)
		}
	}
	if len(r.buf) <= 5*bufferSize {
		t.Errorf("five reads of one line are held in %d bytes", len(r.buf))
	}
	if err := feed(r, w, []byte("end\nshort")); err != nil {
		t.Fatal(err)
	}
	if len(r.buf) != bufferSize || cap(r.buf) != bufferSize {
		t.Errorf("after the line the buffer still has %d of %d bytes, want %d", len(r.buf), cap(r.buf), bufferSize)
	}
}

// TestAFullReadIsHandedOverTogether though it is longer than the longest record: in
// mode spill each call may be a write of its own.
func TestAFullReadIsHandedOverTogether(t *testing.T) {
	calls := 0
	intake := &recorder{max: bufferSize - 52, before: func() { calls++ }}
	r := &Reader{intake: intake, stream: &record.Stream{}}
	text := bytes.Repeat([]byte("1234567\n"), bufferSize/8)
	r.lines(1, bytes.Clone(text))
	if err := checkLines(text, intake.max, intake); err != nil {
		t.Error(err)
	}
	if calls > 3 {
		t.Errorf("%d bytes of short lines took %d calls", len(text), calls)
	}
}
