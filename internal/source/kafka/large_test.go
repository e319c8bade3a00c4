package kafka

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// writeBatch writes records as one batch, each with its number and so many bytes.
func writeBatch(t *testing.T, c *cluster, topic string, codec kgo.CompressionCodec, records, size int) {
	t.Helper()
	big, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.ProducerBatchMaxBytes(60<<20), kgo.MaxBufferedRecords(records),
		kgo.ProducerBatchCompression(codec), kgo.ProducerLinger(time.Minute), kgo.DefaultProduceTopic(topic))
	if err != nil {
		t.Fatal(err)
	}
	defer big.Close()
	for i := range records {
		big.Produce(context.Background(), &kgo.Record{Value: fmt.Appendf(nil, "%d %s", i, strings.Repeat("a line ", size/7))}, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Error(err)
			}
		})
	}
	if err := big.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// TestTurn: routes without room that have got half of a batch which unpacks to more than is usual let another one
// have its turn.
func TestTurn(t *testing.T) {
	for name, codec := range codecs() {
		t.Run(name, func(t *testing.T) { tryTurn(t, codec, 2000, 1000) })
		t.Run(name+", large records", func(t *testing.T) { tryTurn(t, codec, 3, 3<<19) })
	}
}

func tryTurn(t *testing.T, codec kgo.CompressionCodec, records, size int) {
	const full = 3
	topics := []string{"open"}
	k := &sink{t: t, gate: make(map[string]chan struct{})}
	for i := range full {
		topics = append(topics, fmt.Sprint("full", i))
		k.gate[topics[i+1]] = make(chan struct{})
	}
	c := newCluster(t, kfake.SeedTopics(1, topics...), kfake.BrokerConfigs(map[string]string{"message.max.bytes": "80000000"}))
	for _, topic := range topics[1:] {
		writeBatch(t, c, topic, codec, records, size)
	}
	cfg := c.config(k, topics...)
	cfg.Memory, cfg.MaxRecord, cfg.Convert.Format, cfg.Spool = 16<<20, 4<<20, FormatText, t.TempDir()
	s := start(t, cfg)
	open := sync.OnceFunc(func() {
		for _, gate := range k.gate {
			close(gate)
		}
	})
	t.Cleanup(open)
	await(t, "routes without room", func() bool {
		s.handing.Lock()
		defer s.handing.Unlock()
		waiting := 0
		for _, l := range s.lines {
			if l.held || !l.since.IsZero() {
				waiting++
			}
		}
		return waiting == full || size > 1<<20 && s.counts.givenUp.Load() >= full
	})
	writeBatch(t, c, "open", codec, records, size)
	await(t, "everything of the route that has room", k.has(records))
	open()
	await(t, "the rest", k.has(records*len(topics)))
	var partitions []string
	for _, topic := range topics {
		partitions = append(partitions, topic+"/0")
		await(t, "the commits", func() bool { return c.committed("group", topic, 0) == int64(records) })
	}
	k.inOrder(t, records, partitions...)
}

// TestLargeRecords: records that are larger than usual, among small ones, come as they are, in whatever they are
// compressed, whether they are made into others or not; and nothing of what they took is kept.
func TestLargeRecords(t *testing.T) {
	const records, size = 4, 3 << 19
	for name, codec := range codecs() {
		for _, fields := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, %t", name, fields), func(t *testing.T) {
				k := &sink{t: t}
				c := newCluster(t, kfake.SeedTopics(1, "t"), kfake.BrokerConfigs(map[string]string{"message.max.bytes": "80000000"}))
				writeBatch(t, c, "t", codec, records, size)
				writeBatch(t, c, "t", codec, records, 100)
				writeBatch(t, c, "t", codec, records, size)
				cfg := c.config(k, "t")
				cfg.Convert.Format, cfg.MaxRecord, cfg.Spool = FormatText, 4<<20, t.TempDir()
				if fields {
					cfg.Convert.Fields.Offset, cfg.Convert.TextKey = "offset", "text"
				}
				s := start(t, cfg)
				await(t, "all records", k.has(3*records))
				await(t, "the commit", func() bool { return c.committed("group", "t", 0) == 3*records })
				k.inOrder(t, 3*records, "t/0")
				k.mu.Lock()
				for i, m := range k.admitted {
					n := size
					if i/records == 1 {
						n = 100
					}
					if want := fmt.Sprintf("%d %s", i%records, strings.Repeat("a line ", n/7)); !strings.Contains(m.value, want) || !fields && m.value != want {
						t.Errorf("record %d has %d bytes, %.20q; expected %d", i, len(m.value), m.value, len(want))
					}
				}
				k.mu.Unlock()
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				await(t, "all memory to be free", func() bool {
					s.handing.Lock()
					defer s.handing.Unlock()
					s.memory.mu.Lock()
					defer s.memory.mu.Unlock()
					return s.holder == nil && s.memory.free == s.memory.all
				})
			})
		}
	}
}

// TestLargeIsCounted: where a larger record follows a large one in the same batch, what it
// takes more is counted as well.
func TestLargeIsCounted(t *testing.T) {
	const all = 64 << 20
	s := &Source{memory: newMemory(all, ""), letGo: make(chan struct{})}
	s.cfg.MaxRecord = 8 << 20
	w := &worker{Source: s, converter: new(converter)}
	for _, size := range []int{2 << 20, 5 << 20, 3 << 20} {
		window := w.largeWindow(size)
		if cap(w.bodies) < size { // as put has it
			w.bodies = w.largeBodies(size)
		}
		if counted := all - s.memory.free; int64(cap(window)+cap(w.bodies)) > counted {
			t.Errorf("%d bytes of a window and %d of a chunk may be used, and %d are counted", cap(window), cap(w.bodies), counted)
		}
	}
	w.shrink()
	if s.memory.free != all || s.holder != nil {
		t.Errorf("%d of %d bytes are free in the end", s.memory.free, all)
	}
}

// codecs are all, or in short runs those that differ most.
func codecs() map[string]kgo.CompressionCodec {
	if testing.Short() {
		return map[string]kgo.CompressionCodec{"none": kgo.NoCompression(), "zstd": kgo.ZstdCompression()}
	}
	return map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}
}
