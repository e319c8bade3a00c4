package kafka

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/spillway/spillway/internal/kafkaclient"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink"
	"github.com/spillway/spillway/internal/template"
	"github.com/spillway/spillway/test/real/parts"
)

// TestRealBroker: over TLS and PLAIN, and with the broker killed in between, each message
// is there once and in order.
func TestRealBroker(t *testing.T) {
	parts.EachKafka(t, tryRealBroker)
}

func tryRealBroker(t *testing.T, broker *parts.KafkaBroker) {
	broker.CreateTopic(t, "t", 1, nil)
	secure, err := broker.Certificates.TLS(false)
	if err != nil {
		t.Fatal(err)
	}
	library, err := (&kafkaclient.Options{
		Brokers: []string{broker.SASLTLSAddr}, ClientID: "test", TLS: secure, Mechanism: kafkaclient.Plain, User: parts.KafkaUser, Password: parts.KafkaPassword,
	}).Library()
	if err != nil {
		t.Fatal(err)
	}
	topic, err := template.Parse("t")
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, Options{Client: library, Topic: topic, TextKey: "m", MaxMessage: 1 << 20, InFlight: 1, Compression: []kgo.CompressionCodec{kgo.ZstdCompression()}})
	const requests, each = 20, 100
	for i := range requests {
		if i == requests/2 {
			if err := broker.Kill(); err != nil {
				t.Fatal(err)
			}
		}
		var all []*record.Message
		for j := range each {
			all = append(all, &record.Message{Time: 1, Form: record.FormJSON, Value: fmt.Appendf(nil, `{"n":%d}`, i*each+j)})
		}
		req := messages(all...)
		for attempt := 0; ; attempt++ {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			out := s.Send(ctx, req)
			cancel()
			if out.Verdict == sink.Delivered && out.Rejected == nil && out.Again == nil {
				break
			}
			if attempt == 0 && i == requests/2 {
				if err := broker.Restart(); err != nil {
					t.Fatal(err)
				}
			}
			if attempt > 30 {
				t.Fatalf("request %d: %+v", i, out)
			}
		}
	}
	client := broker.Client(t, kgo.ConsumeTopics("t"))
	for n := 0; n < requests*each; {
		fetches := client.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		for _, r := range fetches.Records() {
			if want := fmt.Sprintf(`{"n":%d}`, n); string(r.Value) != want {
				t.Fatalf("message %d is %s, want %s", n, r.Value, want)
			}
			n++
		}
	}
}
