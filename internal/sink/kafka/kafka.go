// Package kafka is the sink of Kafka: records become messages of a topic, with the key
// and the headers that they came with, and each is answered for by itself.
//
// The library's idempotent producer sends and repeats, without a limit of time, so that
// what a broker has taken and not answered is not there twice. An attempt that runs out
// of time leaves its messages with the library, and the next one of the same request
// waits for their answers: nothing is produced a second time, unless the process ends.
// The library holds no more than the requests in flight.
//
// It refuses to drop, to count, and to read what it has encoded from the buffer after
// an attempt has ended.
package kafka

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/spillway/spillway/internal/jsontext"
	"github.com/spillway/spillway/internal/sink"
	"github.com/spillway/spillway/internal/template"
)

// Format is what values are written as.
type Format uint8

// The formats.
const (
	JSON Format = iota // an object on one line
	Raw                // text and JSON as they came; maps as JSON
)

// Key is what a message's key is.
type Key uint8

// The keys.
const (
	KeyRecord Key = iota // that with which the record came from Kafka; others have none
	KeyTag               // the tag
	KeyField             // a field of the record
	KeyNone
)

// Options say how a sink is made.
type Options struct {
	// Client are the options of the connection.
	Client []kgo.Opt
	// Topic names the topic, of tag and time. Characters that no topic may have become _.
	Topic  *template.Template
	Format Format
	// TextKey is the key under which text stands in JSON.
	TextKey string
	Key     Key
	// KeyField is the field of KeyField, at top level.
	KeyField string
	// LeaderAlone waits for the leader of a partition and not for its followers. It
	// gives up idempotence.
	LeaderAlone bool
	// Compression is what batches are compressed with; nil is nothing.
	Compression []kgo.CompressionCodec
	// MaxMessage is the largest batch of messages, in bytes, and so the largest message.
	MaxMessage int
	// InFlight is how many requests are under way at once. One keeps the order.
	InFlight int
	Linger   time.Duration
}

// Sink is one destination.
type Sink struct {
	o      Options
	client *kgo.Client
	// encoders are kept for the next attempt.
	encoders sync.Pool

	// pending are requests whose attempts ended before their answers.
	pending   pending
	connected connection
	single    single
}

// requestSize is what one request carries, in bytes.
const requestSize = 1 << 20

// New makes a sink. It connects to nobody before the first attempt.
func New(o Options) (*Sink, error) {
	s := &Sink{o: o}
	s.encoders.New = func() any { return newEncoder(&s.o) }
	if _, err := keysOf(&o); err != nil {
		return nil, err
	}
	opts := append([]kgo.Opt{}, o.Client...)
	opts = append(opts,
		// Each attempt hands over all of its request; the window of requests is the limit.
		kgo.MaxBufferedRecords(1<<30), kgo.ProducerBatchMaxBytes(int32(o.MaxMessage)), kgo.ProducerLinger(o.Linger),
		kgo.BrokerMaxWriteBytes(int32(max(100<<20, o.MaxMessage+1<<20))), kgo.UnknownTopicRetries(2), kgo.MetadataMinAge(250*time.Millisecond),
		kgo.DisableClientMetrics(), kgo.WithHooks(&s.connected),
	)
	if o.LeaderAlone {
		opts = append(opts, kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite())
	}
	if len(o.Compression) > 0 {
		opts = append(opts, kgo.ProducerBatchCompression(o.Compression...))
	} else {
		opts = append(opts, kgo.ProducerBatchCompression(kgo.NoCompression()))
	}
	s.single.opts = append(opts[:len(opts):len(opts)], kgo.ProducerLinger(0))
	var err error
	s.client, err = kgo.NewClient(opts...)
	return s, err
}

// perEvent is what is reckoned for a message beside its value, in bytes, and
// messageHead what a batch and a message have in front of it.
const (
	perEvent    = 32
	messageHead = 1 << 10
)

// Limits implements sink.Sink. A line is cut where it could be too large for a message
// once it is escaped.
func (s *Sink) Limits() sink.Limits {
	longest := s.o.MaxMessage - messageHead
	if s.o.Format == JSON {
		longest /= jsontext.MaxEscape
	}
	return sink.Limits{
		RequestBytes: requestSize, PerEvent: perEvent, BodyBytes: min(longest, requestSize-perEvent), InFlight: max(s.o.InFlight, 1), Eager: true,
	}
}

// Check implements sink.Sink.
func (s *Sink) Check(ctx context.Context) error {
	if err := s.client.Ping(ctx); err != nil {
		return fmt.Errorf("reach a broker: %w", s.connected.explain(err))
	}
	return nil
}

// Close implements sink.Sink. What no attempt has heard of is given up.
func (s *Sink) Close() error {
	s.client.Close()
	s.single.close()
	return nil
}

// Send implements sink.Sink.
func (s *Sink) Send(ctx context.Context, req sink.Request) sink.Outcome {
	key := keyOf(req)
	f := s.pending.take(key)
	if f == nil {
		f = s.produce(req)
	}
	look := time.NewTicker(patience)
	defer look.Stop()
	for {
		select {
		case <-f.answered:
			s.apart(ctx, f)
			return f.outcome(&s.connected)
		case <-look.C:
			if err := s.connected.away(f.written); err != nil {
				s.pending.put(key, f)
				return sink.Outcome{Err: err, Config: needsAction(err), Unsure: true}
			}
		case <-ctx.Done():
			s.pending.put(key, f)
			return sink.Outcome{Err: s.connected.explain(context.Cause(ctx)), Unsure: true}
		}
	}
}

// patience is how long there may be no connection before an attempt of which nothing
// was written says so; the library goes on trying meanwhile, and the next attempt waits
// for the same messages.
const patience = 2 * time.Second
