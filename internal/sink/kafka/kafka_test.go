package kafka

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"go.uber.org/goleak"

	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink"
	"github.com/spillway/spillway/internal/sink/sinktest"
	"github.com/spillway/spillway/internal/template"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// broker is a fake cluster with one partition of the topic t.
func broker(t *testing.T) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "t"), kfake.BrokerConfigs(map[string]string{"message.max.bytes": "1500000"}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func options(t *testing.T, c *kfake.Cluster, topic string) Options {
	t.Helper()
	name, err := template.Parse(topic)
	if err != nil {
		t.Fatal(err)
	}
	return Options{
		Client: []kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...)}, Topic: name, TextKey: "log", MaxMessage: 1 << 20, InFlight: 1,
	}
}

// readAll reads the whole topic.
func readAll(t *testing.T, c *kfake.Cluster) []*kgo.Record {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	req := kmsg.NewPtrListOffsetsRequest()
	topic := kmsg.NewListOffsetsRequestTopic()
	topic.Topic = "t"
	part := kmsg.NewListOffsetsRequestTopicPartition()
	part.Timestamp = -1
	topic.Partitions = append(topic.Partitions, part)
	req.Topics = append(req.Topics, topic)
	resp, err := req.RequestWith(context.Background(), client)
	if err != nil {
		t.Fatal(err)
	}
	end := resp.Topics[0].Partitions[0].Offset
	client.AddConsumePartitions(map[string]map[int32]kgo.Offset{"t": {0: kgo.NewOffset().AtStart()}})
	var all []*kgo.Record
	for int64(len(all)) < end {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		fetches := client.PollFetches(ctx)
		cancel()
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		all = append(all, fetches.Records()...)
	}
	return all
}

func TestConformance(t *testing.T) {
	open := func(t *testing.T) sinktest.Destination {
		c := broker(t)
		s, err := New(options(t, c, "t"))
		if err != nil {
			t.Fatal(err)
		}
		return sinktest.Destination{
			Sink: s, Traits: sinktest.Traits{Resolution: time.Millisecond},
			Read: func() (all []sinktest.Entry, err error) {
				for _, r := range readAll(t, c) {
					var value struct{ Log string }
					if err := json.Unmarshal(r.Value, &value); err != nil {
						return nil, fmt.Errorf("%w: %q", err, r.Value)
					}
					all = append(all, sinktest.Entry{Time: r.Timestamp.UTC(), Text: value.Log})
				}
				return all, nil
			},
			Fail: func() {
				left := 2 // The suite sends as many; how the library divides them is not what it asks.
				c.ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) {
					req := r.(*kmsg.ProduceRequest)
					if left -= records(t, req); left > 0 {
						c.KeepControl()
					}
					return refuse(req, kerr.TopicAuthorizationFailed.Code), nil, true
				})
			},
		}
	}
	t.Run("lines", func(t *testing.T) { sinktest.Run(t, open) })
	t.Run("entries", func(t *testing.T) { sinktest.RunEntries(t, open) })
	t.Run("messages", func(t *testing.T) { sinktest.RunMessages(t, open) })
}

// records is how many there are in a request.
func records(t *testing.T, req *kmsg.ProduceRequest) (n int) {
	for _, topic := range req.Topics {
		for _, p := range topic.Partitions {
			var b kmsg.RecordBatch
			if err := b.ReadFrom(p.Records); err != nil {
				t.Errorf("read a batch: %v", err)
			}
			n += int(b.NumRecords)
		}
	}
	return n
}

