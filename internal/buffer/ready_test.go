package buffer_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/record"
)

// taker takes requests as delivery does: until there is none, and then not again
// before it is woken.
type taker struct {
	*model
	small bool
}

// wake lets the taker work if it was woken; if not, there must be no work.
func (k taker) wake(t *rapid.T, after string) {
	select {
	case <-k.buf.Ready():
		for k.take(k.small) != nil {
		}
	default:
		if s := k.take(k.small); s != nil {
			t.Fatalf("after %s there was a request of %d events, and nobody was woken", after, len(s.events))
		}
	}
}

// TestNobodySleepsThroughWork: whoever waits for Ready misses nothing that it
// could take, be it anything at all or only what fills a request.
func TestNobodySleepsThroughWork(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rapid.SyncTest(t, func(t *rapid.T) {
			c := anyConfig(t)
			c.Mode, c.Limit = buffer.NonBlocking, buffer.MinLimit
			m := &machine{model: newModel(t, c, 2), now: someday}
			k := taker{m.model, rapid.Bool().Draw(t, "small")}
			t.Repeat(map[string]func(*rapid.T){
				"lines":  func(t *rapid.T) { m.Lines(t); k.wake(t, "lines") },
				"body":   func(t *rapid.T) { m.Body(t); k.wake(t, "a body") },
				"little": func(t *rapid.T) { m.lines(m.streams[0], m.now, "little"); k.wake(t, "a line") },
				"settle": func(t *rapid.T) { m.Settle(t); k.wake(t, "a settlement") },
				"tick":   m.Tick,
				"":       m.Check,
			})
			m.finish()
		})
	})
}

// TestReady: a sleeper is woken by the first record, by the one that fills a
// request, by a settlement and by the end.
func TestReady(t *testing.T) {
	limits := cloud
	limits.Events = 3
	m := newModel(t, buffer.Config{Mode: buffer.NonBlocking, Sink: limits}, 1)
	f := m.streams[0]
	for _, c := range []struct {
		name string
		does func()
	}{
		{"the first line", func() { m.lines(f, someday, "line") }},
		{"a whole request", func() { m.lines(f, someday, "line", "line") }},
		{"a settlement", func() { m.deliver(t) }},
		{"the first body", func() { m.body(f, someday, "body", record.Part{}) }},
		{"the end", m.buf.Abandon},
	} {
		select {
		case <-m.buf.Ready():
		default:
		}
		c.does()
		select {
		case <-m.buf.Ready():
		default:
			t.Errorf("%s woke nobody", c.name)
		}
	}
}
