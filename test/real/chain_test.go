package real

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/spillway/spillway/test/launcher"
	"github.com/spillway/spillway/test/launcher/harness"
	"github.com/spillway/spillway/test/real/parts"
)

// What a process may use of memory is its budget and what it may have beside it.
const (
	chainPartitions = 6
	chainMemory     = 64 << 20
	chainBeside     = 24 << 20
)

// chain is a real broker, a real node, and processes of spillway run between them, which share a group.
type chain struct {
	t       *testing.T
	program string
	broker  *parts.KafkaBroker
	node    *parts.SearchNode
	name    string // of the topic, the group and the index
	members []*member
	started int

	wanted   atomic.Int64  // records that the broker has acknowledged
	enough   chan struct{} // closed where the producer is to end before its number
	produced chan error    // told once, when the producer has ended
	found    int64         // documents, when they were last counted
}

// member is one process of the group.
type member struct {
	*runProcess
	name string
	peak int64 // of its resident memory, in bytes
}

// newChain begins with a topic, a group and an index of that name.
func newChain(t *testing.T, broker *parts.KafkaBroker, node *parts.SearchNode, name string) *chain {
	t.Helper()
	broker.CreateTopic(t, name, chainPartitions, nil)
	// It can be searched when the test asks for that: on a busy machine refreshing costs more than indexing.
	node.Must(t, http.MethodPut, "/"+name, `{"settings":{"refresh_interval":"-1","number_of_replicas":0}}`)
	return &chain{
		t: t, program: buildSpillway(t).Spillway, broker: broker, node: node, name: name,
		enough: make(chan struct{}), produced: make(chan error, 1),
	}
}

// produce begins to send records to the broker, each with its number, so many a second, up to a number or
// until there are enough. A broker that is away is waited for.
func (c *chain) produce(records int, perSecond float64) {
	c.t.Helper()
	client := c.broker.Client(c.t, kgo.DefaultProduceTopic(c.name), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()),
		kgo.ProducerBatchCompression(kgo.SnappyCompression()), kgo.MaxBufferedRecords(20_000), kgo.ProducerLinger(5*time.Millisecond))
	go func() { c.produced <- c.send(client, records, perSecond) }()
}

func (c *chain) send(client *kgo.Client, records int, perSecond float64) error {
	var failed atomic.Pointer[error]
sending:
	for began, i := time.Now(), 0; i < records; i++ {
		if i%100 == 0 {
			due := began.Add(time.Duration(float64(i) / perSecond * float64(time.Second)))
			select {
			case <-time.After(time.Until(due)):
			case <-c.enough:
				break sending
			case <-c.t.Context().Done():
				return c.t.Context().Err()
			}
		}
		client.Produce(c.t.Context(), &kgo.Record{Value: chainRecord(i)}, func(_ *kgo.Record, err error) {
			if err != nil {
				failed.CompareAndSwap(nil, &err)
				return
			}
			c.wanted.Add(1)
		})
	}
	if err := client.Flush(c.t.Context()); err != nil {
		return err
	}
	if err := failed.Load(); err != nil {
		return fmt.Errorf("produce: %w", *err)
	}
	return nil
}

// chainRecord is an order of 250 bytes or so.
func chainRecord(i int) []byte {
	return fmt.Appendf(nil, `{"n":%d,"customer":"c-%05d","text":"%s"}`, i, i*7919%100_000, strings.Repeat("a line of an order ", 11))
}

// join starts one more process of the group. more are further keys of the source.
func (c *chain) join(more ...string) *member {
	c.t.Helper()
	c.started++
	dir := parts.WorkDir(c.t, "chain")
	config := filepath.Join(dir, "spillway.yaml")
	keys := strings.Join(append([]string{
		"brokers: [\"" + c.broker.Addr + "\"]", "topics: [" + c.name + "]", "group: " + c.name, "start: earliest", "session-timeout: 3s",
	}, more...), ", ")
	writeFile(c.t, config, fmt.Sprintf(`memory: %d
sources:
  orders: {type: kafka, %s}
sinks:
  search: {type: elasticsearch, hosts: ["%s"], index: %s}
routes:
  - {match: "**", to: search}
`, chainMemory, keys, c.node.URL, c.name))
	m := &member{runProcess: startRun(c.t, c.program, config, filepath.Join(dir, "state")), name: fmt.Sprintf("m%d", c.started)}
	c.members = append(c.members, m)
	return m
}

