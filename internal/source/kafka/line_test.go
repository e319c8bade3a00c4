package kafka

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// inOrder checks that of each partition every record was handed over once, in its order.
func (k *sink) inOrder(t *testing.T, each int, partitions ...string) {
	t.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	next := make(map[string]int)
	for _, m := range k.admitted {
		i := strings.LastIndexByte(m.at, '/')
		if at := m.at[:i]; m.at[i+1:] == fmt.Sprint(next[at]) {
			next[at]++
		} else {
			t.Fatalf("%s is handed over, expected %d", m.at, next[at])
		}
	}
	for _, at := range partitions {
		if next[at] != each {
			t.Errorf("%d of %d records of %s were handed over", next[at], each, at)
		}
	}
}

// TestFullRoute: a route without room stops no other one, however much there is for it,
// and holds no memory for ever; when it has room again, everything of it is handed over once
// and in order.
func TestFullRoute(t *testing.T) {
	const each, full = 150, 5
	topics := []string{"open"}
	k := &sink{t: t, gate: make(map[string]chan struct{})}
	for i := range full {
		topic := fmt.Sprint("full", i)
		topics = append(topics, topic)
		k.gate[topic] = make(chan struct{})
	}
	c := newCluster(t, kfake.SeedTopics(1, topics...))
	long := strings.Repeat("x", 40_000)
	for i := range each {
		for _, topic := range topics {
			c.put(topic, 0, fmt.Sprint(i, long))
		}
	}
	cfg := c.config(k, topics...)
	cfg.Memory = 16 << 20
	cfg.Convert.Format = FormatText
	start(t, cfg)
	await(t, "everything of the route that has room", k.has(each))
	await(t, "its commit", func() bool { return c.committed("group", "open", 0) == each })
	for i := range full {
		close(k.gate[fmt.Sprint("full", i)])
	}
	await(t, "the rest", k.has(each*len(topics)))
	var partitions []string
	for _, topic := range topics {
		partitions = append(partitions, topic+"/0")
		await(t, "the commits", func() bool { return c.committed("group", topic, 0) == each })
	}
	k.inOrder(t, each, partitions...)
}

// TestGivenUp: what waits for a route without room is given up where memory is wanted, and
// fetched again when the route has room; the others go on.
func TestGivenUp(t *testing.T) {
	const partitions, each = 4, 60
	full := make(chan struct{})
	k := &sink{t: t, gate: map[string]chan struct{}{"full": full}}
	c := newCluster(t, kfake.NumBrokers(2), kfake.SeedTopics(partitions, "full", "open"))
	long := strings.Repeat("x", 10_000)
	write := func(topic string) (all []string) {
		for p := range int32(partitions) {
			for i := range each {
				c.put(topic, p, fmt.Sprint(i, long))
			}
			all = append(all, fmt.Sprintf("%s/%d", topic, p))
		}
		return all
	}
	all := write("full")
	cfg := c.config(k, "full", "open")
	cfg.Memory, cfg.Convert.Format = 1, FormatText
	s := start(t, cfg)
	open := sync.OnceFunc(func() { close(full) })
	t.Cleanup(open)
	await(t, "a line that is given up", func() bool { s.relieve(); return s.Counts().GivenUp > 0 })
	all = append(all, write("open")...)
	await(t, "the route that has room", k.has(partitions*each))
	open()
	await(t, "the other one", k.has(2*partitions*each))
	k.inOrder(t, each, all...)
	for p := range int32(partitions) {
		await(t, "the commits", func() bool { return c.committed("group", "full", p) == each && c.committed("group", "open", p) == each })
	}
}

