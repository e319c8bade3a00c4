package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/spillway/spillway/internal/record"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must come.
const patience = 2 * time.Minute

// cluster is a fake cluster, with a client to fill and to ask it.
type cluster struct {
	*kfake.Cluster
	*kgo.Client
	t *testing.T
}

func newCluster(t *testing.T, opts ...kfake.Opt) *cluster {
	t.Helper()
	fake, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(fake.ListenAddrs()...), kgo.MetadataMinAge(50*time.Millisecond),
		kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		client.Close()
		fake.Close()
	})
	return &cluster{fake, client, t}
}

// put writes values to a partition, with their number as key.
func (c *cluster) put(topic string, partition int32, values ...string) {
	c.t.Helper()
	var all []*kgo.Record
	for _, v := range values {
		all = append(all, &kgo.Record{Topic: topic, Partition: partition, Value: []byte(v)})
	}
	c.write(all...)
}

func (c *cluster) write(all ...*kgo.Record) {
	c.t.Helper()
	if err := c.ProduceSync(context.Background(), all...).FirstErr(); err != nil {
		c.t.Fatal(err)
	}
}

// committed is what a group has committed of a partition, -1 where that is nothing.
func (c *cluster) committed(group, topic string, partition int32) int64 {
	c.t.Helper()
	found, err := kadm.NewClient(c.Client).FetchOffsets(context.Background(), group)
	if errors.Is(err, kerr.GroupIDNotFound) {
		return -1
	}
	if err != nil {
		c.t.Fatal(err)
	}
	if o, ok := found.Lookup(topic, partition); ok {
		return o.At
	}
	return -1
}

// config is a source of topics of the cluster.
func (c *cluster) config(r Router, topics ...string) Config {
	return Config{
		Name: "test", Client: []kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...)}, Group: "group", Topics: topics,
		SessionTimeout: 10 * time.Second, RebalanceWait: 5 * time.Second, CommitEvery: 20 * time.Millisecond, ReadCommitted: true,
		Tag:       func(topic string, partition int32) string { return fmt.Sprintf("%s.%d", topic, partition) },
		MaxRecord: 1 << 20, MaxAhead: 1_000_000, Memory: 4 << 20, Router: r, Level: record.LevelDelivered,
	}
}

// start starts a source, and ends it with the test.
func start(t *testing.T, cfg Config) *Source {
	t.Helper()
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		s.checkMemory(t)
	})
	return s
}

// checkMemory: a source that has ended has given everything back.
func (s *Source) checkMemory(t *testing.T) {
	t.Helper()
	m := s.memory
	if m.free != m.all || len(m.placed) != 0 {
		t.Errorf("of %d bytes %d are free, %d blocks are in answers that nobody has read", m.all, m.free, len(m.placed))
	}
	for i, l := range s.lines {
		if l.waits != 0 || l.busy || l.now != nil || l.held || len(l.queue) != 0 {
			t.Errorf("line %d has %d bytes waiting, and %d pieces; busy %t, held %t", i, l.waits, len(l.queue), l.busy, l.held)
		}
	}
}

// await waits until something holds, which must not depend on how often it is asked.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	over := time.After(patience)
	for !holds() {
		select {
		case <-tick.C:
		case <-over:
			t.Fatalf("%s: not within %s", what, patience)
		}
	}
}

// message is what a chunk had, copied.
type message struct {
	at     string // topic/partition/offset
	value  string
	tag    string
	form   record.Form
	time   int64
	key    string
	null   bool
	why    record.Refusal
	header map[string]string
}

// held is a chunk that waits to be told of.
type held struct {
	messages []message
	done     func(bool)
}

// sink takes chunks like a route does.
type sink struct {
	t  *testing.T
	mu sync.Mutex
	// hold keeps chunks until release; fate decides what others are told.
	hold bool
	// gate has chunks of a route wait until it is closed.
	gate     map[string]chan struct{}
	fate     func([]message) bool
	held     []held
	taken    []message // told true
	refused  []message // rejected
	missed   []string  // tags and numbers
	admitted []message // all, in their order
}

