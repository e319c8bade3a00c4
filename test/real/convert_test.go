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

	"github.com/twmb/franz-go/pkg/kadm"
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

// Files of kafka-fluentd-consumer, converted, read a real broker.
func TestConvertedConsumer(t *testing.T) {
	parts.Need(t, parts.Kafka)
	broker := parts.StartKafka(t, parts.KafkaOptions{})
	t.Run("as shipped", func(t *testing.T) { tryShippedConsumer(t, broker) })
	t.Run("with every property", func(t *testing.T) { tryWholeConsumer(t, broker) })
}

// converted is what a file of properties becomes.
func converted(t *testing.T, program, properties string, more ...string) string {
	t.Helper()
	convert := exec.Command(program, append([]string{"convert", "kafka-fluentd-consumer", properties}, more...)...)
	convert.Stderr = os.Stderr
	text, err := convert.Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Of the file that comes with it, to Elasticsearch: every value that is an object is in the index once, although the
// node answers badly; what is none is a dead letter, and goes to the tag failed as well; and what was delivered is not
// read again.
func tryShippedConsumer(t *testing.T, broker *parts.KafkaBroker) {
	const records, poison = 20_000, 2
	fill(t, broker, records)
	node, url := startSandbox(t, elasticsearch.Options{Faults: []string{"item-429,ok=5,every=3,times=5", "503,nth=2,times=2", "items-missing,nth=4,times=1"}})

	program := buildSpillway(t).Spillway
	dir := t.TempDir()
	config := filepath.Join(dir, "spillway.yaml")
	text := converted(t, program, "../../internal/convert/testdata/shipped.properties",
		"--to", "elasticsearch", "--brokers", broker.Addr, "--hosts", url, "--index", "logs")
	writeFile(t, config, strings.Replace(text, "#compat:", "compat:", 1))
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

// Of one that has every property, to fluentd as before: what the pattern matches of all topics but the excluded ones
// arrives under the fixed tag, with the groups as fields and the time that stands in one of them, and from the moment on
// at which the group begins.
func tryWholeConsumer(t *testing.T, broker *parts.KafkaBroker) {
	program, dir, address := buildSpillway(t).Spillway, t.TempDir(), freeAddress(t)
	if err := os.Mkdir(filepath.Join(dir, "fluentd"), 0o750); err != nil {
		t.Fatal(err)
	}
	received, file := filepath.Join(dir, "fluentd", "spillway.yaml"), filepath.Join(dir, "received.log")
	writeFile(t, received, fmt.Sprintf(`sources: {fluentd: {type: forward, listen: "%s"}}
sinks: {kept: {type: file, path: "%s", format: out_file}}
routes: [{match: "**", to: kept}]
`, address, file))
	fluentd := startRun(t, program, received, filepath.Join(dir, "fluentd", "state"))
	fluentd.await("tcp", address)

	properties, err := os.ReadFile("../../internal/convert/testdata/all.properties")
	if err != nil {
		t.Fatal(err)
	}
	const old = "fluentd.connect=fluentd1.example:24224,fluentd2.example:24225"
	here := strings.Replace(string(properties), old, "fluentd.connect="+freeAddress(t)+","+address, 1) // Nobody is at the first.
	if !strings.Contains(here, address) {
		t.Fatalf("found no line %s", old)
	}
	writeFile(t, filepath.Join(dir, "all.properties"), here)
	config := filepath.Join(dir, "spillway.yaml")
	writeFile(t, config, converted(t, program, filepath.Join(dir, "all.properties"), "--brokers", broker.Addr))

	line := func(n int) []byte {
		return fmt.Appendf(nil, `host%d [20/Nov/2026:08:00:%02d +0100] "GET /%d"`, n, n%60, n)
	}
	produce := func(topic string, values ...[]byte) {
		var all []*kgo.Record
		for _, v := range values {
			all = append(all, &kgo.Record{Topic: topic, Value: v})
		}
		if err := broker.Client(t).ProduceSync(t.Context(), all...).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	for _, topic := range []string{"access", "audit-1", "debug"} {
		broker.CreateTopic(t, topic, 1, nil)
		produce(topic, line(0))
	}
	p := startRun(t, program, config, filepath.Join(dir, "state"))
	awaitCommitted(t, p, broker, "access-logs", "access")
	produce("debug", line(1))
	produce("audit-1", line(2))
	produce("access", line(3), []byte("no match"), line(64))
	p.awaitLines(file, 2)
	b := p.stop()
	if b.Unaccounted != 0 || b.Pending != 0 || b.Received != 3 || b.Delivered != 2 || b.DeadLettered != 1 {
		t.Errorf("%+v, expected two delivered and one dead letter", b)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	const want = `2026-11-20T07:00:03Z	app.access	{"host":"host3","time":"20/Nov/2026:08:00:03 +0100","request":"GET /3"}
2026-11-20T07:00:04Z	app.access	{"host":"host64","time":"20/Nov/2026:08:00:04 +0100","request":"GET /64"}
`
	if string(text) != want {
		t.Errorf("received\n%s, expected\n%s", text, want)
	}
	if b := fluentd.stop(); b.Unaccounted != 0 || b.Delivered != 2 {
		t.Errorf("%+v where fluentd was, expected two", b)
	}
}

// awaitCommitted waits until a group has an offset for the first partition of a topic.
func awaitCommitted(t *testing.T, p *runProcess, broker *parts.KafkaBroker, group, topic string) {
	t.Helper()
	admin := kadm.NewClient(broker.Client(t))
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for over := time.After(60 * time.Second); ; {
		committed, err := admin.FetchOffsets(t.Context(), group)
		if _, ok := committed.Lookup(topic, 0); ok && err == nil {
			return
		}
		select {
		case <-again.C:
		case <-p.ended:
			t.Fatalf("spillway run ended: %v", p.err)
		case <-over:
			t.Fatalf("the group %s has committed nothing of %s: %v", group, topic, err)
		}
	}
}
