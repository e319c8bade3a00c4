// Package multiline joins the lines of one stream into events of several
// lines, such as a stack trace, by the rule of Docker's awslogs driver: a line
// that matches a pattern starts an event, every other line continues it.
//
// It differs from that driver where the driver is wrong. Each of stdout and
// stderr has a Joiner of its own, so their lines never mix. The time of an
// event is always that of its own first line, also after a flush. An event is
// handed on when its flush interval ends, not at the second tick after it, and
// what is open at the end of the stream is handed on too.
//
// The package refuses to read, to wait and to run a timer: the reader of the
// stream calls it with each line, asks it for its deadline and tells it the
// time. It refuses to cut lines: the reader has cut them to the limit already.
// Its caller is the source that reads a container's pipes.
package multiline

import (
	"fmt"
	"regexp"
	"time"
)

const (
	// keepBuffer is the most memory in bytes that a Joiner holds between
	// events, because one stack trace of a megabyte must not cost a container
	// that megabyte for the rest of its life.
	keepBuffer = 64 << 10
	// firstBuffer is the size in bytes of a Joiner's first allocation, which
	// holds a usual event without growing.
	firstBuffer = 1 << 10
)

// Emit receives an event: the time of its first line and its lines, each
// ended by "\n". The body is valid only until Emit returns. Emit may block,
// and must not call the Joiner that called it.
type Emit func(t int64, body []byte)

// Options is what a Joiner works by.
type Options struct {
	// Start matches a line that starts an event. Required.
	Start *regexp.Regexp
	// MaxBytes is the largest cost of an event's body, newlines included.
	// Required.
	MaxBytes int
	// FlushInterval is how long an event may stay open after its first line.
	// Required.
	FlushInterval time.Duration
	// Cost is what a line costs of MaxBytes, without its newline, which costs
	// one more; nil counts plain bytes. CloudWatch Logs wants UTF-8 and is sent
	// U+FFFD for a bad byte, so there a bad byte costs three. The newline
	// between two lines keeps the cost of both the sum of the costs of each.
	Cost func(line []byte) int
}

// Joiner joins the lines of one stream. It is for one goroutine. It holds at
// most the memory of one event of MaxBytes, and twice that while it grows.
type Joiner struct {
	start    *regexp.Regexp
	max      int
	interval time.Duration
	cost     func(line []byte) int

	// body is the open event, or empty; every line adds at least its newline,
	// so an open event is never empty.
	body     []byte
	bodyCost int
	// first is the time of the open event's first line.
	first int64
}

// New returns a Joiner, or an error that names the option that is missing.
func New(o Options) (*Joiner, error) {
	if o.Start == nil {
		return nil, fmt.Errorf("join lines: no start pattern is set, expected a compiled regular expression")
	}
	if o.MaxBytes < 1 {
		return nil, fmt.Errorf("join lines: the largest event is %d bytes, expected at least 1", o.MaxBytes)
	}
	if o.FlushInterval <= 0 {
		return nil, fmt.Errorf("join lines: the flush interval is %v, expected more than 0", o.FlushInterval)
	}
	j := &Joiner{start: o.Start, max: o.MaxBytes, interval: o.FlushInterval, cost: o.Cost}
	if j.cost == nil {
		j.cost = func(line []byte) int { return len(line) }
	}
	return j, nil
}

// Line takes the next line of the stream, without its newline, read at t
// (nanoseconds since 1970). It emits the open event first when the line starts
// a new one or would make the open one too large. The line is copied.
//
// The caller cuts lines so that the cost of each, plus one for its newline, is
// at most MaxBytes. A line that costs more is an event of its own, as it is.
// The times of events go back only where the times of lines do.
func (j *Joiner) Line(t int64, line []byte, emit Emit) {
	cost := j.cost(line) + 1
	if len(j.body) > 0 && (cost > j.max-j.bodyCost || j.start.Match(line)) {
		j.Close(emit)
	}
	if len(j.body) == 0 {
		j.first = t
	}
	j.grow(len(line) + 1)
	j.body = append(j.body, line...)
	j.body = append(j.body, '\n')
	j.bodyCost += cost
}

// Deadline returns when the open event must be flushed (nanoseconds since
// 1970), and whether an event is open. It changes only when an event opens.
// A caller that never rests looks at it between two reads.
func (j *Joiner) Deadline() (t int64, ok bool) {
	if len(j.body) == 0 {
		return 0, false
	}
	return j.first + int64(j.interval), true
}

// Flush emits the open event if its deadline has come at now (nanoseconds
// since 1970). The next line then starts an event with a time of its own. An
// event that is more than the flush interval in the future is emitted too: the
// clock was set back, and its deadline may never come.
func (j *Joiner) Flush(now int64, emit Emit) {
	if len(j.body) == 0 {
		return
	}
	age := time.Duration(now - j.first)
	if age >= j.interval || age <= -j.interval {
		j.Close(emit)
	}
}

// Close emits the open event, if any, at the end of the stream. The Joiner is
// ready for a next line, which starts an event: so a caller that has a record
// that is not a line to hand on, such as a part of an over-long line, calls
// Close to keep it behind the lines before it.
func (j *Joiner) Close(emit Emit) {
	if len(j.body) == 0 {
		return
	}
	emit(j.first, j.body)
	j.bodyCost = 0
	j.body = j.body[:0]
	if cap(j.body) > keepBuffer {
		j.body = nil
	}
}

// Held returns the memory that the Joiner holds, in bytes, for the caller to
// count against its budget.
func (j *Joiner) Held() int { return cap(j.body) }

// grow makes room for n more bytes. It doubles the buffer, and stops at the
// largest event, where append would overshoot.
func (j *Joiner) grow(n int) {
	need := len(j.body) + n
	if need <= cap(j.body) {
		return
	}
	size := min(max(2*cap(j.body), firstBuffer), j.max)
	body := make([]byte, len(j.body), max(size, need))
	copy(body, j.body)
	j.body = body
}