// sample notes how much memory the processes have used at most.
func (c *chain) sample() {
	c.t.Helper()
	for _, m := range c.members {
		if memory, err := launcher.ReadMemory(m.cmd.Process.Pid); err == nil {
			m.peak = max(m.peak, memory.Peak)
		}
	}
}

// leave ends a process by SIGTERM, which must settle what it has: its balance says so.
func (c *chain) leave(m *member) runBalance {
	c.t.Helper()
	c.sample()
	b := m.stop()
	// What the destination has not taken in time is returned at the end, and not committed: others get it.
	if b.Unaccounted != 0 || b.Pending != 0 || b.DeadLettered != 0 || b.Received+b.Recovered != b.Delivered+b.DroppedBy.Returned {
		c.t.Errorf("process %s: %+v; expected all delivered, or left to others", m.name, b)
	}
	c.t.Logf("process %s: %+v, %.1f MiB", m.name, b, float64(m.peak)/(1<<20))
	c.forget(m)
	return b
}

// kill ends one at once.
func (c *chain) kill(m *member) {
	c.t.Helper()
	c.sample()
	if err := m.cmd.Process.Kill(); err != nil {
		c.t.Fatal(err)
	}
	<-m.ended
	c.forget(m)
}

func (c *chain) forget(gone *member) {
	c.t.Helper()
	if gone.peak > chainMemory+chainBeside {
		c.t.Errorf("process %s used %.1f MiB, expected at most %d", gone.name, float64(gone.peak)/(1<<20), (chainMemory+chainBeside)>>20)
	}
	left := c.members[:0:0]
	for _, m := range c.members {
		if m != gone {
			left = append(left, m)
		}
	}
	c.members = left
}

// away runs do while a part is stopped for a while.
func (c *chain) away(what string, stop, restart func() error, while time.Duration) {
	c.t.Helper()
	if err := stop(); err != nil {
		c.t.Fatalf("stop the %s: %v", what, err)
	}
	<-time.After(while)
	if err := restart(); err != nil {
		c.t.Fatalf("start the %s again: %v", what, err)
	}
}

// reach waits until so many documents are in the index.
func (c *chain) reach(documents int64) {
	c.t.Helper()
	last, since := int64(-1), time.Now()
	for {
		c.sample()
		asked := time.Now()
		n, err := c.node.Count(c.t.Context(), c.name)
		again := time.After(max(200*time.Millisecond, 5*time.Since(asked))) // the node has other things to do
		if err == nil {
			c.found = n
		}
		if err == nil && n >= documents {
			return
		}
		if err == nil && n != last {
			last, since = n, time.Now()
		}
		if time.Since(since) > stuckAfter {
			c.t.Fatalf("the index has %d documents (%v) and has had no more for %v; expected %d", last, err, stuckAfter, documents)
		}
		for _, m := range c.members {
			select {
			case <-m.ended:
				c.t.Fatalf("process %s ended: %v\n%s", m.name, m.err, m.log())
			default:
			}
		}
		<-again
	}
}

// stuckAfter is longer than a dead member's session, a broker's way back and a longest back-off together.
const stuckAfter = 2 * time.Minute

// finish waits until everything that was produced is in the index and the group knows that, having
// committed the end of every partition; then it ends all processes, and looks into the index: each record
// is there once.
func (c *chain) finish() {
	c.t.Helper()
	if err := <-c.produced; err != nil {
		c.t.Fatal(err)
	}
	c.reach(c.wanted.Load())
	c.commit()
	for len(c.members) > 0 {
		if b := c.leave(c.members[0]); b.Dropped != 0 {
			c.t.Errorf("%d records were dropped when all were in the index", b.Dropped)
		}
	}
	c.checkIndex()
}

// checkIndex reads the numbers and the ids of all documents.
func (c *chain) checkIndex() {
	c.t.Helper()
	records := c.wanted.Load()
	seen := make([]bool, records)
	twice, strange, documents := 0, 0, int64(0)
	var ids idSum
	err := c.node.EachNumber(c.t.Context(), c.name, "n", func(id string, n int64) {
		documents++
		ids.add(id, n)
		switch {
		case n < 0 || n >= records:
			strange++
		case seen[n]:
			twice++
		default:
			seen[n] = true
		}
	})
	if err != nil {
		c.t.Fatal(err)
	}
	missing := 0
	for n := range seen {
		if !seen[n] {
			missing++
		}
	}
	want := c.topicIDs()
	c.t.Logf("%d records, %d documents; checksum of ids %016x", records, documents, ids.sum)
	if ids != want {
		c.t.Errorf("ids of %d documents with checksum %016x; what is in the topic has %d with %016x", ids.count, ids.sum, want.count, want.sum)
	}
	if missing+twice+strange != 0 || documents != records {
		c.t.Errorf("of %d records %d are missing, %d are there again, %d are none of ours; %d documents", records, missing, twice, strange, documents)
	}
}

