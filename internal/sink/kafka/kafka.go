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
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/spillway/spillway/internal/jsontext"
	"github.com/spillway/spillway/internal/kafkaclient"
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
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

	mu sync.Mutex
	// pending are requests whose attempts ended before their answers.
	pending map[requestKey]*flight

	connected connection
	single    single
}

// requestSize is what one request carries, in bytes.
const requestSize = 1 << 20

// New makes a sink. It connects to nobody before the first attempt.
func New(o Options) (*Sink, error) {
	s := &Sink{o: o, pending: make(map[requestKey]*flight)}
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

// maxPending is how many requests may be waited for by attempts to come.
const maxPending = 64

// requestKey tells a request from others: by its first event, and how many it has.
type requestKey struct {
	incarnation [12]byte
	index       uint32
	seq         uint64
	events      int
}

func keyOf(req sink.Request) requestKey {
	k := requestKey{events: req.Events()}
	for _, b := range req.Batches() {
		k.index, k.seq, k.incarnation = b.Stream, b.FirstSeq, req.Stream(b.Stream).Incarnation
		if b.Kind == record.KindLoss {
			k.seq |= 1 << 63 // A marker has the number of what it stands for.
		}
		break
	}
	return k
}

// Send implements sink.Sink.
func (s *Sink) Send(ctx context.Context, req sink.Request) sink.Outcome {
	key := keyOf(req)
	s.mu.Lock()
	f := s.pending[key]
	delete(s.pending, key)
	s.mu.Unlock()
	if f == nil {
		f = s.produce(req)
	}
	select {
	case <-f.answered:
		s.apart(ctx, f)
		return f.outcome(&s.connected)
	case <-ctx.Done():
	}
	s.mu.Lock()
	if len(s.pending) >= maxPending {
		clear(s.pending) // Requests that were divided, and do not come again.
	}
	s.pending[key] = f
	s.mu.Unlock()
	return sink.Outcome{Err: s.connected.explain(context.Cause(ctx)), Unsure: true}
}

// flight is a request that was handed to the library.
type flight struct {
	records []produced

	mu       sync.Mutex
	left     int
	errs     []failure // in no order
	rejected []sink.Rejection
	events   int
	answered chan struct{}
}

type failure struct {
	event int
	err   error
}

// produce hands a request over, encoded into memory of its own.
func (s *Sink) produce(req sink.Request) *flight {
	f := &flight{events: req.Events(), left: 1, answered: make(chan struct{})}
	e := s.encoders.Get().(*encoder)
	f.records = e.encode(req, f)
	s.encoders.Put(e)
	f.left += len(f.records)
	for i := range f.records {
		r := &f.records[i]
		event := int(r.event)
		s.client.Produce(context.Background(), &r.Record, func(_ *kgo.Record, err error) { f.told(event, err) })
	}
	f.told(-1, nil)
	return f
}

// apart sends messages once more, each alone, of which a broker has said that they are
// too large: it speaks of the batch in which the library had put them.
func (s *Sink) apart(ctx context.Context, f *flight) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.records) < 2 {
		return
	}
	left := f.errs[:0]
	for _, one := range f.errs {
		if errors.Is(one.err, kerr.MessageTooLarge) {
			if one.err = s.single.send(ctx, &f.records[f.at(one.event)].Record); one.err == nil {
				continue
			}
		}
		left = append(left, one)
	}
	f.errs = left
}

// at is where the message of an event stands.
func (f *flight) at(event int) int {
	at, _ := slices.BinarySearchFunc(f.records, int32(event), func(r produced, event int32) int { return cmp.Compare(r.event, event) })
	return at
}

// single is a producer of one message at a time, made when it is first needed.
type single struct {
	opts []kgo.Opt

	mu     sync.Mutex
	client *kgo.Client
}

func (s *single) send(ctx context.Context, r *kgo.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client == nil {
		var err error
		if s.client, err = kgo.NewClient(s.opts...); err != nil {
			return err
		}
	}
	return s.client.ProduceSync(ctx, r).FirstErr()
}

func (s *single) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client != nil {
		s.client.Close()
	}
}

// told takes the answer for one event.
func (f *flight) told(event int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		f.errs = append(f.errs, failure{event, err})
	}
	if f.left--; f.left == 0 {
		close(f.answered)
	}
}

