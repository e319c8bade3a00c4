package kafka

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestShared: two members share the partitions, one leaves, and everything is taken.
func TestShared(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(4, "t"))
	a, b := &sink{t: t}, &sink{t: t}
	first := start(t, c.config(a, "t"))
	await(t, "the first member", func() bool { return len(first.Counts().Partitions) == 4 })
	second := start(t, c.config(b, "t"))
	await(t, "both members", func() bool { return len(first.Counts().Partitions) == 2 && len(second.Counts().Partitions) == 2 })
	for p := range int32(4) {
		c.put("t", p, values(0, 100)...)
	}
	total := func() int { _, x, _ := a.counts(); _, y, _ := b.counts(); return x + y }
	await(t, "all records", func() bool { return total() == 400 })
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	await(t, "the other's partitions", func() bool { return len(second.Counts().Partitions) == 4 })
	for p := range int32(4) {
		c.put("t", p, values(100, 150)...)
	}
	await(t, "the rest", func() bool { return total() == 600 })
	await(t, "the commits", func() bool {
		return c.committed("group", "t", 0) == 150 && c.committed("group", "t", 1) == 150 && c.committed("group", "t", 2) == 150 && c.committed("group", "t", 3) == 150
	})
}

// TestGivenAway: what is under way when a partition goes is waited for, and what does
// not settle in time is read again by the other, and counts no more here.
func TestGivenAway(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(1, "t"))
	c.put("t", 0, values(0, 10)...)
	a, b := &sink{t: t, hold: true}, &sink{t: t}
	cfg := c.config(a, "t")
	cfg.RebalanceWait = 100 * time.Millisecond
	first := start(t, cfg)
	await(t, "the records", func() bool { n, _, _ := a.counts(); return n == 10 })
	// One member leaves, by closing: the partition goes while nothing is told.
	left := make(chan error, 1)
	p := first.partitionAt(place{"t", 0})
	first.revoked(context.Background(), first.client, map[string][]int32{"t": {0}})
	if len(first.Counts().Partitions) != 0 {
		t.Error("the partition is still there")
	}
	a.release(true)
	if got := first.Counts().Late; got != 1 {
		t.Errorf("%d chunks were told of too late, want 1", got)
	}
	p.mu.Lock()
	done := p.done
	p.mu.Unlock()
	if at := c.committed("group", "t", 0); at != 0 || done != 0 {
		t.Errorf("committed %d, settled %d", at, done)
	}
	go func() { left <- first.Close() }()
	if err := <-left; err != nil {
		t.Fatal(err)
	}
	start(t, c.config(b, "t"))
	await(t, "the records again", b.has(10))
	await(t, "the commit", func() bool { return c.committed("group", "t", 0) == 10 })
}

func (s *Source) partitionAt(at place) *partition {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.partitions[at]
}

// registry notes for all members of a group what was delivered, and holds the group's
// commits to it.
type registry struct {
	mu    sync.Mutex
	taken map[string]map[int32]map[int64]int
}

func (l *registry) take(all []message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range all {
		var p int32
		var o int64
		if _, err := fmt.Sscanf(m.at, "t/%d/%d", &p, &o); err != nil {
			panic(err)
		}
		if l.taken["t"][p] == nil {
			l.taken["t"][p] = make(map[int64]int)
		}
		l.taken["t"][p][o]++
	}
}

func (l *registry) total() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.taken["t"] {
		n += len(p)
	}
	return n
}

// TestStorm: members come and go under load, some of them without a word, and no offset
// is committed before every record before it was delivered.
func TestStorm(t *testing.T) {
	const partitions, changes = 6, 50
	c := newCluster(t, kfake.SeedTopics(partitions, "t"), kfake.GroupMinSessionTimeout(100*time.Millisecond))
	book := &registry{taken: map[string]map[int32]map[int64]int{"t": {}}}
	ctx, stop := context.WithCancel(context.Background())
	var beside sync.WaitGroup
	var wrote [partitions]atomic.Int64
	beside.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			var all []*kgo.Record
			for j := range 20 {
				all = append(all, &kgo.Record{Topic: "t", Partition: int32((i + j) % partitions), Value: fmt.Appendf(nil, `{"n":%d}`, i)})
			}
			if err := c.ProduceSync(context.Background(), all...).FirstErr(); err != nil {
				t.Error(err)
				return
			}
			for _, r := range all {
				wrote[r.Partition].Add(1)
			}
		}
	})
	check := func() {
		for p := range int32(partitions) {
			at := c.committed("group", "t", p)
			book.mu.Lock()
			for o := range at {
				if book.taken["t"][p][o] == 0 {
					t.Errorf("partition %d: %d is committed, and offset %d was never delivered", p, at, o)
					break
				}
			}
			book.mu.Unlock()
		}
	}
	member := func() *Source {
		k := &sink{t: t}
		k.fate = func(all []message) bool {
			// The destination takes its time, and loses something now and then.
			if rand.IntN(20) == 0 {
				return false
			}
			book.take(all)
			return true
		}
		cfg := c.config(k, "t")
		cfg.RebalanceWait = time.Duration(rand.IntN(50)) * time.Millisecond
		cfg.SessionTimeout = time.Second
		s, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		s.Start()
		return s
	}
	members := []*Source{member()}
	for range changes {
		if len(members) == 0 || len(members) < 5 && rand.IntN(2) == 0 {
			members = append(members, member())
		} else {
			i := rand.IntN(len(members))
			gone := members[i]
			members = slices.Delete(members, i, i+1)
			if rand.IntN(3) == 0 {
				// As if it were killed: nobody is told, and nothing is committed.
				gone.abandon()
			}
			if err := gone.Close(); err != nil {
				t.Error(err)
			}
		}
		check()
		if len(members) > 0 {
			// Some of what is to come is delivered before the next change.
			before := book.total()
			await(t, "something is delivered", func() bool { return book.total() > before })
		}
	}
	stop()
	beside.Wait()
	if len(members) == 0 {
		members = append(members, member())
	}
	defer func() {
		if t.Failed() {
			for _, m := range members {
				t.Log(m.dump())
			}
			for p := range int32(partitions) {
				t.Log(p, c.committed("group", "t", p), wrote[p].Load())
			}
		}
	}()
	await(t, "everything is committed", func() bool {
		for p := range int32(partitions) {
			if c.committed("group", "t", p) != wrote[p].Load() {
				return false
			}
		}
		return true
	})
	check()
	total, twice := 0, 0
	for p := range int32(partitions) {
		for _, n := range book.taken["t"][p] {
			total++
			if n > 1 {
				twice++
			}
		}
	}
	t.Logf("%d records, %d of them delivered more than once", total, twice)
	for _, m := range members {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
}

// abandon ends a member as a kill does: it leaves its partitions without a commit, and
// the group finds out by itself.
func (s *Source) abandon() {
	s.Stop()
	<-s.ready
	s.mu.Lock()
	for _, p := range s.partitions {
		p.fence()
	}
	s.mu.Unlock()
	s.client.CloseAllowingRebalance()
}
