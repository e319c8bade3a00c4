package kafka

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/source/kafka/wire"
)

// TestPoison: what is no record ends in a named state each, and the partition goes on.
func TestPoison(t *testing.T) {
	for _, fate := range []Tombstone{TombstoneDrop, TombstoneDelete, TombstoneDeadLetter} {
		c := newCluster(t, kfake.SeedTopics(1, "t"), kfake.BrokerConfigs(map[string]string{"message.max.bytes": "80000000"}))
		big, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.ProducerBatchMaxBytes(60<<20), kgo.ProducerBatchCompression(kgo.NoCompression()))
		if err != nil {
			t.Fatal(err)
		}
		defer big.Close()
		c.write(&kgo.Record{Topic: "t", Value: []byte(`{"a":1}`), Key: []byte("k"), Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("v")}}})
		c.write(&kgo.Record{Topic: "t", Value: []byte("no JSON")}, &kgo.Record{Topic: "t", Value: []byte(`[1]`)}, &kgo.Record{Topic: "t", Value: []byte("\xff{}")})
		c.write(&kgo.Record{Topic: "t", Key: []byte("gone")})
		if err := big.ProduceSync(context.Background(), &kgo.Record{Topic: "t", Value: make([]byte, 40<<20)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		c.write(&kgo.Record{Topic: "t", Value: []byte(`{"a":2}`)})
		k := &sink{t: t}
		cfg := c.config(k, "t")
		cfg.Convert.Tombstone = fate
		var dropped atomic.Int64
		cfg.Dropped = func(tag string, records, bytes int64) {
			if tag != "t.0" || bytes < records {
				t.Errorf("dropped %d of %s, %d bytes", records, tag, bytes)
			}
			dropped.Add(records)
		}
		s := start(t, cfg)
		await(t, "the commit", func() bool { return c.committed("group", "t", 0) == 7 })
		counts := s.Counts()
		if counts.Tombstones != 1 || counts.TooLarge != 1 {
			t.Errorf("%+v", counts)
		}
		if want := map[Tombstone]int64{TombstoneDrop: 1}[fate]; dropped.Load() != want || counts.Records != 7 {
			t.Errorf("%d: %d dropped, want %d; %d records, want 7", fate, dropped.Load(), want, counts.Records)
		}
		// What is no object of JSON is the sink's to refuse.
		large := record.Refusal{Reason: "too-large"}
		want := map[Tombstone][]record.Refusal{
			TombstoneDrop: {large}, TombstoneDelete: {large}, TombstoneDeadLetter: {{Reason: "tombstone"}, large},
		}[fate]
		var refusals []record.Refusal
		for _, m := range k.refused {
			refusals = append(refusals, m.why)
		}
		if diff := cmp.Diff(want, refusals); diff != "" || len(k.taken) != map[Tombstone]int{TombstoneDrop: 6, TombstoneDelete: 7, TombstoneDeadLetter: 7}[fate] || counts.Records != 7 {
			t.Errorf("%d: %d taken, %+v, refused (-want +got):\n%s", fate, len(k.taken), counts, diff)
		}
		if m := k.taken[0]; m.key != "k" || m.header["h"] != "v" || m.value != `{"a":1}` {
			t.Errorf("%+v", m)
		}
		last := k.refused[len(k.refused)-1]
		if last.at != "t/0/5" || !strings.Contains(last.value, "kafka:t/0/5@") || len(last.value) > 300 {
			t.Errorf("the large one is %+v", last)
		}
		if fate == TombstoneDelete && !slices.ContainsFunc(k.admitted, func(m message) bool { return m.null && m.at == "t/0/4" }) {
			t.Errorf("no tombstone among %+v", k.admitted)
		}
	}
}