// refuse answers a request with an error for each partition.
func refuse(req *kmsg.ProduceRequest, code int16) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.ProduceResponse)
	for _, t := range req.Topics {
		rt := kmsg.NewProduceResponseTopic()
		rt.Topic, rt.TopicID = t.Topic, t.TopicID
		for _, p := range t.Partitions {
			rp := kmsg.NewProduceResponseTopicPartition()
			rp.Partition, rp.ErrorCode = p.Partition, code
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

// messages makes a request of messages of one stream.
func messages(all ...*record.Message) *sinktest.Request {
	var events []sinktest.Event
	for _, m := range all {
		events = append(events, sinktest.Event{Time: time.Unix(0, m.Time), Message: m})
	}
	return sinktest.NewRequest(events...)
}

func send(t *testing.T, s *Sink, req sink.Request) sink.Outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	return s.Send(ctx, req)
}

func open(t *testing.T, o Options) *Sink {
	t.Helper()
	s, err := New(o)
	return sinktest.Opened(t, s, err)
}

// TestParts: key, headers, time and a missing value go with the value; what is no record
// is rejected, it alone.
func TestParts(t *testing.T) {
	c := broker(t)
	s := open(t, options(t, c, "t"))
	at := time.Date(2026, 11, 20, 8, 0, 0, 5e6, time.UTC)
	m := &record.Message{Time: at.UnixNano(), Form: record.FormJSON, Value: []byte("{\"a\":\n1}"), Key: []byte("key")}
	m.Headers = record.AppendHeader(record.AppendHeader(nil, []byte("h"), []byte("v")), []byte("null"), nil)
	bad := &record.Message{Time: at.UnixNano(), Form: record.FormJSON, Value: []byte("[1]")}
	none := &record.Message{Time: at.UnixNano(), Key: []byte("gone"), Null: true}
	out := send(t, s, messages(m, bad, none))
	if out.Verdict != sink.Delivered || len(out.Rejected) != 1 || out.Rejected[0].First != 1 || out.Rejected[0].End != 2 || out.Again != nil {
		t.Fatalf("%+v", out)
	}
	all := readAll(t, c)
	if len(all) != 2 {
		t.Fatalf("%d messages", len(all))
	}
	r := all[0]
	if string(r.Key) != "key" || string(r.Value) != `{"a":1}` || !r.Timestamp.Equal(at) || len(r.Headers) != 2 || r.Headers[0].Key != "h" ||
		string(r.Headers[0].Value) != "v" || r.Headers[1].Value != nil {
		t.Errorf("%+v", r)
	}
	if r := all[1]; string(r.Key) != "gone" || r.Value != nil {
		t.Errorf("%+v", r)
	}
}

// TestPartsOfALine: what belongs together can be told in JSON; raw text is the bytes alone.
func TestPartsOfALine(t *testing.T) {
	for format, want := range map[Format][]string{
		JSON: {`{"log":"one,","partial_message":"true","partial_id":"ID","partial_ordinal":"1","partial_last":"false"}`,
			`{"log":"two","partial_message":"true","partial_id":"ID","partial_ordinal":"2","partial_last":"true"}`, `{"log":"whole"}`},
		Raw: {"one,", "two", "whole"},
	} {
		c := broker(t)
		o := options(t, c, "t")
		o.Format = format
		at := time.Unix(1, 0)
		out := send(t, open(t, o), sinktest.NewRequest(
			sinktest.Event{Time: at, Body: "one,", Part: record.Part{Ordinal: 1}},
			sinktest.Event{Time: at, Body: "two", Part: record.Part{Ordinal: 2, Last: true}},
			sinktest.Event{Time: at, Body: "whole"}))
		if out.Verdict != sink.Delivered || out.Rejected != nil {
			t.Fatalf("%+v", out)
		}
		id := regexp.MustCompile(`"partial_id":"([0-9a-f]{40})"`)
		var got []string
		ids := map[string]bool{}
		for _, r := range readAll(t, c) {
			for _, found := range id.FindAllSubmatch(r.Value, -1) {
				ids[string(found[1])] = true
			}
			got = append(got, id.ReplaceAllString(string(r.Value), `"partial_id":"ID"`))
		}
		if !slices.Equal(got, want) || format == JSON && len(ids) != 1 {
			t.Errorf("format %d: %q with ids %v, want %q with one", format, got, ids, want)
		}
	}
}

// TestKeys: the key may be the tag, or a field.
func TestKeys(t *testing.T) {
	for key, want := range map[Key]string{KeyTag: sinktest.Streams[0], KeyField: "x1", KeyNone: "", KeyRecord: "own"} {
		c := broker(t)
		o := options(t, c, "t")
		o.Key, o.KeyField, o.Format = key, "id", Raw
		s := open(t, o)
		out := send(t, s, messages(&record.Message{Form: record.FormJSON, Value: []byte(`{ "id": "x1" }`), Key: []byte("own")}))
		if out.Verdict != sink.Delivered || out.Rejected != nil {
			t.Fatalf("%+v", out)
		}
		if r := readAll(t, c)[0]; string(r.Key) != want || string(r.Value) != `{ "id": "x1" }` {
			t.Errorf("key %d: %q, %q", key, r.Key, r.Value)
		}
	}
}

// TestVerdicts: each message is answered for by itself: one that is too large is given
// up, a topic that is not there is waited for, and what is neither is delivered.
func TestVerdicts(t *testing.T) {
	c := broker(t)
	o := options(t, c, "{tag}")
	o.MaxMessage = 64 << 10
	s := open(t, o)
	req := sinktest.NewRequest(
		sinktest.Event{Stream: 0, Time: time.Unix(1, 0), Body: "nowhere"},
		sinktest.Event{Stream: 1, Time: time.Unix(1, 0), Body: "nowhere either"},
	)
	out := send(t, s, req)
	if out.Verdict != sink.Retry || !out.Config || out.Err == nil || !strings.Contains(out.Err.Error(), `the topic "std`) || out.Unsure {
		t.Errorf("no such topic: %+v", out)
	}
	o.Topic = options(t, c, "t").Topic
	s = open(t, o)
	out = send(t, s, messages(
		&record.Message{Value: []byte("before")},
		&record.Message{Value: make([]byte, 100<<10)},
		&record.Message{Value: []byte("after")},
	))
	if out.Verdict != sink.Delivered || len(out.Rejected) != 1 || out.Rejected[0].First != 1 || out.Rejected[0].Reason != "rejected-too-long" {
		t.Errorf("too large: %+v", out)
	}
	if n := len(readAll(t, c)); n != 2 {
		t.Errorf("%d messages are there, want 2", n)
	}
}

// TestBatchTooLarge: where a broker takes less than is configured here, messages are not
// given up because the library has put them together.
func TestBatchTooLarge(t *testing.T) {
	c := broker(t)
	o := options(t, c, "t")
	o.MaxMessage, o.Linger = 4<<20, 50*time.Millisecond
	s := open(t, o)
	var all []*record.Message
	for range 4 {
		all = append(all, &record.Message{Value: make([]byte, 100<<10)}) // Six times as much in JSON.
	}
	all = append(all, &record.Message{Value: make([]byte, 300<<10)})
	out := send(t, s, messages(all...))
	if out.Verdict != sink.Delivered || len(out.Rejected) != 1 || out.Rejected[0].First != 4 || out.Again != nil {
		t.Errorf("%+v", out)
	}
	if n := len(readAll(t, c)); n != 4 {
		t.Errorf("%d messages are there, want 4", n)
	}
}

// silence keeps a broker from answering until answer is called.
func silence(c *kfake.Cluster) (answer func()) {
	over := make(chan struct{})
	c.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.SleepControl(func() { <-over })
		return nil, nil, false
	})
	return func() { close(over) }
}

