package harness

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// digits is how long a number is.
const digits = 12

// Lines makes numbered lines of one size: a prefix, 12 digits, a space and filler; the newline is part of the size. The
// smallest size is 14 bytes more than the prefix.
type Lines struct {
	Prefix string // tells the writers of a run apart
	Size   int
	next   int64
}

// Append appends n lines.
func (l *Lines) Append(dst []byte, n int) []byte {
	for range n {
		l.next++
		start := len(dst)
		dst = fmt.Appendf(dst, "%s%0*d ", l.Prefix, digits, l.next)
		dst = fill(dst, start+l.Size-1, uint64(l.next))
		dst = append(dst, '\n')
	}
	return dst
}

// fill appends text up to the given length. It looks random, so that a buffer that compresses gains little and a test
// knows about how much it holds; the same seed gives the same text.
func fill(dst []byte, upTo int, seed uint64) []byte {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-"
	state := seed*0x9e3779b97f4a7c15 + 1
	for len(dst) < upTo {
		// xorshift64: ten letters of six bits a step.
		state ^= state << 13
		state ^= state >> 7
		state ^= state << 17
		for bits, n := state, 0; n < 10 && len(dst) < upTo; n++ {
			dst = append(dst, letters[bits&63])
			bits >>= 6
		}
	}
	return dst
}

// Written is the number of the last line made.
func (l *Lines) Written() int64 { return l.next }

// Write writes n lines in writes of up to 64 KiB.
func (l *Lines) Write(w io.Writer, n int64) error {
	per := max(1, (64<<10)/int64(l.Size))
	for n > 0 {
		k := min(n, per)
		if _, err := w.Write(l.Append(nil, int(k))); err != nil {
			return fmt.Errorf("write lines up to number %d: %w", l.next, err)
		}
		n -= k
	}
	return nil
}

// Pace writes one line a write, evenly, at the given bytes a second for the given time. What a stalled write delays is
// not made up for, as an application would not.
func (l *Lines) Pace(w io.Writer, rate int, during time.Duration) error {
	const tick = 5 * time.Millisecond
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	owed := 0.0
	var line []byte
	for end := time.Now().Add(during); time.Now().Before(end); <-ticker.C {
		for owed += float64(rate) * tick.Seconds() / float64(l.Size); owed >= 1; owed-- {
			line = l.Append(line[:0], 1)
			if _, err := w.Write(line); err != nil {
				return fmt.Errorf("write line number %d: %w", l.next, err)
			}
		}
	}
	return nil
}

// Number reads the number of a line that Lines made with the given prefix.
func Number(message, prefix string) (int64, bool) {
	rest, ok := strings.CutPrefix(message, prefix)
	if !ok || len(rest) < digits {
		return 0, false
	}
	n, err := strconv.ParseInt(rest[:digits], 10, 64)
	return n, err == nil
}

// Marker is a loss marker as a line sink shows it.
type Marker struct {
	Lost      int64     `json:"lost"`
	Bytes     int64     `json:"bytes"`
	FirstSeq  int64     `json:"first_seq"`
	LastSeq   int64     `json:"last_seq"`
	FirstTime time.Time `json:"first_time"`
	LastTime  time.Time `json:"last_time"`
	Reason    string    `json:"reason"`
}

// ParseMarker reads a loss marker. It returns false if the message is none, and an error if it is a broken one.
func ParseMarker(message string) (Marker, bool, error) {
	object, ok := strings.CutPrefix(message, "spillway-loss ")
	if !ok {
		return Marker{}, false, nil
	}
	var m Marker
	decoder := json.NewDecoder(bytes.NewReader([]byte(object)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&m); err != nil {
		return Marker{}, true, fmt.Errorf("read the loss marker %q: %w", message, err)
	}
	return m, true, nil
}
