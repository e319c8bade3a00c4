package sourcetest

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// env is one check at work.
type env struct {
	*testing.T
	*Router
	Subject
	closed bool
}

func (e *env) close() {
	e.Helper()
	e.closed = true
	e.Source.Stop()
	e.Source.Wait()
	if err := e.Source.Close(); err != nil {
		e.Errorf("close: %v", err)
	}
}

// end closes the source of a check that did not, unless that would hang as the check
// does.
func (e *env) end() {
	e.Helper()
	if e.closed || e.Failed() {
		return
	}
	e.set(func() { e.keep = false })
	e.answer(true)
	e.close()
}

// hears waits for what a sender hears.
func (e *env) hears(what string, acked <-chan bool, want bool) {
	e.Helper()
	if acked == nil {
		return
	}
	select {
	case got := <-acked:
		if got != want {
			e.Errorf("%s: acknowledged: %t, want %t", what, got, want)
		}
	case <-time.After(patience):
		e.Fatalf("%s: the sender hears nothing", what)
	}
}

// quiet fails if a sender hears something that it should not, yet.
func (e *env) quiet(what string, acked <-chan bool) {
	e.Helper()
	select {
	case got := <-acked:
		e.Fatalf("%s: the sender hears %t", what, got)
	case <-time.After(moment):
	}
}

func (e *env) has(n int) func() bool { return func() bool { return len(e.records) >= n } }

var checks = []struct {
	name  string
	check func(*env)
}{
	{"each record once and in order", inOrder},
	{"many senders", manySenders},
	{"nothing before the start", beforeStart},
	{"it waits where it is made to", waits},
	{"answers in any order", answers},
	{"what is refused is not acknowledged", refused},
	{"what is sent again is taken once", again},
	{"what is no record", bad},
	{"stop, and answer for what was taken", stops},
	{"close without a start", unstarted},
	{"the end of the input", ends},
}

// inOrder sends pieces of several sizes one after the other.
func inOrder(e *env) {
	e.Source.Start()
	var want []string
	for i := range 30 {
		piece := []string{}
		for j := range 1 + i%4 {
			piece = append(piece, fmt.Sprintf("record %d of piece %d %s", j, i, strings.Repeat("x", i*j)))
		}
		e.hears("a piece", e.Send(fmt.Sprint(i), piece...), true)
		want = append(want, piece...)
	}
	e.await("all records", e.has(len(want)))
	e.match(want)
}

// match compares what was handed over: each record holds what was sent.
func (e *env) match(want []string) {
	e.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.records) != len(want) {
		e.Fatalf("%d records were handed over, want %d", len(e.records), len(want))
	}
	for i, w := range want {
		if !strings.Contains(e.records[i], w) {
			e.Fatalf("record %d is %q, want %q", i, e.records[i], w)
		}
	}
}

// manySenders: what each sends arrives once, and in its order.
func manySenders(e *env) {
	e.Source.Start()
	const senders, pieces = 5, 20
	var all sync.WaitGroup
	for s := range senders {
		all.Go(func() {
			for i := range pieces {
				if acked := e.Send(fmt.Sprint(s, "/", i), fmt.Sprintf("<%d:%03d>", s, i)); acked != nil {
					<-acked
				}
			}
		})
	}
	all.Wait()
	e.await("all records", e.has(senders*pieces))
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.records) != senders*pieces {
		e.Errorf("%d records were handed over, want %d", len(e.records), senders*pieces)
	}
	for s := range senders {
		next := 0
		for _, r := range e.records {
			if strings.Contains(r, fmt.Sprintf("<%d:", s)) {
				if !strings.Contains(r, fmt.Sprintf("<%d:%03d>", s, next)) {
					e.Fatalf("sender %d: found %q, want number %d", s, r, next)
				}
				next++
			}
		}
	}
}

// beforeStart: what is sent early waits.
func beforeStart(e *env) {
	acked := e.Send("early", "early")
	select {
	case <-time.After(moment):
	case got := <-acked:
		e.Fatalf("before the start the sender hears %t", got)
	}
	e.mu.Lock()
	n := len(e.records)
	e.mu.Unlock()
	if n != 0 {
		e.Fatal("a record was handed over before the start")
	}
	e.Source.Start()
	e.await("the early record", e.has(1))
	e.hears("the early record", acked, true)
}

