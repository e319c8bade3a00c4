// Command kafkaload is both ends of a measurement with a Kafka broker: "fill" writes
// JSON values to a topic, and "consume" reads them as fast as a client can that
// throws them away. It knows nothing of what is measured beside it, and shares no
// code with it. Both print one JSON object when they have ended.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// report is what is printed.
type report struct {
	Records int64     `json:"records"`
	Bytes   int64     `json:"bytes"` // of values
	Begin   time.Time `json:"begin"`
	Seconds float64   `json:"seconds"` // of consume: from the first value to the last
}

// load is what to write or to read.
type load struct {
	brokers, topic string
	size           int
	bytes          int64
	partitions     int
}

func main() {
	if err := run(os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "kafkaload:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	works := map[string]func(*load) (*report, error){"fill": fill, "consume": consume}
	if len(args) == 0 || works[args[0]] == nil {
		return errors.New("expected fill or consume")
	}
	var l load
	f := flag.NewFlagSet(args[0], flag.ContinueOnError)
	f.StringVar(&l.brokers, "brokers", "", "address of a broker")
	f.StringVar(&l.topic, "topic", "bench", "the topic, which exists")
	f.IntVar(&l.partitions, "partitions", 6, "partitions of it")
	f.IntVar(&l.size, "size", 250, "bytes of a value")
	f.Int64Var(&l.bytes, "bytes", 1e9, "bytes of values")
	if err := f.Parse(args[1:]); err != nil {
		return err
	}
	r, err := works[args[0]](&l)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

// value is a JSON object of the size, numbered.
func (l *load) value(dst []byte, n int64) []byte {
	dst = fmt.Appendf(dst, `{"n":%d,"container_name":"/bench","source":"stdout","log":"`, n)
	for i := len(dst); i < l.size-2; i++ {
		dst = append(dst, 'a'+byte(i*7%26))
	}
	return append(dst, `"}`...)
}

// fill writes the values to the partitions in turn, without compression.
func fill(l *load) (*report, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(l.brokers), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(1_000_000), kgo.ProducerLinger(5*time.Millisecond),
		kgo.MaxBufferedRecords(100_000))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	r := &report{Records: l.bytes / int64(l.size), Begin: time.Now()}
	r.Bytes = r.Records * int64(l.size)
	var failed firstError
	for n := range r.Records {
		value := l.value(make([]byte, 0, l.size), n)
		client.Produce(context.Background(), &kgo.Record{Topic: l.topic, Partition: int32(n / 1000 % int64(l.partitions)), Value: value},
			func(_ *kgo.Record, err error) { failed.set(err) })
	}
	if err := client.Flush(context.Background()); err != nil {
		return nil, err
	}
	r.Seconds = time.Since(r.Begin).Seconds()
	return r, failed.get()
}

// firstError is the first of several.
type firstError struct {
	mu  sync.Mutex
	err error
}

func (f *firstError) set(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = err
	}
}

func (f *firstError) get() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// consume reads values from the beginning until there are as many as were written.
func consume(l *load) (*report, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(l.brokers, ",")...), kgo.ConsumeTopics(l.topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	r := &report{}
	for want := l.bytes / int64(l.size); r.Records < want; {
		fetches := client.PollFetches(context.Background())
		if err := fetches.Err(); err != nil {
			return nil, err
		}
		if r.Records == 0 {
			r.Begin = time.Now()
		}
		fetches.EachRecord(func(record *kgo.Record) {
			r.Records++
			r.Bytes += int64(len(record.Value))
		})
	}
	r.Seconds = time.Since(r.Begin).Seconds()
	return r, nil
}
