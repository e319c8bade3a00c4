package deliver_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/deliver"
	"github.com/spillway/spillway/internal/sink"
)

// keyOf is the key of a line, of which there are as many as keys; a marker has none.
func keyOf(text string, keys int) (key uint64, number int, ok bool) {
	_, body, _ := strings.Cut(text, ":")
	_, err := fmt.Sscan(strings.TrimLeft(body, "0"), &number)
	return uint64(number % keys), number, err == nil
}

// turns holds a destination to the order of keys: no record is sent before all that
// came before it and have its key are at their end, or stand before it in the request.
type turns struct {
	mu     sync.Mutex
	ended  map[int]bool
	wrong  string
	most   int // of attempts at once
	active int
}

// Keys implements sink.Keyed.
func (s *script) Keys(dst []uint64, req sink.Request) []uint64 {
	for _, text := range read(req).texts {
		if key, _, ok := keyOf(text, s.keys); ok {
			dst = append(dst, key)
		}
	}
	return dst
}

func (o *turns) begin(a attempt, keys int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.active++
	o.most = max(o.most, o.active)
	here := map[int]bool{}
	for _, text := range a.texts {
		_, number, ok := keyOf(text, keys)
		if !ok {
			continue
		}
		here[number] = true
		for before := number - keys; before > 0; before -= keys {
			if !o.ended[before] && !here[before] && o.wrong == "" {
				o.wrong = fmt.Sprintf("record %d was sent before %d, which has its key, was at its end", number, before)
			}
		}
	}
}

// end notes which records are at their end by an outcome.
func (o *turns) end(a attempt, out sink.Outcome, keys int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.active--
	if out.Verdict == sink.Retry || out.Verdict == sink.Refuse && len(a.texts) > 1 {
		return
	}
	again := map[int]bool{}
	for _, s := range out.Again {
		for i := s.First; i < s.End; i++ {
			again[i] = true
		}
	}
	for i, text := range a.texts {
		if _, number, ok := keyOf(text, keys); ok && !again[i] {
			o.ended[number] = true
		}
	}
}

// keyed is a destination that answers by numbers, and then well.
func (o *turns) keyed(limits sink.Limits, keys int, answers []int) *script {
	limits.Keyed = true
	s := &script{limits: limits, keys: keys}
	s.answer = func(ctx context.Context, n int, a attempt) (out sink.Outcome) {
		o.begin(a, keys)
		defer func() { o.end(a, out, keys) }()
		time.Sleep(time.Duration(1+n%3) * time.Millisecond)
		if n >= len(answers) {
			return delivered
		}
		all := len(a.texts)
		out.Err = errors.New("no")
		switch answers[n] {
		case 0:
			out.Unsure, out.Broken = true, n%3 > 0
		case 1: // What is tried again is all of its keys from there on, as a sink must say.
			from := map[uint64]bool{}
			out.Verdict = sink.Delivered
			for i, text := range a.texts {
				key, _, _ := keyOf(text, keys)
				if from[key] = from[key] || (i+n)%4 == 0; from[key] {
					out.Again = append(out.Again, sink.Span{First: i, End: i + 1})
				}
			}
			if len(out.Again) == all {
				out = sink.Outcome{Err: out.Err}
			}
		case 2:
			out.Verdict, out.Reason = sink.Refuse, "rejected-invalid"
		case 3:
			<-ctx.Done()
			out.Unsure = true
		default:
			out = delivered
		}
		return out
	}
	return s
}

// TestKeysKeepTheirOrder: whatever a destination answers, and though it becomes another
// one, records of one key reach it in order.
func TestKeysKeepTheirOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		keys := rapid.SliceOfN(rapid.IntRange(1, 12), 2, 2).Draw(t, "keys of each")
		answers := rapid.SliceOfN(rapid.IntRange(0, 6), 0, 20)
		limits := func() sink.Limits {
			return sink.Limits{InFlight: rapid.IntRange(1, 4).Draw(t, "in flight"), Events: rapid.IntRange(1, 7).Draw(t, "events")}
		}
		first, second, exchange := limits(), limits(), rapid.IntRange(0, 2).Draw(t, "exchange")
		if exchange == 2 {
			second = first
		}
		rapid.SyncTest(t, func(t *rapid.T) {
			o := &turns{ended: map[int]bool{}}
			s := o.keyed(first, keys[0], answers.Draw(t, "answers"))
			r := start(t, buffer.Config{Limit: 1 << 20, NoLossMarkers: true}, s, deliver.Config{})
			for range rapid.IntRange(1, 4).Draw(t, "times") {
				r.hand(rapid.IntRange(0, 1).Draw(t, "stream"), rapid.IntRange(1, 30).Draw(t, "lines"))
				time.Sleep(time.Duration(rapid.IntRange(0, 500).Draw(t, "ms")) * time.Millisecond)
			}
			if exchange > 0 {
				r.exchange(o.keyed(second, keys[1], answers.Draw(t, "answers of the other")))
				r.hand(0, rapid.IntRange(1, 30).Draw(t, "lines"))
			}
			r.drain()
			if o.wrong != "" {
				t.Fatal(o.wrong)
			}
		})
	})
}

// TestOtherKeysGoAhead: a record that is tried again holds up those of its key alone.
func TestOtherKeysGoAhead(t *testing.T) {
	in(t, func(t *testing.T) {
		o := &turns{ended: map[int]bool{}}
		s := o.keyed(sink.Limits{InFlight: 4, Events: 1}, 4, nil)
		answer := s.answer
		s.answer = func(ctx context.Context, n int, a attempt) sink.Outcome {
			if a.texts[0] == "0:000001" && n < 20 {
				o.begin(a, 4)
				defer o.end(a, sink.Outcome{}, 4)
				time.Sleep(time.Second)
				return sink.Outcome{Err: errors.New("429")}
			}
			return answer(ctx, n, a)
		}
		r := start(t, buffer.Config{Limit: 1 << 20}, s, deliver.Config{})
		r.hand(0, 4)
		r.hand(0, 4)
		time.Sleep(900 * time.Millisecond)
		r.balance()
		if len(s.has) != 6 || slices.Contains(s.has, "0:000005") || o.most != 4 {
			t.Errorf("while the first record is under way %v are there, and %d attempts were at once; want all but the first and the fifth, and four", s.has, o.most)
		}
		r.drain()
		if o.wrong != "" {
			t.Error(o.wrong)
		}
	})
}

// unkeyed is a sink that says that it has keys, and not which.
type unkeyed struct{ sink.Sink }

// TestUnknownKeys: where nobody says what has which key, one request is in flight.
func TestUnknownKeys(t *testing.T) {
	in(t, func(t *testing.T) {
		o := &turns{ended: map[int]bool{}}
		s := o.keyed(sink.Limits{InFlight: 4, Events: 1}, 1, []int{0, 0, 6, 0})
		r := startAt(t, buffer.Config{Limit: 1 << 20}, s, unkeyed{s}, deliver.Config{})
		r.hand(0, 12)
		r.drain()
		if o.wrong != "" || o.most != 1 {
			t.Errorf("%s; %d attempts were at once", o.wrong, o.most)
		}
	})
}