// TestRefusedValues: what is not of the format is refused with the reason.
func TestRefusedValues(t *testing.T) {
	for want, how := range map[string]Convert{
		"no-match": {Format: FormatRegexp, Pattern: regexp.MustCompile(`^(?P<n>\d+)$`)}, "not-msgpack": {Format: FormatMsgpack},
	} {
		c := newCluster(t, kfake.SeedTopics(1, "t"))
		c.put("t", 0, "neither", "nor")
		k := &sink{t: t}
		cfg := c.config(k, "t")
		cfg.Convert = how
		start(t, cfg)
		await(t, "the commit", func() bool { return c.committed("group", "t", 0) == 2 })
		if len(k.refused) != 2 || k.refused[0].why != (record.Refusal{Reason: want}) || k.refused[1].value != "nor" {
			t.Errorf("%s: %+v", want, k.refused)
		}
	}
}

// TestTransactions: what was aborted is not read, and what is open is waited for.
func TestTransactions(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(1, "t"))
	producer, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.TransactionalID("x"), kgo.DefaultProduceTopic("t"))
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	transaction := func(end kgo.TransactionEndTry, values ...string) {
		t.Helper()
		if err := producer.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for _, v := range values {
			if err := producer.ProduceSync(context.Background(), kgo.StringRecord(v)).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		if err := producer.EndTransaction(context.Background(), end); err != nil {
			t.Fatal(err)
		}
	}
	transaction(kgo.TryCommit, "1", "2")
	transaction(kgo.TryAbort, "aborted", "aborted too")
	transaction(kgo.TryCommit, "3")
	c.put("t", 0, "4")
	k := &sink{t: t}
	cfg := c.config(k, "t")
	cfg.Convert.Format = FormatText
	s := start(t, cfg)
	await(t, "all records", k.has(4))
	// 6 records, 3 control records, 1 record.
	await(t, "the end", func() bool { at := c.committed("group", "t", 0); return at >= 9 })
	for i, m := range k.taken {
		if m.value != string(rune('1'+i)) {
			t.Errorf("record %d is %q", i, m.value)
		}
	}
	if n := s.Counts().Aborted; n != 2 {
		t.Errorf("%d records were aborted, want 2", n)
	}
}

// answer makes the answer to a fetch, with an error for each partition.
func answerFetch(req *kmsg.FetchRequest, code int16) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.FetchResponse)
	for _, t := range req.Topics {
		rt := kmsg.NewFetchResponseTopic()
		rt.Topic, rt.TopicID = t.Topic, t.TopicID
		for _, p := range t.Partitions {
			rp := kmsg.NewFetchResponseTopicPartition()
			rp.Partition, rp.ErrorCode = p.Partition, code
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

// TestFetchErrors: whatever a broker says, everything is read once in the end, and what
// is wrong can be seen meanwhile.
func TestFetchErrors(t *testing.T) {
	for _, wrong := range []*kerr.Error{
		kerr.NotLeaderForPartition, kerr.UnknownTopicID, kerr.FencedLeaderEpoch, kerr.TopicAuthorizationFailed, kerr.UnknownServerError, kerr.KafkaStorageError,
	} {
		c := newCluster(t, kfake.SeedTopics(1, "t"))
		c.put("t", 0, values(0, 10)...)
		left := 2
		c.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
			if left--; left < 0 {
				return nil, nil, false
			}
			c.KeepControl()
			return answerFetch(req.(*kmsg.FetchRequest), wrong.Code), nil, true
		})
		k := &sink{t: t}
		cfg := c.config(k, "t")
		seen := make(chan Event, 100)
		cfg.Report = func(e Event) {
			select {
			case seen <- e:
			default:
			}
		}
		s := start(t, cfg)
		await(t, wrong.Message, k.has(10))
		if e := <-seen; !errors.Is(e.Err, wrong) || e.Topic != "t" || e.Partition != 0 {
			t.Errorf("%s: told %+v", wrong.Message, e)
		}
		await(t, "the commit", func() bool { return c.committed("group", "t", 0) == 10 })
		if n := len(k.taken); n != 10 || s.Counts().Trouble != "" {
			t.Errorf("%s: %d taken, %+v", wrong.Message, n, s.Counts())
		}
	}
}