// TestFullRouteEnds: a source stops while routes have no room, once they give back what
// waits for them.
func TestFullRouteEnds(t *testing.T) {
	k := &sink{t: t, gate: map[string]chan struct{}{"full": make(chan struct{})}}
	c := newCluster(t, kfake.SeedTopics(1, "full", "open"))
	c.put("full", 0, values(0, 10)...)
	cfg := c.config(k, "full", "open")
	s := start(t, cfg)
	await(t, "the wait", func() bool {
		s.handing.Lock()
		defer s.handing.Unlock()
		for _, l := range s.lines {
			if !l.since.IsZero() {
				return true
			}
		}
		return false
	})
	c.put("open", 0, values(0, 10)...)
	await(t, "the others", k.has(10))
	s.Stop()
	close(k.gate["full"])
	s.Wait()
	if admitted, _, _ := k.counts(); admitted != 20 {
		t.Errorf("%d records were handed over, expected 20", admitted)
	}
}

// TestCountedOnce: what is read again, because it was lost on the way or given up, is
// counted when it is read first.
func TestCountedOnce(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(1, "t"))
	var all []*kgo.Record
	for i := range 40 {
		one := &kgo.Record{Topic: "t", Value: fmt.Appendf(nil, `{"n":%d}`, i)}
		switch i % 4 {
		case 1:
			one.Value = nil
		case 2:
			one.Value = make([]byte, 200_000)
		case 3:
			one.Value = []byte("no msgpack")
		}
		all = append(all, one)
	}
	for _, r := range all {
		c.write(r)
	}
	k := &sink{t: t}
	refusals := 0
	k.fate = func([]message) bool { refusals++; return refusals%3 != 1 }
	cfg := c.config(k, "t")
	cfg.Convert.Format, cfg.Convert.Tombstone, cfg.MaxRecord = FormatMsgpack, TombstoneDeadLetter, 100_000
	s := start(t, cfg)
	await(t, "the commit", func() bool { return c.committed("group", "t", 0) == 40 })
	n := s.Counts()
	if n.Lost == 0 {
		t.Error("nothing was read again")
	}
	if n.Tombstones != 10 || n.TooLarge != 10 || n.Invalid != 20 {
		t.Errorf("%d tombstones, %d too large, %d invalid; want 10, 10 and 20", n.Tombstones, n.TooLarge, n.Invalid)
	}
}

// TestOutOfRangeAtTheEnd: a broker that does not have what others say is there is asked
// again after a pause.
func TestOutOfRangeAtTheEnd(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(1, "t"))
	var asked atomic.Int64
	answering := make(chan struct{})
	c.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		select {
		case <-answering:
			return nil, nil, false
		default:
			asked.Add(1)
			return answerFetch(req.(*kmsg.FetchRequest), kerr.OffsetOutOfRange.Code), nil, true
		}
	})
	k := &sink{t: t}
	s := start(t, c.config(k, "t"))
	await(t, "a pause that grows", func() bool {
		p := s.partitionAt(place{"t", 0})
		if p == nil {
			return false
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.pause >= 4*minPause
	})
	if n := asked.Load(); n > 4 {
		t.Errorf("the broker was asked %d times meanwhile", n)
	}
	close(answering)
	c.put("t", 0, values(0, 10)...)
	await(t, "the records", k.has(10))
}

// TestLineFor: a route takes no line that another one may need, and the brokers of a route
// share one where there are no more.
func TestLineFor(t *testing.T) {
	s := &Source{room: 1}
	for range 3 {
		s.lines = append(s.lines, &line{Source: s})
	}
	at := func(l *line) int {
		for i := range s.lines {
			if s.lines[i] == l {
				return i
			}
		}
		return -1
	}
	var got []int
	for _, c := range []struct {
		route  string
		broker int32
	}{{"a", 1}, {"a", 2}, {"a", 3}, {"a", 1}, {"b", 1}, {"b", 2}, {"c", 1}} {
		l := s.lineFor(c.route, c.broker)
		got = append(got, at(l))
		if l != nil && !l.busy {
			l.busy, l.route, l.broker = true, c.route, c.broker
			l.waits = int64(10 - c.broker)
		}
	}
	// The third broker of a shares with the second, which has less waiting; nothing is left for c.
	if want := []int{0, 1, 1, 0, 2, 2, -1}; !slices.Equal(got, want) {
		t.Errorf("the lines are %v, want %v", got, want)
	}
}