func (k *sink) Miss(tag string, _, n int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.missed = append(k.missed, fmt.Sprintf("%s %d", tag, n))
}

// Route tells tags apart by what stands before the first dot.
func (k *sink) Route(tag string) string {
	route, _, _ := strings.Cut(tag, ".")
	return route
}

func (k *sink) Admit(c *record.Chunk)  { k.take(c, false) }
func (k *sink) Reject(c *record.Chunk) { k.take(c, true) }

func (k *sink) take(c *record.Chunk, refused bool) {
	if gate := k.gate[k.Route(c.Tag)]; gate != nil {
		var until <-chan struct{}
		if c.Until != nil {
			until = c.Until.Done()
		}
		select {
		case <-gate:
		case <-until:
			c.Done(false)
			return
		}
	}
	var all []message
	b := record.Batch{Encoding: c.Encoding}
	for rest := c.Bodies; len(rest) > 0; {
		var body []byte
		body, _, rest = b.Next(rest)
		if !record.CheckMessage(body) {
			k.t.Errorf("a body is no message: %q", body)
			continue
		}
		var m record.Message
		record.ParseMessage(body, &m)
		one := message{
			at: fmt.Sprintf("%s/%d/%d", c.Partition.Topic, c.Partition.Number, m.Offset), value: string(m.Value), tag: c.Tag, form: m.Form,
			time: m.Time, key: string(m.Key), null: m.Null, why: c.Refusal,
		}
		m.EachHeader(func(name, value []byte) bool {
			if one.header == nil {
				one.header = make(map[string]string)
			}
			one.header[string(name)] = string(value)
			return true
		})
		all = append(all, one)
	}
	if c.Refusal.Known() != refused {
		k.t.Errorf("a chunk goes where it should not: %+v", c.Refusal)
	}
	if len(all) != c.Count {
		k.t.Errorf("a chunk of %d messages says that it has %d", len(all), c.Count)
	}
	k.mu.Lock()
	if refused {
		k.refused = append(k.refused, all...)
	} else {
		k.admitted = append(k.admitted, all...)
	}
	if k.hold {
		k.held = append(k.held, held{all, c.Done})
		k.mu.Unlock()
		return
	}
	ok := k.fate == nil || k.fate(all)
	if ok {
		k.taken = append(k.taken, all...)
	}
	k.mu.Unlock()
	c.Done(ok)
}

// counts are how many were admitted, taken and refused.
func (k *sink) counts() (admitted, taken, refused int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.admitted), len(k.taken), len(k.refused)
}

func (k *sink) has(n int) func() bool {
	return func() bool { _, taken, refused := k.counts(); return taken+refused >= n }
}

// each is how often each place was taken.
func (k *sink) each() map[string]int {
	k.mu.Lock()
	defer k.mu.Unlock()
	all := make(map[string]int)
	for _, m := range k.taken {
		all[m.at]++
	}
	return all
}

// release tells of what is held, the last first, and holds nothing more.
func (k *sink) release(ok bool) {
	k.mu.Lock()
	all := k.held
	k.held, k.hold = nil, false
	for _, h := range all {
		if ok {
			k.taken = append(k.taken, h.messages...)
		}
	}
	k.mu.Unlock()
	for i := len(all) - 1; i >= 0; i-- {
		all[i].done(ok)
	}
}

// values numbers values.
func values(from, to int) (all []string) {
	for i := from; i < to; i++ {
		all = append(all, fmt.Sprintf(`{"n":%d}`, i))
	}
	return all
}

// dump is how a source stands, for tests that fail.
func (s *Source) dump() string {
	text := fmt.Sprintf("%+v\n", s.Counts())
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.all() {
		p.mu.Lock()
		text += fmt.Sprintf("%v: fetch at %d, walked %d, %+v, leader %d, pause %s\n", p.place, p.fetchAt, p.walked, p.tracker, p.leader, p.pause)
		p.mu.Unlock()
	}
	return text
}
