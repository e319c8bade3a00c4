package real

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/spillway/spillway/internal/sandbox/elasticsearch"
	"github.com/spillway/spillway/test/launcher"
	"github.com/spillway/spillway/test/launcher/harness"
	"github.com/spillway/spillway/test/real/parts"
)

// hang is a process that reads three topics of large batches into three nodes, of which one works, one takes requests
// and never answers, and one is not there.
type hang struct {
	*testing.T
	broker  *parts.KafkaBroker
	process *runProcess
	state   string
	admin   *kadm.Client
	sent    map[string]uint64 // records by topic
	peak    int64             // of the resident memory, in bytes
}

const hangPartitions = 3

// hangTopics are the routes, each with a node of its own.
func hangTopics() []string { return []string{"works", "hangs", "refuses"} }

// A destination that hangs and one that refuses stop no other, cost no more memory than there is, and do not cost the
// member its partitions; nothing of theirs is committed, and all of it arrives once they are back.
func TestKafkaIntoHangingNodes(t *testing.T) {
	parts.Need(t, parts.Kafka)
	waves, away := 2, 8*time.Second
	if harness.Long() {
		waves, away = 6, 90*time.Second
	}
	h := &hang{
		T: t, broker: parts.StartKafka(t, parts.KafkaOptions{Settings: map[string]string{"message.max.bytes": "64000000"}}), sent: make(map[string]uint64),
	}
	h.admin = kadm.NewClient(h.broker.Client(t))
	for _, topic := range hangTopics() {
		h.broker.CreateTopic(t, topic, hangPartitions, nil)
		for range 2 {
			h.produce(topic)
		}
	}
	works, worksURL := startSandbox(t, elasticsearch.Options{KeepBytes: -1})
	hangs, hangsURL := startSandbox(t, elasticsearch.Options{KeepBytes: -1, Faults: []string{"hang"}})
	refuses := freeAddress(t)
	h.start(worksURL, hangsURL, "http://"+refuses)

	h.delivered(works, "works")
	before := h.member()
	for range waves {
		h.wait(away / time.Duration(waves))
		h.produce("works")
		h.delivered(works, "works")
	}
	if now := h.member(); now != before {
		t.Errorf("the member is %s, it was %s: it was thrown out of its group", now, before)
	}
	h.committed("works", h.sent["works"])
	for _, topic := range []string{"hangs", "refuses"} {
		h.committed(topic, 0)
	}
	if r := hangs.Report(); r.Totals.Documents != 0 || r.Faults["hang"] == 0 {
		t.Errorf("%d documents in a node that hangs, %v", r.Totals.Documents, r.Faults)
	}

	if err := hangs.SetFaults(); err != nil {
		t.Fatal(err)
	}
	back := h.serve(refuses)
	h.delivered(hangs, "hangs")
	h.delivered(back, "refuses")
	total := uint64(0)
	for _, topic := range hangTopics() {
		h.committed(topic, h.sent[topic])
		total += h.sent[topic]
	}
	if now := h.member(); now != before {
		t.Errorf("the member is %s, it was %s: it was thrown out of its group", now, before)
	}
	h.sample()
	if b := h.process.stop(); b.Unaccounted != 0 || b.Pending != 0 || b.Dropped != 0 || b.DeadLettered != 0 || b.Delivered != int64(total) || b.Received != b.Delivered {
		t.Errorf("%+v, expected %d delivered", b, total)
	}
	t.Logf("%d records, at most %.1f MiB", total, float64(h.peak)/(1<<20))
	if h.peak > chainMemory+chainBeside {
		t.Errorf("it used %.1f MiB, expected at most %d", float64(h.peak)/(1<<20), (chainMemory+chainBeside)>>20)
	}
}

func (h *hang) start(works, hangs, refuses string) {
	h.Helper()
	dir := h.TempDir()
	h.state = filepath.Join(dir, "state")
	config := filepath.Join(dir, "spillway.yaml")
	var sinks, routes strings.Builder
	for i, url := range []string{works, hangs, refuses} {
		topic := hangTopics()[i]
		fmt.Fprintf(&sinks, "  %s: {type: elasticsearch, hosts: [\"%s\"], index: %s}\n", topic, url, topic)
		fmt.Fprintf(&routes, "  - {match: %s, to: %s, max-buffer-size: 21m}\n", topic, topic)
	}
	writeFile(h.T, config, fmt.Sprintf("memory: %d\nsources:\n  orders: {type: kafka, brokers: [\"%s\"], topics: [%s], group: hang, start: earliest, session-timeout: 3s, max-record-size: 3m}\nsinks:\n%sroutes:\n%s",
		chainMemory, h.broker.Addr, strings.Join(hangTopics(), ", "), sinks.String(), routes.String()))
	h.process = startRun(h.T, buildSpillway(h.T).Spillway, config, h.state)
}