// TestLate: an attempt that runs out of time leaves its messages with the library, and
// the next one of the same request sends nothing again.
func TestLate(t *testing.T) {
	c := broker(t)
	s := open(t, options(t, c, "t"))
	answer := silence(c)
	req := messages(&record.Message{Value: []byte("once")})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if out := s.Send(ctx, req); out.Verdict != sink.Retry || !out.Unsure {
		t.Errorf("%+v", out)
	}
	answer()
	if out := send(t, s, req); out.Verdict != sink.Delivered || out.Unsure {
		t.Errorf("%+v", out)
	}
	if n := len(readAll(t, c)); n != 1 {
		t.Errorf("%d messages are there, want 1", n)
	}
}

// TestManyLate: of the requests whose attempts ran out of time, those that are tried
// again are sent once, however many there are that do not come again.
func TestManyLate(t *testing.T) {
	c := broker(t)
	s := open(t, options(t, c, "t"))
	answer := silence(c)
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	again := messages(&record.Message{Value: []byte("again")})
	for i := range maxPending + 8 {
		others := make([]*record.Message, i+2)
		for j := range others {
			others[j] = &record.Message{Value: []byte("other")}
		}
		for _, req := range []*sinktest.Request{messages(others...), again} {
			if out := s.Send(cancelled, req); out.Verdict != sink.Retry || !out.Unsure {
				t.Fatalf("%+v", out)
			}
		}
	}
	answer()
	if out := send(t, s, again); out.Verdict != sink.Delivered {
		t.Errorf("%+v", out)
	}
	var n int
	for _, r := range readAll(t, c) {
		if strings.Contains(string(r.Value), "again") {
			n++
		}
	}
	if n != 1 {
		t.Errorf("it is there %d times, want once", n)
	}
}

