package real

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/spillway/spillway/internal/sandbox/elasticsearch"
	"github.com/spillway/spillway/test/real/parts"
)

// startSandbox runs a node that checks what it gets, until the test ends.
func startSandbox(t *testing.T, o elasticsearch.Options) (node *elasticsearch.Server, url string) {
	t.Helper()
	node, err := elasticsearch.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- node.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return node, "http://" + ln.Addr().String()
}

// awaitDocuments waits until a node has so many documents.
func awaitDocuments(t *testing.T, p *runProcess, node *elasticsearch.Server, want uint64) {
	t.Helper()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for over := time.After(60 * time.Second); ; {
		r := node.Report()
		if r.Totals.Documents >= want {
			return
		}
		select {
		case <-again.C:
		case <-p.ended:
			t.Fatalf("spillway run ended: %v", p.err)
		case <-over:
			t.Fatalf("the node has %d documents, expected %d: %+v", r.Totals.Documents, want, r.Bulk)
		}
	}
}

// The file that comes with kafka-fluentd-consumer, converted, reads a real broker: every value that is an object is in
// the index once, although the node answers badly; what is none is a dead letter, and goes to the tag failed as well;
// and what was delivered is not read again.
func TestConvertedConsumer(t *testing.T) {
	parts.Need(t, parts.Kafka)
	broker := parts.StartKafka(t, parts.KafkaOptions{})
	const records, poison = 20_000, 2
	fill(t, broker, records)
	node, url := startSandbox(t, elasticsearch.Options{Faults: []string{"item-429,ok=5,every=3,times=5", "503,nth=2,times=2", "items-missing,nth=4,times=1"}})

	program := buildSpillway(t).Spillway
	dir := t.TempDir()
	config := filepath.Join(dir, "spillway.yaml")
	convert := exec.Command(program, "convert", "kafka-fluentd-consumer", "../../internal/convert/testdata/shipped.properties",
		"--to", "elasticsearch", "--brokers", broker.Addr, "--hosts", url, "--index", "logs")
	convert.Stderr = os.Stderr
	text, err := convert.Output()
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, config, strings.Replace(string(text), "#compat:", "compat:", 1))
	state := filepath.Join(dir, "state")

	p := startRun(t, program, config, state)
	awaitDocuments(t, p, node, records+poison)
	b := p.stop()
	if b.Unaccounted != 0 || b.Pending != 0 || b.Delivered != records+poison || b.DeadLettered != poison || b.Dropped != 1 {
		t.Errorf("%+v, expected %d delivered, %d dead letters and their copies, and the tombstone dropped", b, records, poison)
	}
	r := node.Report()
	if r.Totals.Documents != records+poison || r.Totals.Updated != 0 {
		t.Errorf("%+v, expected %d documents, each written once", r.Totals, records+poison)
	}
	p = startRun(t, program, config, state)
	if err := broker.Client(t).ProduceSync(t.Context(), &kgo.Record{Topic: "test", Value: []byte(`{"n":-1}`)}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	awaitDocuments(t, p, node, records+poison+1)
	if b := p.stop(); b.Received != 1 || b.Delivered != 1 || b.Unaccounted != 0 {
		t.Errorf("%+v after a restart, expected the one new record", b)
	}
}

// fill makes the topic test, of so many objects, and among them an array, a text and a tombstone.
func fill(t *testing.T, broker *parts.KafkaBroker, records int) {
	t.Helper()
	broker.CreateTopic(t, "test", 3, nil)
	all := []*kgo.Record{
		{Topic: "test", Value: []byte("not JSON")}, {Topic: "test", Value: []byte(`[{"n":0}]`)}, {Topic: "test", Key: []byte("k"), Value: nil},
	}
	for i := range records {
		all = append(all, &kgo.Record{Topic: "test", Value: fmt.Appendf(nil, `{"n":%d,"text":"%s"}`, i, strings.Repeat("x", i%200))})
	}
	if err := broker.Client(t).ProduceSync(t.Context(), all...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}
