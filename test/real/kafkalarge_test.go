package real

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/spillway/spillway/internal/sandbox/elasticsearch"
	"github.com/spillway/spillway/test/launcher"
	"github.com/spillway/spillway/test/launcher/harness"
	"github.com/spillway/spillway/test/real/parts"
)

// codecs are what producers compress batches with.
func codecs() map[string]kgo.CompressionCodec {
	return map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}
}

// Large records, in batches of every kind, stay within what a process may use, also while the buffer is full and the
// destination says nothing; each is delivered once.
func TestKafkaLargeRecords(t *testing.T) {
	parts.Need(t, parts.Kafka)
	sizes := []int{12_000_000}
	if harness.Long() {
		sizes = []int{250_000, 1_000_000, 4_000_000, 12_000_000}
	}
	broker := parts.StartKafka(t, parts.KafkaOptions{Settings: map[string]string{"message.max.bytes": "64000000"}})
	for codec, compress := range codecs() {
		for _, size := range sizes {
			t.Run(fmt.Sprintf("%s, %d", codec, size), func(t *testing.T) { tryLargeRecords(t, broker, compress, fmt.Sprintf("%s-%d", codec, size), size) })
		}
	}
}

func tryLargeRecords(t *testing.T, broker *parts.KafkaBroker, compress kgo.CompressionCodec, topic string, size int) {
	records, full := 6, 3*time.Second
	if harness.Long() {
		records, full = 192_000_000/size, 10*time.Second
	}
	broker.CreateTopic(t, topic, 2, nil)
	client := broker.Client(t, kgo.DefaultProduceTopic(topic), kgo.ProducerBatchMaxBytes(16_000_000), kgo.MaxBufferedRecords(8),
		kgo.ProducerBatchCompression(compress), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
	for i := range records {
		client.Produce(t.Context(), &kgo.Record{Value: largeRecord(i, size)}, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Error(err)
			}
		})
	}
	if err := client.Flush(t.Context()); err != nil || t.Failed() {
		t.Fatal(err)
	}
	node, url := startSandbox(t, elasticsearch.Options{KeepBytes: -1, Faults: []string{"hang"}})
	dir := t.TempDir()
	config := filepath.Join(dir, "spillway.yaml")
	writeFile(t, config, fmt.Sprintf(`memory: %d
sources:
  orders: {type: kafka, brokers: ["%s"], topics: [%s], group: %s, start: earliest, max-record-size: 16m}
sinks:
  search: {type: elasticsearch, hosts: ["%s"], index: %s}
routes:
  - {match: "**", to: search, max-buffer-size: 64m}
`, chainMemory, broker.Addr, topic, topic, url, topic))
	p := startRun(t, buildSpillway(t).Spillway, config, filepath.Join(dir, "state"))
	<-time.After(full) // as full as it gets
	waiting, err := launcher.ReadMemory(p.cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := node.SetFaults(); err != nil {
		t.Fatal(err)
	}
	awaitDocuments(t, p, node, uint64(records))
	peak, err := launcher.ReadMemory(p.cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if b := p.stop(); b.Unaccounted != 0 || b.Pending != 0 || b.Delivered != int64(records) || b.Dropped != 0 {
		t.Errorf("%+v, expected %d delivered", b, records)
	}
	const mib = 1 << 20
	t.Logf("while nothing is taken %.1f MiB (at most %.1f), and at most %.1f", float64(waiting.Resident)/mib, float64(waiting.Peak)/mib, float64(peak.Peak)/mib)
	if peak.Peak > chainMemory+chainBeside {
		t.Errorf("it used %.1f MiB, expected at most %d", float64(peak.Peak)/mib, (chainMemory+chainBeside)/mib)
	}
}

// largeRecord is an object of some bytes: words with numbers between them, which compress to a third or so.
func largeRecord(n, size int) []byte {
	words := strings.Fields("order customer delivered warehouse invoice payment refused returned shipped pending timeout retry connection accepted Zurich address")
	r := rand.New(rand.NewPCG(uint64(n), 1))
	text := fmt.Appendf(make([]byte, 0, size+64), `{"n":%d,"text":"`, n)
	for len(text) < size-2 {
		text = strconv.AppendUint(append(append(text, words[r.IntN(len(words))]...), ' '), r.Uint64N(1_000_000), 10)
	}
	return append(text[:size-2], `"}`...)
}