// waits: while the first piece of a sender finds no room, nothing of it is lost and
// nothing acknowledged.
func waits(e *env) {
	e.set(func() { e.blocked = true })
	e.Source.Start()
	first := e.Send("1", "first")
	e.await("the first piece waits", func() bool { return e.waiting == 1 })
	second := e.Send("2", "second")
	e.quiet("while there is no room", first)
	e.set(func() { e.blocked = false })
	e.await("both records", e.has(2))
	e.hears("the first", first, true)
	e.hears("the second", second, true)
}

// answers: pieces are acknowledged when they are kept, whatever the order.
func answers(e *env) {
	e.set(func() { e.keep = true })
	e.Source.Start()
	var acks []<-chan bool
	for i := range 5 {
		acks = append(acks, e.Send(fmt.Sprint(i), fmt.Sprint("record ", i)))
		e.await("a record", e.has(i+1))
	}
	if acks[0] == nil {
		e.Skip("the source has no acks")
	}
	e.quiet("before anything is kept", acks[0])
	e.set(func() { e.keep = false })
	e.answer(true)
	for _, a := range acks {
		e.hears("a piece", a, true)
	}
}

// refused: a piece that was not kept gets no ack, and is taken when it comes again.
func refused(e *env) {
	e.set(func() { e.refuse = true })
	e.Source.Start()
	acked := e.Send("x", "record")
	if acked == nil {
		e.Skip("the source has no acks")
	}
	e.hears("a piece that is refused", acked, false)
	e.set(func() { e.refuse = false })
	e.hears("the piece again", e.Send("x", "record"), true)
	e.await("both", e.has(2))
}

// again: a piece that is sent again while it is under way is answered to whoever
// asked last, and one that was acknowledged is acknowledged at once.
func again(e *env) {
	e.set(func() { e.keep = true })
	e.Source.Start()
	first := e.Send("x", "record")
	if first == nil {
		e.Skip("the source has no acks")
	}
	e.await("the record", e.has(1))
	second := e.Send("x", "record")
	e.hears("who has given up", first, false)
	e.answer(true)
	e.hears("who asked last", second, true)
	e.hears("who asks later", e.Send("x", "record"), true)
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.records) != 1 {
		e.Errorf("it was handed over %d times", len(e.records))
	}
}

// bad: what is no record is handed over apart, and what comes after it is taken.
func bad(e *env) {
	if e.SendBad == nil {
		e.Skip("everything is a record")
	}
	e.Source.Start()
	e.hears("what is no record", e.SendBad(), true)
	e.await("what is no record", func() bool { return e.rejected > 0 })
	e.hears("what comes after it", e.Send("after", "after"), true)
	e.await("what comes after it", e.has(1))
}

// stops: after Stop and Wait nothing more is handed over, and what was is still
// answered, before Close returns.
func stops(e *env) {
	e.set(func() { e.keep = true })
	e.Source.Start()
	acked := e.Send("x", "record")
	e.await("the record", e.has(1))
	e.Source.Stop()
	e.Source.Wait()
	late := make(chan (<-chan bool), 1)
	go func() { late <- e.Send("late", "late") }()
	closed := make(chan error, 1)
	go func() { closed <- e.Source.Close() }()
	if acked != nil {
		select {
		case err := <-closed:
			e.Fatalf("it was closed while an answer was due: %v", err)
		case <-time.After(moment):
		}
	}
	e.answer(true)
	e.hears("what was taken", acked, true)
	select {
	case err := <-closed:
		if err != nil {
			e.Errorf("close: %v", err)
		}
	case <-time.After(patience):
		e.Fatal("close does not end")
	}
	e.closed = true
	e.hears("what came too late", <-late, false)
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.records) != 1 {
		e.Errorf("after the end there are %q", e.records)
	}
}

// unstarted: what a reload opens and does not use is closed.
func unstarted(*env) {}

// ends: a source whose input ends says so.
func ends(e *env) {
	if e.End == nil {
		if e.Source.Done() != nil {
			e.Error("an input without an end has a Done")
		}
		return
	}
	e.Source.Start()
	e.Send("x", "record")
	e.End()
	select {
	case <-e.Source.Done():
	case <-time.After(patience):
		e.Fatal("the end of the input is not seen")
	}
	e.await("the last record", e.has(1))
}
