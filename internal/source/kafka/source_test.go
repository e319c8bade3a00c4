package kafka

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/spillway/spillway/internal/source/sourcetest"
)

// TestConformance: a record is sent by writing it, and its ack is a commit, of which no
// sender hears.
func TestConformance(t *testing.T) {
	sourcetest.Run(t, func(t *testing.T, r *sourcetest.Router) sourcetest.Subject {
		c := newCluster(t, kfake.SeedTopics(1, "t"))
		cfg := c.config(r, "t")
		cfg.Convert.Format, cfg.Convert.Tombstone = FormatText, TombstoneDeadLetter
		s, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		return sourcetest.Subject{
			Source: s,
			Send: func(_ string, records ...string) <-chan bool {
				for _, text := range records {
					c.Produce(context.Background(), &kgo.Record{Topic: "t", Value: []byte(text)}, nil)
				}
				return nil
			},
			SendBad: func() <-chan bool {
				c.Produce(context.Background(), &kgo.Record{Topic: "t"}, nil)
				return nil
			},
		}
	})
}

// TestCommits: everything is read once, what is committed is everything, and the next
// member goes on behind it.
func TestCommits(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(3, "t"))
	for p := range int32(3) {
		c.put("t", p, values(0, 500)...)
	}
	k := &sink{t: t}
	s := start(t, c.config(k, "t"))
	await(t, "all records", k.has(1500))
	await(t, "the commits", func() bool {
		return c.committed("group", "t", 0) == 500 && c.committed("group", "t", 1) == 500 && c.committed("group", "t", 2) == 500
	})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	c.put("t", 1, values(500, 510)...)
	after := &sink{t: t}
	next := start(t, c.config(after, "t"))
	await(t, "the new records", after.has(10))
	if err := next.Close(); err != nil {
		t.Fatal(err)
	}
	for at, n := range k.each() {
		if n != 1 || after.each()[at] != 0 {
			t.Errorf("%s was taken %d times, and %d times later", at, n, after.each()[at])
		}
	}
	if c.committed("group", "t", 1) != 510 || len(after.taken) != 10 {
		t.Errorf("committed %d, %d records", c.committed("group", "t", 1), len(after.taken))
	}
	if counts := next.Counts(); counts.Records != 10 || counts.Trouble != "" {
		t.Errorf("%+v", counts)
	}
}

// TestPrefix: nothing is committed past what is not settled, in whatever order it is
// settled.
func TestPrefix(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(1, "t"))
	long := strings.Repeat("x", 50_000)
	for i := range 30 {
		c.put("t", 0, fmt.Sprint(i, long))
	}
	k := &sink{t: t, hold: true}
	start(t, c.config(k, "t"))
	await(t, "all records", func() bool { n, _, _ := k.counts(); return n == 30 })
	await(t, "the first position", func() bool { return c.committed("group", "t", 0) == 0 })
	k.mu.Lock()
	chunks := k.held
	k.held = nil
	k.mu.Unlock()
	if len(chunks) < 3 {
		t.Fatalf("%d chunks", len(chunks))
	}
	for i := len(chunks) - 1; i > 0; i-- {
		chunks[i].done(true)
	}
	if at := c.committed("group", "t", 0); at != 0 {
		t.Errorf("committed %d before the first was settled", at)
	}
	chunks[0].done(true)
	await(t, "the end", func() bool { return c.committed("group", "t", 0) == 30 })
}

// TestLost: a chunk that is lost on the way is read again, it alone, and nothing is
// committed past it meanwhile.
func TestLost(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(1, "t"))
	long := strings.Repeat("x", 50_000)
	for i := range 40 {
		c.put("t", 0, fmt.Sprint(i, " ", long))
	}
	k := &sink{t: t}
	refusals := 0
	k.fate = func(all []message) bool {
		for _, m := range all {
			if strings.HasPrefix(m.value, "12 ") || strings.HasPrefix(m.value, "27 ") {
				refusals++
				if at := c.committed("group", "t", 0); at > 12 && refusals < 5 {
					t.Errorf("committed %d past what is lost", at)
				}
				return refusals > 6
			}
		}
		return true
	}
	s := start(t, c.config(k, "t"))
	await(t, "all records", k.has(40))
	await(t, "the end", func() bool { return c.committed("group", "t", 0) == 40 })
	for at, n := range k.each() {
		if n != 1 {
			t.Errorf("%s was taken %d times", at, n)
		}
	}
	if counts := s.Counts(); counts.Lost < 3 {
		t.Errorf("%+v", counts)
	}
}

// TestStart: a partition of which nothing is committed begins where it is asked to, and
// that is committed at once.
func TestStart(t *testing.T) {
	for _, from := range []From{FromEarliest, FromLatest} {
		c := newCluster(t, kfake.SeedTopics(1, "t"))
		c.put("t", 0, values(0, 10)...)
		k := &sink{t: t}
		cfg := c.config(k, "t")
		cfg.Start.From = from
		first := int64(0)
		if from == FromLatest {
			first = 10
		}
		s := start(t, cfg)
		await(t, "the first position", func() bool { return c.committed("group", "t", 0) >= first })
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		c.put("t", 0, values(10, 15)...)
		start(t, cfg)
		await(t, "the records", k.has(15-int(first)))
		if k.taken[0].at != fmt.Sprintf("t/0/%d", first) || k.taken[0].tag != "t.0" {
			t.Errorf("the first is %+v", k.taken[0])
		}
	}
}

// TestRetention: what was removed before it was read is counted, and the rest is read.
func TestRetention(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(1, "t"))
	c.put("t", 0, values(0, 10)...)
	k := &sink{t: t}
	s := start(t, c.config(k, "t"))
	await(t, "the first", k.has(10))
	await(t, "the commit", func() bool { return c.committed("group", "t", 0) == 10 })
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	c.put("t", 0, values(10, 50)...)
	remove := kadm.Offsets{}
	remove.Add(kadm.Offset{Topic: "t", Partition: 0, At: 30})
	if _, err := kadm.NewClient(c.Client).DeleteRecords(context.Background(), remove); err != nil {
		t.Fatal(err)
	}
	s = start(t, c.config(k, "t"))
	await(t, "the rest", k.has(30))
	if got := s.Counts().Missed; got != 20 {
		t.Errorf("%d are missed, want 20", got)
	}
	k.mu.Lock()
	missed := strings.Join(k.missed, ", ")
	k.mu.Unlock()
	if missed != "t.0 20" {
		t.Errorf("the route was told that %q are missed, want 20 of t.0", missed)
	}
	await(t, "the commit", func() bool { return c.committed("group", "t", 0) == 50 })
}

// TestRecreated: a topic that is deleted and created anew is read from its beginning,
// as another one.
func TestRecreated(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(1, "t"))
	c.put("t", 0, values(0, 10)...)
	k := &sink{t: t}
	start(t, c.config(k, "t"))
	await(t, "the first", k.has(10))
	admin := kadm.NewClient(c.Client)
	if _, err := admin.DeleteTopics(context.Background(), "t"); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.CreateTopic(context.Background(), 1, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	c.PurgeTopicsFromClient("t")
	c.put("t", 0, values(100, 104)...)
	await(t, "the others", k.has(14))
	await(t, "the commit", func() bool { return c.committed("group", "t", 0) == 4 })
}