// TestDamaged: a batch that was changed on its way is asked for again; one that stays so
// becomes one dead letter, and the records around it are read.
func TestDamaged(t *testing.T) {
	for _, times := range []int{1, damageTries} {
		c := newCluster(t, kfake.SeedTopics(1, "t"))
		for i := range 3 {
			c.put("t", 0, values(10*i, 10*i+10)...)
		}
		k := &sink{t: t}
		cfg := c.config(k, "t")
		left := times
		s, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		// The answer is changed before it is read.
		s.spoil = func(resp *kmsg.FetchResponse) {
			for i := range resp.Topics {
				for j := range resp.Topics[i].Partitions {
					for rest := resp.Topics[i].Partitions[j].RecordBatches; ; {
						batch, after, ok := wire.Split(rest)
						if !ok {
							break
						}
						if first, _, ok := wire.Bounds(batch); ok && first == 10 && left > 0 {
							left--
							batch[len(batch)-1] ^= 1
						}
						rest = after
					}
				}
			}
		}
		s.Start()
		await(t, "the commit", func() bool { return c.committed("group", "t", 0) == 30 })
		want, refused := 30, 0
		if times == damageTries {
			want, refused = 20, 1
		}
		if len(k.taken)-refused != want || len(k.refused) != refused {
			t.Errorf("%d times: %d taken, %d refused", times, len(k.taken), len(k.refused))
		}
		if n := s.Counts().Unreadable; int(n) != refused {
			t.Errorf("%d are unreadable", n)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestMissing: a topic that is not there is told of, and read once it is.
func TestMissing(t *testing.T) {
	c := newCluster(t)
	k := &sink{t: t}
	cfg := c.config(k, "later")
	s := start(t, cfg)
	await(t, "the trouble", func() bool { return strings.Contains(s.Counts().Trouble, `"later" does not exist`) })
	if _, err := kadm.NewClient(c.Client).CreateTopic(context.Background(), 1, 1, nil, "later"); err != nil {
		t.Fatal(err)
	}
	c.put("later", 0, values(0, 5)...)
	await(t, "the records", k.has(5))
	await(t, "the end of the trouble", func() bool { return s.Counts().Trouble == "" })
}

// TestUnreachable: a broker that is not there is told of, and the source can be closed.
func TestUnreachable(t *testing.T) {
	k := &sink{t: t}
	c := newCluster(t)
	cfg := c.config(k, "t")
	cfg.Client = []kgo.Opt{kgo.SeedBrokers("127.0.0.1:1"), kgo.DialTimeout(time.Second)}
	s := start(t, cfg)
	await(t, "the trouble", func() bool { return strings.Contains(s.Counts().Trouble, "connect to the broker 127.0.0.1:1") })
}

// TestRegexp: topics by expressions, without those that are excluded.
func TestRegexp(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(1, "app.a", "app.b", "app.secret", "other"))
	for _, topic := range []string{"app.a", "app.b", "app.secret", "other"} {
		c.put(topic, 0, "x")
	}
	k := &sink{t: t}
	cfg := c.config(k)
	cfg.Topics, cfg.Patterns, cfg.Exclude = nil, []string{`^(?:app\..*)$`}, []string{"^(?:.*secret)$"}
	cfg.Convert.Format = FormatText
	s := start(t, cfg)
	await(t, "the records", k.has(2))
	if all := k.each(); all["app.a/0/0"] != 1 || all["app.b/0/0"] != 1 || len(s.Counts().Partitions) != 2 {
		t.Errorf("%v, %+v", all, s.Counts().Partitions)
	}
}

// TestAhead: a partition stops when it has run far enough past what is not settled.
func TestAhead(t *testing.T) {
	c := newCluster(t, kfake.SeedTopics(1, "t"))
	for i := range 50 {
		c.put("t", 0, values(100*i, 100*i+100)...)
	}
	k := &sink{t: t, hold: true}
	cfg := c.config(k, "t")
	cfg.MaxAhead, cfg.Memory = 1000, 1 // Small answers.
	s := start(t, cfg)
	await(t, "enough", func() bool { n, _, _ := k.counts(); return n >= 1000 })
	k.release(true)
	await(t, "the rest", k.has(5000))
	await(t, "the commit", func() bool { return c.committed("group", "t", 0) == 5000 })
	if n := s.Counts().Records; n != 5000 {
		t.Errorf("%d records", n)
	}
}
