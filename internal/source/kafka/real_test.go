package kafka

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/spillway/spillway/internal/kafkaclient"
	"github.com/spillway/spillway/test/real/parts"
)

// TestRealBroker: over TLS and SCRAM two members of a group read what is written while
// the broker is killed and starts again; everything is delivered, and all of it committed.
func TestRealBroker(t *testing.T) {
	parts.EachKafka(t, tryRealBroker)
}

func tryRealBroker(t *testing.T, broker *parts.KafkaBroker) {
	const partitions, each = 4, 20_000
	broker.CreateTopic(t, "t", partitions, nil)
	secure, err := broker.Certificates.TLS(false)
	if err != nil {
		t.Fatal(err)
	}
	library, err := (&kafkaclient.Options{
		Brokers: []string{broker.SASLTLSAddr}, ClientID: "test", Mechanism: kafkaclient.ScramSHA256, User: parts.KafkaUser, Password: parts.KafkaPassword,
	}).Library()
	if err != nil {
		t.Fatal(err)
	}
	producer := broker.Client(t, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	write := func(from, to int) {
		t.Helper()
		var all []*kgo.Record
		for i := from; i < to; i++ {
			for p := range int32(partitions) {
				all = append(all, &kgo.Record{Topic: "t", Partition: p, Value: fmt.Appendf(nil, `{"n":%d}`, i)})
			}
		}
		if err := producer.ProduceSync(t.Context(), all...).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	write(0, each/2)
	k := &sink{t: t}
	cfg := Config{
		Name: "test", Client: library, Dial: Dial(secure), Group: "group", Topics: []string{"t"}, SessionTimeout: 10 * time.Second, RebalanceWait: time.Second,
		CommitEvery: 50 * time.Millisecond, ReadCommitted: true, Tag: func(topic string, _ int32) string { return topic }, MaxRecord: 1 << 20,
		MaxAhead: 1_000_000, Memory: 4 << 20, Router: k,
	}
	start(t, cfg)
	second := start(t, cfg)
	await(t, "some", k.has(each))
	if err := broker.Kill(); err != nil {
		t.Fatal(err)
	}
	await(t, "the trouble", func() bool { return second.Counts().Trouble != "" })
	if err := broker.Restart(); err != nil {
		t.Fatal(err)
	}
	write(each/2, each)
	await(t, "everything", func() bool { return len(k.each()) == partitions*each })
	admin := kadm.NewClient(producer)
	await(t, "the commits", func() bool {
		found, err := admin.FetchOffsets(context.Background(), "group")
		for p := range int32(partitions) {
			if o, ok := found.Lookup("t", p); err != nil || !ok || o.At != each {
				return false
			}
		}
		return true
	})
}
