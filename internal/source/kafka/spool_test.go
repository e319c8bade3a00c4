package kafka

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sys/unix"
)

// TestLargeBatches: batches for which there is no memory go through a file, and are read
// like others.
func TestLargeBatches(t *testing.T) {
	const records, size = 2000, 10_000
	for name, codec := range map[string]kgo.CompressionCodec{"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "zstd": kgo.ZstdCompression()} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, kfake.SeedTopics(1, "t"), kfake.BrokerConfigs(map[string]string{"message.max.bytes": "80000000"}))
			big, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.ProducerBatchMaxBytes(60<<20), kgo.MaxBufferedRecords(records),
				kgo.ProducerBatchCompression(codec), kgo.ProducerLinger(time.Minute), kgo.DefaultProduceTopic("t"))
			if err != nil {
				t.Fatal(err)
			}
			defer big.Close()
			random := noise(records * size / 2)
			for i := range records {
				value := fmt.Appendf(nil, "%d %x", i, random[i*size/2:(i+1)*size/2])
				big.Produce(context.Background(), &kgo.Record{Value: value}, nil)
			}
			if err := big.Flush(context.Background()); err != nil {
				t.Fatal(err)
			}
			k := &sink{t: t}
			cfg := c.config(k, "t")
			cfg.Spool, cfg.Convert.Format = t.TempDir(), FormatText
			s := start(t, cfg)
			await(t, "all records", k.has(records))
			await(t, "the commit", func() bool { return c.committed("group", "t", 0) == records })
			k.inOrder(t, records, "t/0")
			if n := s.Counts().PutAside; n == 0 {
				t.Error("no batch was put aside")
			}
			if left, err := os.ReadDir(cfg.Spool); len(left) > 0 || err != nil {
				t.Errorf("%d files are left, %v", len(left), err)
			}
		})
	}
}

// TestNoSpool: a batch for which there is neither memory nor a file is told of, and
// asked for again.
func TestNoSpool(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(1, "t"), kfake.BrokerConfigs(map[string]string{"message.max.bytes": "80000000"}))
	big, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.ProducerBatchMaxBytes(60<<20), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		t.Fatal(err)
	}
	defer big.Close()
	if err := big.ProduceSync(context.Background(), &kgo.Record{Topic: "t", Value: noise(10 << 20)}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	k := &sink{t: t}
	cfg := c.config(k, "t")
	cfg.Convert.Format, cfg.MaxRecord = FormatText, 20<<20
	cfg.Spool = t.TempDir() + "/later"
	s := start(t, cfg)
	await(t, "the trouble", func() bool { return strings.Contains(s.Counts().Trouble, "put aside a batch") })
	if err := os.Mkdir(cfg.Spool, 0o700); err != nil {
		t.Fatal(err)
	}
	await(t, "the record", k.has(1))
	await(t, "the end of the trouble", func() bool { return s.Counts().Trouble == "" })
}

// noise is text that does not compress.
func noise(n int) []byte {
	b := make([]byte, n)
	x := uint64(88172645463325252)
	for i := range b {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b[i] = byte(x)
	}
	return b
}

// TestFault: a file that cannot be read ends the piece that is in it, which is asked for
// again, and nothing else.
func TestFault(t *testing.T) {
	f, err := os.Create(t.TempDir() + "/batch")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	batch := bytes.Repeat([]byte{2}, 1<<20)
	batch[8], batch[9], batch[10], batch[11] = 0, 0x0f, 0xff, 0xf0
	if _, err := f.Write(batch); err != nil {
		t.Fatal(err)
	}
	data, err := unix.Mmap(int(f.Fd()), 0, len(batch), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(8 << 10); err != nil {
		t.Fatal(err)
	}
	k := &sink{t: t}
	s, err := New(Config{Router: k, Group: "g", Topics: []string{"t"}, Client: []kgo.Opt{kgo.SeedBrokers("127.0.0.1:1")}, SessionTimeout: time.Second, CommitEvery: time.Second, MaxRecord: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	p := newPartition(place{"t", 0}, "t")
	p.seek(7, -1)
	b := &block{data: data, in: s.memory, mapped: true, aside: true}
	w := s.borrow()
	w.line = s.lines[0]
	w.piece(&piece{partition: p, from: 7, next: 9, block: b, batches: data})
	if got := s.Counts().Trouble; !strings.Contains(got, "put aside") {
		t.Errorf("the trouble is %q", got)
	}
	if p.fetchAt != 7 || p.stream != 1 || p.notBefore.IsZero() || w.large.window.data != nil {
		t.Errorf("it is read on from %d, not before %s", p.fetchAt, p.notBefore)
	}
	b.release()
	s.giveBack(w)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