// produce sends to each partition of a topic a batch of many small records, and one of a few large ones, compressed in
// each way.
func (h *hang) produce(topic string) {
	h.Helper()
	n := h.sent[topic]
	for name, compress := range codecs() {
		if !harness.Long() && (name == "gzip" || name == "snappy") {
			continue
		}
		client := h.broker.Client(h.T, kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(time.Minute),
			kgo.ProducerBatchMaxBytes(16<<20), kgo.ProducerBatchCompression(compress), kgo.MaxBufferedRecords(1<<20))
		for p := range int32(hangPartitions) {
			for range 2000 {
				h.put(client, p, n, 400)
				n++
			}
			for range 2 {
				h.put(client, p, n, 2_000_000)
				n++
			}
		}
		if err := client.Flush(h.Context()); err != nil {
			h.Fatal(err)
		}
		client.Close()
	}
	h.sent[topic] = n
}

func (h *hang) put(client *kgo.Client, partition int32, n uint64, size int) {
	client.Produce(h.Context(), &kgo.Record{Partition: partition, Value: largeRecord(int(n), size)}, func(_ *kgo.Record, err error) {
		if err != nil {
			h.Error(err)
		}
	})
}

// serve has a node come back at an address.
func (h *hang) serve(address string) *elasticsearch.Server {
	h.Helper()
	node, err := elasticsearch.New(elasticsearch.Options{KeepBytes: -1})
	if err != nil {
		h.Fatal(err)
	}
	ln, err := net.Listen("tcp", address)
	if err != nil {
		h.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- node.Serve(ctx, ln) }()
	h.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			h.Error(err)
		}
	})
	return node
}

// delivered waits until a node has all of a topic, each record once.
func (h *hang) delivered(node *elasticsearch.Server, topic string) {
	h.Helper()
	awaitDocuments(h.T, h.process, node, h.sent[topic])
	if r := node.Report(); r.Totals.Documents != h.sent[topic] || r.Totals.Updated != 0 {
		h.Errorf("the node of %s has %+v, expected %d documents", topic, r.Totals, h.sent[topic])
	}
	h.sample()
}

// committed waits until the group has committed so many records of a topic, and no more.
func (h *hang) committed(topic string, want uint64) {
	h.Helper()
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for over := time.After(stuckAfter); ; {
		var sum uint64
		offsets, err := h.admin.FetchOffsets(h.Context(), "hang")
		for p := range int32(hangPartitions) {
			if at, ok := offsets.Lookup(topic, p); ok && at.At > 0 {
				sum += uint64(at.At)
			}
		}
		if err == nil && sum >= want {
			if sum > want {
				h.Errorf("the group has committed %d records of %s, of which %d are delivered", sum, topic, want)
			}
			return
		}
		select {
		case <-again.C:
		case <-over:
			h.Fatalf("the group has committed %d records of %s (%v), expected %d", sum, topic, err, want)
		}
	}
}

// member names the one member of the group, and how often it was assigned partitions.
func (h *hang) member() string {
	h.Helper()
	groups, err := h.admin.DescribeGroups(h.Context(), "hang")
	group := groups["hang"]
	if err != nil || group.State != "Stable" || len(group.Members) != 1 {
		h.Fatalf("the group is %+v (%v), expected one member", group, err)
	}
	out, err := exec.Command(h.process.cmd.Path, "status", "--json", "--state-dir", h.state).Output()
	var status struct {
		Processes []struct {
			Sources []struct {
				Detail struct {
					Assignments int64
					Partitions  []struct{}
				}
			}
		}
	}
	if err := json.Unmarshal(out, &status); err != nil || len(status.Processes) != 1 || len(status.Processes[0].Sources) != 1 {
		h.Fatalf("status: %v: %s", err, out)
	}
	if err != nil {
		h.Fatal(err)
	}
	return fmt.Sprintf("%s %+v", group.Members[0].MemberID, status.Processes[0].Sources[0].Detail)
}

// wait lets time pass, in which nothing is to happen.
func (h *hang) wait(while time.Duration) {
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for over := time.After(while); ; h.sample() {
		select {
		case <-again.C:
		case <-over:
			return
		}
	}
}

func (h *hang) sample() {
	h.Helper()
	memory, err := launcher.ReadMemory(h.process.cmd.Process.Pid)
	if err != nil {
		h.Fatal(err)
	}
	h.peak = max(h.peak, memory.Peak)
}
