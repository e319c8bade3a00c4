package kafka

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/spillway/spillway/internal/kafkaclient"
)

// needs are the rights on a topic.
const needs = "Describe and Read"

// metadata asks the cluster for topics.
func (s *Source) metadata(ctx context.Context, topics map[string]bool) (*kmsg.MetadataResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, metadataTimeout)
	defer cancel()
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{}
	for topic := range topics {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(topic)
		req.Topics = append(req.Topics, t)
	}
	resp, err := req.RequestWith(ctx, s.client)
	if err != nil {
		return nil, fmt.Errorf("ask brokers for topics: %w", err)
	}
	return resp, nil
}

const metadataTimeout = 15 * time.Second

// identify finds out which creations of their topics partitions belong to, and who
// leads them.
func (s *Source) identify(ctx context.Context, all []*partition) error {
	resp, err := s.metadata(ctx, topicsOf(all))
	if err != nil {
		return err
	}
	cluster := ""
	if resp.ClusterID != nil {
		cluster = *resp.ClusterID
	}
	found := make(map[string]*kmsg.MetadataResponseTopic)
	for i := range resp.Topics {
		if t := &resp.Topics[i]; t.Topic != nil {
			found[*t.Topic] = t
		}
	}
	for _, p := range all {
		t := found[p.topic]
		if t == nil {
			return fmt.Errorf("find the topic %s: the brokers say nothing of it", p.topic)
		}
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
			return fmt.Errorf("find the topic %s: %w", p.topic, err)
		}
		p.identify(t.TopicID, nameID(cluster, p.topic))
	}
	return nil
}

// nameID stands for a topic's id where brokers have none, which came with Kafka 2.8: a
// topic that is created anew then passes for the old one.
func nameID(cluster, topic string) (id [16]byte) {
	sum := sha256.Sum256([]byte("spillway topic 1" + strconv.Itoa(len(cluster)) + ":" + cluster + topic))
	copy(id[:], sum[:])
	return id
}

func topicsOf(all []*partition) map[string]bool {
	topics := make(map[string]bool)
	for _, p := range all {
		topics[p.topic] = true
	}
	return topics
}

// position says where partitions begin, and commits that of those of which the group
// knows nothing: what is written between now and the first commit would be passed over
// by the next member that starts at the latest.
func (s *Source) position(ctx context.Context, all []*partition, committed map[place]int64) error {
	var fresh, reborn []*partition
	s.mu.Lock()
	for _, p := range all {
		switch at := committed[p.place]; {
		case at >= 0:
			p.seek(at, at)
		case !s.reborn[p.topic].IsZero():
			reborn = append(reborn, p)
		default:
			fresh = append(fresh, p)
		}
	}
	s.mu.Unlock()
	if err := s.seek(ctx, fresh, s.cfg.Start); err != nil {
		return err
	}
	// What was created while its name was being read is read from its beginning.
	return s.seek(ctx, reborn, Start{From: FromEarliest})
}

// seek has partitions begin at a start.
func (s *Source) seek(ctx context.Context, all []*partition, start Start) error {
	if len(all) == 0 {
		return nil
	}
	at, err := s.startOf(ctx, all, start)
	if err != nil {
		return err
	}
	for _, p := range all {
		p.seek(at[p.place], -1)
	}
	return nil
}

// startOf finds the offsets at which partitions begin.
func (s *Source) startOf(ctx context.Context, all []*partition, start Start) (map[place]int64, error) {
	var topics []string
	for topic := range topicsOf(all) {
		topics = append(topics, topic)
	}
	admin := kadm.NewClient(s.client)
	ask := func() (kadm.ListedOffsets, error) {
		switch start.From {
		case FromLatest:
			if s.cfg.ReadCommitted {
				return admin.ListCommittedOffsets(ctx, topics...)
			}
			return admin.ListEndOffsets(ctx, topics...)
		case FromTime:
			return admin.ListOffsetsAfterMilli(ctx, start.At, topics...)
		}
		return admin.ListStartOffsets(ctx, topics...)
	}
	listed, err := ask()
	if err != nil {
		return nil, fmt.Errorf("ask brokers for offsets: %w", err)
	}
	found := make(map[place]int64)
	for _, p := range all {
		o, ok := listed.Lookup(p.topic, p.number)
		if !ok {
			return nil, fmt.Errorf("ask brokers for the offsets of %s/%d: they say nothing", p.topic, p.number)
		}
		if o.Err != nil {
			return nil, fmt.Errorf("ask brokers for the offsets of %s/%d: %w", p.topic, p.number, kafkaclient.TopicError(p.topic, needs, o.Err))
		}
		found[p.place] = max(o.Offset, 0)
	}
	return found, nil
}

// outOfRange finds where to go on when a broker does not have what was asked for:
// behind what retention has removed, or at the end of a log that has become shorter.
func (s *Source) outOfRange(w *want) {
	at, err := s.startOf(s.ctx, []*partition{w.partition}, Start{From: FromEarliest})
	to := at[w.place]
	if err == nil && to <= w.at {
		at, err = s.startOf(s.ctx, []*partition{w.partition}, Start{From: FromLatest})
		if to = at[w.place]; to > w.at {
			// It is there after all: a new leader had less for a moment.
			w.standstill(time.Now())
			return
		}
	}
	if err != nil {
		w.standstill(time.Now())
		s.troubled("offsets", w.place, err)
		return
	}
	s.trouble.clear("offsets")
	if to == w.at {
		// It is there, or will be: the broker that was asked does not know yet.
		w.standstill(time.Now())
		ask(s.locate)
		return
	}
	if to < w.at {
		s.restart(w.partition, to)
		return
	}
	if missed, ok := w.jump(w, to); ok {
		s.missed(w, missed, to)
		ask(s.due)
	}
}

// missed tells of offsets that nobody can read any more.
func (s *Source) missed(w *want, n, to int64) {
	if n > 0 {
		s.counts.missed.Add(n)
		s.cfg.Router.Miss(w.tag, time.Now().UnixNano(), n)
		s.event("missed", w.place, fmt.Errorf("%d offsets from %d on are gone from the log before they were read: it begins at %d", n, to-n, to))
	}
}

// epochOffset is what a commit says.
func epochOffset(at int64) kgo.EpochOffset { return kgo.EpochOffset{Epoch: -1, Offset: at} }