// commit waits until the group has committed the ends of all partitions.
func (c *chain) commit() {
	c.t.Helper()
	admin := kadm.NewClient(c.broker.Client(c.t))
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for over := time.After(stuckAfter); ; {
		behind, err := c.behind(admin)
		if err == nil && len(behind) == 0 {
			return
		}
		select {
		case <-again.C:
		case <-over:
			c.t.Fatalf("within %v the group has not come to the end of partitions %v (%v)", stuckAfter, behind, err)
		}
	}
}

// behind are the partitions whose committed offset is not their end, and both.
func (c *chain) behind(admin *kadm.Client) (behind []string, err error) {
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	ends, err := admin.ListEndOffsets(ctx, c.name)
	committed, err2 := admin.FetchOffsets(ctx, c.name)
	if err := errors.Join(err, err2, ends.Error(), committed.Error()); err != nil {
		return nil, err
	}
	ends.Each(func(end kadm.ListedOffset) {
		if at, ok := committed.Lookup(end.Topic, end.Partition); !ok || at.At != end.Offset {
			behind = append(behind, fmt.Sprintf("%d: %d of %d", end.Partition, at.At, end.Offset))
		}
	})
	return behind, nil
}

// Records go from a broker into a node, whatever happens to the processes between: each is in the index
// once.
func TestKafkaIntoSearch(t *testing.T) {
	nodes := []string{parts.OpenSearch2}
	if harness.Long() {
		nodes = append(nodes, parts.Elasticsearch8)
	}
	for _, name := range nodes {
		t.Run(name, func(t *testing.T) {
			parts.Need(t, parts.Kafka, name)
			broker, node := parts.StartKafka(t, parts.KafkaOptions{}), parts.StartSearch(t, name, parts.SearchOptions{})
			t.Run("parts away", func(t *testing.T) { testPartsAway(newChain(t, broker, node, "away")) })
			t.Run("killed", func(t *testing.T) { testKilled(newChain(t, broker, node, "killed")) })
			t.Run("rebalanced", func(t *testing.T) { testRebalanced(newChain(t, broker, node, "rebalanced")) })
		})
	}
}

// Processes come and go, at most four at a time: one joins, one leaves, one is killed, and the broker and
// the node are away for a while each.
func testPartsAway(c *chain) {
	records, away := 60_000, time.Second
	if harness.Long() {
		records, away = 2_000_000, 20*time.Second
	}
	first, second := c.join(), c.join()
	c.join()
	c.produce(records, float64(records)/20)
	step := int64(records / 6)
	c.reach(step)
	c.join()
	c.reach(2 * step)
	c.leave(first)
	c.reach(3 * step)
	c.kill(second)
	c.reach(4 * step)
	c.away("broker", c.broker.Stop, c.broker.Restart, away)
	c.reach(5 * step)
	c.away("node", c.node.Stop, c.node.Restart, away)
	c.finish()
}

// A process is killed again and again while records move, and starts again under its name in the group.
func testKilled(c *chain) {
	kills := 5
	if harness.Long() {
		kills = 200
	}
	c.produce(endless, 3000)
	keys := []string{"instance-id: one", "commit-interval: 100ms"}
	for range kills {
		m := c.join(keys...)
		c.reach(c.found + 1000)
		<-time.After(time.Duration(rand.IntN(500)) * time.Millisecond)
		c.kill(m)
	}
	close(c.enough)
	c.join(keys...)
	c.finish()
}

// endless is more records than a test waits for.
const endless = 1 << 40

// Members join and leave, one after the other and several at once, and some are killed, while records
// move. What the group has committed is in the index: those who come later begin there.
func testRebalanced(c *chain) {
	changes := 8
	if harness.Long() {
		changes = 50
	}
	c.produce(endless, 3000)
	c.join()
	for change := range changes {
		if change%4 != 3 { // else it comes into the change before
			c.reach(c.found + 500)
		}
		<-time.After(time.Duration(rand.IntN(300)) * time.Millisecond)
		switch {
		case len(c.members) < 2, len(c.members) < 5 && change%3 != 2:
			c.join()
		case change%6 == 5:
			c.kill(c.members[0])
		default:
			c.leave(c.members[0])
		}
	}
	for len(c.members) > 0 {
		c.kill(c.members[0])
	}
	close(c.enough)
	c.join()
	c.finish()
}