// TestAway: a broker that cannot be reached is said to be, and nothing is lost.
func TestAway(t *testing.T) {
	c := broker(t)
	o := options(t, c, "t")
	addr := c.ListenAddrs()
	c.Close()
	o.Client = []kgo.Opt{kgo.SeedBrokers(addr...)}
	s := open(t, o)
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	if out := s.Send(ctx, messages(&record.Message{Value: []byte("x")})); out.Verdict != sink.Retry || out.Err == nil {
		t.Errorf("%+v", out)
	} else {
		t.Log(out.Err)
	}
	if err := s.Check(ctx); err == nil {
		t.Error("Check finds a broker")
	}
}

// TestSoonAway: why there is no connection is said long before an attempt's time is over.
func TestSoonAway(t *testing.T) {
	c := broker(t)
	o := options(t, c, "t")
	o.Client = append(o.Client, kgo.SASL(plain.Auth{User: "u", Pass: "wrong"}.AsMechanism()))
	c.ControlKey(int16(kmsg.SASLHandshake), func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		resp := r.ResponseKind().(*kmsg.SASLHandshakeResponse)
		resp.SupportedMechanisms = []string{"PLAIN"}
		return resp, nil, true
	})
	var right atomic.Bool
	c.ControlKey(int16(kmsg.SASLAuthenticate), func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		resp := r.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		if !right.Load() {
			resp.ErrorCode = kerr.SaslAuthenticationFailed.Code
		}
		return resp, nil, true
	})
	s := open(t, o)
	req := messages(&record.Message{Value: []byte("once")})
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out := s.Send(ctx, req)
	if out.Verdict != sink.Retry || !out.Config || ctx.Err() != nil || !strings.Contains(fmt.Sprint(out.Err), "refuses the user or the password") {
		t.Errorf("%+v (%v); expected why, and that somebody must act", out, ctx.Err())
	}
	right.Store(true)
	for out.Verdict == sink.Retry && ctx.Err() == nil { // The library pauses between its connections.
		out = s.Send(ctx, req)
	}
	if out.Verdict != sink.Delivered {
		t.Errorf("%+v", out)
	}
	if n := len(readAll(t, c)); n != 1 {
		t.Errorf("%d messages are there, want 1", n)
	}
}

// A broker that wants SASL and is shown none answers which versions it speaks, and closes the
// connection at the first request: the attempt says so, while the library goes on trying.
func TestClosedUnanswered(t *testing.T) {
	c := broker(t)
	c.ControlKey(int16(kmsg.Metadata), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		return nil, errors.New("no SASL"), true
	})
	s := open(t, options(t, c, "t"))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out := s.Send(ctx, messages(&record.Message{Value: []byte("x")}))
	if out.Verdict != sink.Retry || out.Err == nil || !strings.Contains(out.Err.Error(), "expects SASL where none is configured") {
		t.Errorf("%+v", out)
	}
}
