package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/spillway/spillway/internal/kafkaclient"
)

// watch looks at topics and leaders: when it is asked to, and from time to time.
func (s *Source) watch() {
	pause := minPause
	for {
		next := lookEvery
		if err := s.look(s.answering); err != nil && s.answering.Err() == nil {
			s.troubled("metadata", place{number: -1}, err)
			next, pause = pause, min(2*pause, maxPause)
		} else {
			s.trouble.clear("metadata")
			pause = minPause
		}
		timer := time.NewTimer(next)
		select {
		case <-s.answering.Done():
			timer.Stop()
			return
		case <-timer.C:
		case <-s.locate:
			// Several partitions ask at once, and leaders take a moment to change.
			timer.Reset(minPause)
			select {
			case <-s.answering.Done():
			case <-timer.C:
			}
			timer.Stop()
		}
	}
}

const (
	lookEvery = 30 * time.Second
	// rebornFor is how long partitions of a topic that was created anew begin at their
	// beginning. The group divides them among its members long before.
	rebornFor = time.Hour
)

// look asks who leads the partitions, and which creation of its topic each is of.
func (s *Source) look(ctx context.Context) error {
	s.mu.Lock()
	topics := topicsOf(s.all())
	for topic, at := range s.reborn {
		if time.Since(at) > rebornFor {
			delete(s.reborn, topic)
		}
	}
	s.mu.Unlock()
	for _, topic := range s.cfg.Topics {
		topics[topic] = true
	}
	if len(topics) == 0 {
		return s.client.Ping(ctx)
	}
	resp, err := s.metadata(ctx, topics)
	if err != nil {
		return err
	}
	var errs []error
	for i := range resp.Topics {
		t := &resp.Topics[i]
		if t.Topic == nil {
			continue
		}
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
			errs = append(errs, kafkaclient.TopicError(*t.Topic, needs, err))
			continue
		}
		if s.lead(*t.Topic, t) {
			// The library keeps to the topic that it knew, until it is told to forget it. Then
			// the group divides the new one's partitions.
			s.event("recreated", place{*t.Topic, -1}, errRecreated)
			s.client.PurgeTopicsFromConsuming(*t.Topic)
			s.client.AddConsumeTopics(*t.Topic)
		}
	}
	return errors.Join(errs...)
}

// lead notes the leaders of a topic's partitions. It reports whether the topic was
// deleted and created anew.
func (s *Source) lead(topic string, t *kmsg.MetadataResponseTopic) (again bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range t.Partitions {
		m := &t.Partitions[i]
		p := s.partitions[place{topic, m.Partition}]
		if p == nil {
			continue
		}
		if t.TopicID != p.id && t.TopicID != ([16]byte{}) && p.id != ([16]byte{}) {
			p.fence()
			delete(s.partitions, p.place)
			s.reborn[topic], again = time.Now(), true
			continue
		}
		if m.Leader >= 0 {
			p.mu.Lock()
			p.leader, p.leaderEpoch = m.Leader, m.LeaderEpoch
			p.mu.Unlock()
			s.feed(m.Leader)
		}
	}
	s.wake()
	return again
}

// restart reads a partition from an earlier offset on, because its log ends there: what
// was read behind it is gone, and what comes is new.
func (s *Source) restart(old *partition, at int64) {
	s.event("truncated", old.place, fmt.Errorf("the log ends at offset %d, before what was read of it", at))
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.partitions[old.place] == old {
		s.replace(old, at)
	}
}

// replace puts a partition that begins at an offset in the place of another, of which
// nothing counts any more. The lock is held.
func (s *Source) replace(old *partition, at int64) *partition {
	old.fence()
	p := newPartition(old.place, old.tag)
	p.id, p.at, p.leader, p.leaderEpoch = old.id, old.at, old.leader, old.leaderEpoch
	p.seek(at, -1)
	p.stopped = s.stopped
	s.partitions[p.place] = p
	ask(s.due)
	s.wake()
	return p
}