// outcome is what became of a request, event by event.
func (f *flight) outcome(c *connection) sink.Outcome {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := sink.Outcome{Verdict: sink.Delivered, Rejected: f.rejected}
	again := make([]bool, f.events)
	any := false
	for _, one := range f.errs {
		if reason, final := finalReason(one.err); final {
			out.Rejected = append(out.Rejected, sink.Rejection{
				First: one.event, End: one.event + 1, Reason: reason, Status: code(one.err), Detail: one.err.Error(),
			})
			continue
		}
		again[one.event], any = true, true
		out.Err = c.explain(f.topicError(one))
		out.Unsure = out.Unsure || !refusedWhole(one.err)
		out.Config = out.Config || needsAction(one.err)
	}
	if any {
		out.Again = spans(again)
		if len(out.Again) == 1 && out.Again[0] == (sink.Span{First: 0, End: f.events}) {
			out.Verdict, out.Again = sink.Retry, nil
		}
	}
	sortRejections(out.Rejected)
	return out
}

// topicError says of which topic an error speaks, where it is of one.
func (f *flight) topicError(one failure) error {
	if at := f.at(one.event); at < len(f.records) && refusedWhole(one.err) {
		return kafkaclient.TopicError(f.records[at].Topic, "Describe and Write", one.err)
	}
	return one.err
}

func spans(again []bool) (all []sink.Span) {
	for i, is := range again {
		switch n := len(all); {
		case !is:
		case n > 0 && all[n-1].End == i:
			all[n-1].End++
		default:
			all = append(all, sink.Span{First: i, End: i + 1})
		}
	}
	return all
}

// finalReason says why a message can never be taken, or that it may be yet.
func finalReason(err error) (reason string, final bool) {
	switch {
	case errors.Is(err, kerr.MessageTooLarge), errors.Is(err, kerr.RecordListTooLarge):
		return string(ledger.RejectedTooLong), true
	case errors.Is(err, kerr.InvalidRecord), errors.Is(err, kerr.InvalidTimestamp), errors.Is(err, kerr.InvalidTopicException):
		return string(ledger.RejectedInvalid), true
	}
	return "", false
}

// refusedWhole reports that an error comes from a broker that has not taken the message.
func refusedWhole(err error) bool {
	for _, known := range []error{
		kerr.TopicAuthorizationFailed, kerr.ClusterAuthorizationFailed, kerr.UnknownTopicOrPartition, kerr.NotEnoughReplicas, kerr.PolicyViolation,
	} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

// needsAction reports whether somebody has to put something right.
func needsAction(err error) bool {
	return errors.Is(err, kerr.TopicAuthorizationFailed) || errors.Is(err, kerr.ClusterAuthorizationFailed) || errors.Is(err, kerr.UnknownTopicOrPartition) ||
		errors.Is(err, kerr.SaslAuthenticationFailed)
}

// code is Kafka's number of an error, 0 where it is none of its own.
func code(err error) int {
	var known *kerr.Error
	if errors.As(err, &known) {
		return int(known.Code)
	}
	return 0
}

// topicName makes a name of a topic of what a template gives.
func topicName(dst []byte, text string) []byte {
	for i := range len(text) {
		c := text[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '-', c == '_':
			dst = append(dst, c)
		default:
			dst = append(dst, '_')
		}
	}
	return dst
}

// goodTopic says what is wrong with a topic's name.
func goodTopic(name string) error {
	if name == "" || len(name) > record.MaxTopic || strings.Trim(name, ".") == "" && len(name) < 3 {
		return fmt.Errorf("found the topic %q, expected a name of 1 to %d bytes that is not dots alone", name, record.MaxTopic)
	}
	return nil
}

// connection knows why there is none, which the library tells the hooks alone while it
// tries again.
type connection struct {
	mu  sync.Mutex
	err error
}

// explain adds why there is no connection to what went wrong.
func (c *connection) explain(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return fmt.Errorf("%w (%w)", c.err, err)
	}
	return err
}

func (c *connection) note(meta kgo.BrokerMetadata, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err = nil; err != nil {
		c.err = kafkaclient.ConnectError(meta, err)
	}
}
