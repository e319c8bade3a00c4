package real

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/spillway/spillway/test/real/parts"
)

// The broker that others are tested against: it keeps over a kill what it has acknowledged, and each of
// its listeners lets in who may come in, and nobody else.
func TestKafkaBroker(t *testing.T) {
	parts.Need(t, parts.Kafka)
	for _, version := range parts.KafkaVersions() {
		t.Run(version, func(t *testing.T) {
			broker := parts.StartKafka(t, parts.KafkaOptions{Version: version})
			broker.CreateTopic(t, "orders", 1, nil)
			record := &kgo.Record{Topic: "orders", Value: []byte("kept")}
			if err := broker.Client(t).ProduceSync(t.Context(), record).FirstErr(); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(broker.Kill(), broker.Restart()); err != nil {
				t.Fatal(err)
			}
			fetches := broker.Client(t, kgo.ConsumeTopics("orders")).PollFetches(t.Context())
			if records := fetches.Records(); fetches.Err() != nil || len(records) != 1 || string(records[0].Value) != "kept" {
				t.Errorf("after a kill the broker has %v (%v), expected the record that it acknowledged", records, fetches.Err())
			}
			tryListeners(t, broker)
		})
	}
}

func tryListeners(t *testing.T, broker *parts.KafkaBroker) {
	t.Helper()
	secure, err := broker.Certificates.TLS(false)
	if err != nil {
		t.Fatal(err)
	}
	shown, err := broker.Certificates.TLS(true)
	if err != nil {
		t.Fatal(err)
	}
	user := func(password string) kgo.Opt {
		return kgo.SASL(scram.Auth{User: parts.KafkaUser, Pass: password}.AsSha256Mechanism())
	}
	plainUser := func(password string) kgo.Opt {
		return kgo.SASL(plain.Auth{User: parts.KafkaUser, Pass: password}.AsMechanism())
	}
	for _, c := range []struct {
		name, address string
		options       []kgo.Opt
		want          error // errAny: whichever
	}{
		{"SCRAM", broker.SASLAddr, []kgo.Opt{user(parts.KafkaPassword)}, nil},
		{"SCRAM, wrong password", broker.SASLAddr, []kgo.Opt{user("wrong")}, kerr.SaslAuthenticationFailed},
		{"PLAIN", broker.SASLAddr, []kgo.Opt{plainUser(parts.KafkaPassword)}, nil},
		{"PLAIN, wrong password", broker.SASLAddr, []kgo.Opt{plainUser("wrong")}, kerr.SaslAuthenticationFailed},
		{"no user", broker.SASLAddr, nil, errAny},
		{"TLS", broker.TLSAddr, []kgo.Opt{kgo.DialTLSConfig(secure)}, nil},
		{"TLS with a certificate", broker.TLSAddr, []kgo.Opt{kgo.DialTLSConfig(shown)}, nil},
		{"no TLS", broker.TLSAddr, nil, errAny},
		{"TLS and SCRAM", broker.SASLTLSAddr, []kgo.Opt{kgo.DialTLSConfig(secure), user(parts.KafkaPassword)}, nil},
		{"TLS and PLAIN", broker.SASLTLSAddr, []kgo.Opt{kgo.DialTLSConfig(secure), plainUser(parts.KafkaPassword)}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := broker.Client(t, append(c.options, kgo.SeedBrokers(c.address))...)
			ctx, cancel := context.WithTimeout(t.Context(), listenerWithin)
			defer cancel()
			_, err := kadm.NewClient(client).ListTopics(ctx)
			if !errors.Is(err, c.want) && (c.want != errAny || err == nil) {
				t.Errorf("it ended with %v, expected %v", err, c.want)
			}
		})
	}
}

var errAny = errors.New("any error")

// listenerWithin bounds a client that is never let in and asks again and again.
const listenerWithin = 5 * time.Second
