package deliver_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/deliver"
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink"
)

// attempt is one call of Send, as the destination saw it.
type attempt struct {
	begin, end time.Duration // since the start of the test
	texts      []string      // "stream:body", a marker as "stream:!"
	moments    []moment      // of its batches
	each       []moment      // of its events
	active     int           // attempts under way when it began, itself included
	deadline   time.Duration
	out        sink.Outcome
}

type moment struct {
	stream uint32
	ms     int64
}

// script is a destination that answers as the test says.
type script struct {
	limits sink.Limits
	// answer decides about the n-th attempt, from 0. It may wait.
	answer func(ctx context.Context, n int, a attempt) sink.Outcome
	start  time.Time
	// keys is how many keys there are, where the limits say so.
	keys int
	// ask, if it is set, is shown each request.
	ask func(sink.Request)

	mu       sync.Mutex
	attempts []attempt
	active   int
	has      []string // what was delivered
}

func (s *script) Limits() sink.Limits         { return s.limits }
func (s *script) Check(context.Context) error { return nil }
func (s *script) Close() error                { return nil }
func (s *script) since() time.Duration        { return time.Since(s.start) }

// from makes the destination answer in another way from now on.
func (s *script) from(answer func(context.Context, int, attempt) sink.Outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

// read copies what a request holds.
func read(req sink.Request) (a attempt) {
	for _, b := range req.Batches() {
		a.moments = append(a.moments, moment{b.Stream, b.Millisecond()})
		if b.Kind == record.KindLoss {
			a.texts = append(a.texts, fmt.Sprint(b.Stream, ":!"))
			a.each = append(a.each, moment{b.Stream, b.Millisecond()})
			continue
		}
		frames := b.Frames
		for range b.Count {
			var body []byte
			body, _, frames = b.Next(frames)
			a.texts = append(a.texts, fmt.Sprint(b.Stream, ":", string(body)))
			a.each = append(a.each, moment{b.Stream, b.Millisecond()})
		}
	}
	return a
}

func (s *script) Send(ctx context.Context, req sink.Request) sink.Outcome {
	a := read(req)
	if s.ask != nil {
		s.ask(req)
	}
	s.mu.Lock()
	a.begin = s.since()
	if at, ok := ctx.Deadline(); ok {
		a.deadline = at.Sub(s.start)
	}
	s.active++
	a.active = s.active
	n := len(s.attempts)
	s.attempts = append(s.attempts, a)
	answer := s.answer
	s.mu.Unlock()

	out := answer(ctx, n, a)

	s.mu.Lock()
	defer s.mu.Unlock()
	s.active--
	s.attempts[n].end, s.attempts[n].out = s.since(), out
	if again := read(req); !slices.Equal(again.texts, a.texts) {
		panic("a request changed while it was sent")
	}
	for i, text := range a.texts {
		rejected := slices.ContainsFunc(out.Rejected, func(r sink.Rejection) bool { return r.First <= i && i < r.End })
		again := slices.ContainsFunc(out.Again, func(s sink.Span) bool { return s.First <= i && i < s.End })
		if out.Verdict == sink.Delivered && !rejected && !again {
			s.has = append(s.has, text)
		}
	}
	return out
}

// Outcomes that many scripts use.
var (
	delivered = sink.Outcome{Verdict: sink.Delivered}
	away      = sink.Outcome{Err: context.DeadlineExceeded}
)

// always answers alike, after a while.
func always(out sink.Outcome, latency time.Duration) func(context.Context, int, attempt) sink.Outcome {
	return func(context.Context, int, attempt) sink.Outcome {
		time.Sleep(latency)
		return out
	}
}

// logged is a log that can be asked.
type logged struct {
	mu    sync.Mutex
	lines []string
}

func (l *logged) Enabled(context.Context, slog.Level) bool { return true }
func (l *logged) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *logged) WithGroup(string) slog.Handler            { return l }
func (l *logged) Handle(_ context.Context, r slog.Record) error {
	line := r.Level.String() + " " + r.Message
	r.Attrs(func(a slog.Attr) bool { line += " " + a.String(); return true })
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
	return nil
}

// count is how many lines hold the text.
func (l *logged) count(text string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.lines {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

// tb is what a test and a property have in common.
type tb interface {
	Helper()
	Errorf(format string, args ...any)
}

// rig is a buffer, a deliverer at work and a destination.
type rig struct {
	tb
	*script
	log     *logged
	buf     *buffer.Buffer
	deliver *deliver.Deliverer
	streams []*record.Stream
	ended   chan struct{}
	cancel  context.CancelFunc
	lines   int
}

// start sets up a rig; it runs in a bubble.
func start(t tb, b buffer.Config, s *script, c deliver.Config) *rig {
	t.Helper()
	return startAt(t, b, s, s, c)
}

// startAt is start where what is delivered to, which is s inside, is not the script itself.
func startAt(t tb, b buffer.Config, s *script, to sink.Sink, c deliver.Config) *rig {
	t.Helper()
	s.start = time.Now()
	s.limits.InFlight = max(s.limits.InFlight, 1)
	b.Sink = s.limits
	if b.Mode == "" {
		b.Mode = buffer.Blocking
	}
	r := &rig{tb: t, script: s, log: &logged{}, buf: buffer.New(b, ledger.New()), ended: make(chan struct{})}
	c.Name, c.Log = "test", slog.New(r.log)
	r.deliver = deliver.New(c, r.buf, to)
	for i := range 2 {
		r.streams = append(r.streams, r.buf.Open(fmt.Sprint("stream ", i)))
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go func() {
		defer close(r.ended)
		r.deliver.Run(ctx)
	}()
	return r
}

// hand hands over n lines of the stream, which say their own number.
func (r *rig) hand(stream, n int) {
	var lines []byte
	for range n {
		r.lines++
		lines = fmt.Appendf(lines, "%06d\n", r.lines)
	}
	r.buf.Lines(r.streams[stream], time.Now().UnixNano(), lines, true)
}

// drain ends the rig and holds the balance to what the destination has.
func (r *rig) drain() ledger.Balance {
	r.Helper()
	r.deliver.Drain()
	<-r.ended
	r.cancel()
	b := r.balance()
	if b.Pending != 0 || !r.buf.Idle() {
		r.Errorf("after the drain %d records are pending and the state is %+v", b.Pending, r.buf.State())
	}
	return b
}

// balance holds the balance to what the destination has, whatever is under way.
func (r *rig) balance() ledger.Balance {
	r.Helper()
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.buf.Balance()
	records := int64(0)
	seen := map[string]bool{}
	for _, text := range r.has {
		if strings.HasSuffix(text, "!") {
			continue
		}
		if records++; seen[text] {
			r.Errorf("%q was delivered twice", text)
		}
		seen[text] = true
	}
	if b.Received != int64(r.lines) || b.Delivered != records || b.Unaccounted != 0 || b.Bytes.Unaccounted != 0 {
		r.Errorf("%d lines were handed over and the destination has %d; the balance is %+v", r.lines, records, b.Sheet)
	}
	return b
}

// seen are the attempts so far.
func (r *rig) seen() []attempt {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.attempts)
}

// begun are the moments at which attempts began.
func (r *rig) begun() (all []time.Duration) {
	for _, a := range r.seen() {
		all = append(all, a.begin)
	}
	return all
}

// in runs a test in virtual time.
func in(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}
