package kafka

import (
	"context"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/spillway/spillway/internal/kafkaclient"
)

// metadataAge is how soon new topics and partitions are seen.
const metadataAge = 30 * time.Second

// options are those of the client: its part is the group.
func (s *Source) options() []kgo.Opt {
	c := &s.cfg
	opts := append([]kgo.Opt{}, c.Client...)
	opts = append(opts,
		kgo.ConsumerGroup(c.Group), kgo.Balancers(kgo.CooperativeStickyBalancer()), kgo.DisableAutoCommit(),
		kgo.SessionTimeout(c.SessionTimeout), kgo.HeartbeatInterval(c.SessionTimeout/5), kgo.RebalanceTimeout(max(rebalanceTimeout, 2*c.RebalanceWait)),
		kgo.MetadataMaxAge(metadataAge), kgo.MetadataMinAge(250*time.Millisecond), kgo.DisableClientMetrics(),
		kgo.AdjustFetchOffsetsFn(s.assigned), kgo.OnPartitionsAssigned(s.joined), kgo.OnPartitionsRevoked(s.revoked), kgo.OnPartitionsLost(s.lost),
		kgo.BrokerMaxReadBytes(maxAnswer), kgo.Dialer(s.dial), kgo.WithHooks(hooks{s}), kgo.WithLogger(logger{s}), kgo.WithContext(context.Background()),
	)
	if c.InstanceID != "" {
		opts = append(opts, kgo.InstanceID(c.InstanceID))
	}
	if len(c.Patterns) > 0 {
		opts = append(opts, kgo.ConsumeRegex(), kgo.ConsumeTopics(c.Patterns...), kgo.ConsumeExcludeTopics(c.Exclude...))
	} else {
		opts = append(opts, kgo.ConsumeTopics(c.Topics...))
	}
	return opts
}

const (
	// rebalanceTimeout is how long a rebalance waits for a member.
	rebalanceTimeout = 60 * time.Second
	// maxAnswer is the largest answer of a broker, in bytes: a broker sends a batch
	// that is larger than what was asked for whole.
	maxAnswer = 256 << 20
)

// assigned is called when offsets of partitions that were assigned are known. What it
// returns the library would fetch; that is done here.
func (s *Source) assigned(ctx context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	var all []*partition
	committed := make(map[place]int64)
	for topic, numbers := range offsets {
		for number, offset := range numbers {
			at := place{topic, number}
			all = append(all, newPartition(at, s.cfg.Tag(topic, number)))
			committed[at] = offset.EpochOffset().Offset
		}
	}
	if len(all) == 0 {
		return nil, nil
	}
	<-s.ready // The library begins before it is here.
	if err := s.identify(ctx, all); err != nil {
		s.troubled("metadata", place{number: -1}, err)
		return nil, err
	}
	if err := s.position(ctx, all, committed); err != nil {
		s.troubled("offsets", place{number: -1}, err)
		return nil, err
	}
	s.mu.Lock()
	for _, p := range all {
		if old := s.partitions[p.place]; old != nil {
			old.fence()
		}
		if s.stopped {
			p.stop()
		}
		s.partitions[p.place] = p
	}
	s.mu.Unlock()
	s.counts.rebalances.Add(1)
	s.trouble.clear("metadata")
	s.trouble.clear("offsets")
	ask(s.locate)
	ask(s.due)
	return nil, nil
}

// joined is called when the member is in its group, whether it is assigned something
// or not.
func (s *Source) joined(context.Context, *kgo.Client, map[string][]int32) { s.trouble.clear("group") }

// revoked gives partitions away: nothing more of them is handed over, what is under
// way gets a while to settle, and what is settled is committed.
func (s *Source) revoked(ctx context.Context, _ *kgo.Client, lost map[string][]int32) {
	going := s.take(lost)
	if len(going) == 0 {
		return
	}
	wait, cancel := context.WithTimeout(ctx, s.cfg.RebalanceWait)
	defer cancel()
	var all sync.WaitGroup
	for _, p := range going {
		all.Go(func() { <-p.drained(wait) })
	}
	all.Wait()
	s.committing.Lock()
	defer s.committing.Unlock()
	if err := s.commit(ctx, going); err != nil {
		s.troubled("commit", place{number: -1}, err)
	}
	s.forget(going)
}

// lost drops partitions that somebody else may have already: what is told of them
// from now on comes too late.
func (s *Source) lost(_ context.Context, _ *kgo.Client, lost map[string][]int32) {
	going := s.take(lost)
	for _, p := range going {
		p.fence()
	}
	s.committing.Lock()
	defer s.committing.Unlock()
	s.forget(going)
}

// take stops partitions.
func (s *Source) take(lost map[string][]int32) (going []*partition) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for topic, numbers := range lost {
		for _, number := range numbers {
			if p := s.partitions[place{topic, number}]; p != nil {
				p.stop()
				going = append(going, p)
			}
		}
	}
	return going
}

// forget ends partitions. No commit is under way.
func (s *Source) forget(going []*partition) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range going {
		p.fence()
		if s.partitions[p.place] == p {
			delete(s.partitions, p.place)
			s.trouble.clear(partitionReason(p.place))
		}
	}
	s.wake()
}

// leave commits what is settled and leaves the group, so that the others have the
// partitions at once; of a static member they stay as they are.
func (s *Source) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	s.committing.Lock()
	if err := s.commit(ctx, nil); err != nil {
		s.troubled("commit", place{number: -1}, err)
	}
	s.committing.Unlock()
	if s.cfg.InstanceID == "" {
		if err := s.client.LeaveGroupContext(ctx); err != nil {
			s.troubled("leave", place{number: -1}, err)
		}
	}
	s.client.Close()
}

// leaveTimeout is how long the end waits for brokers.
const leaveTimeout = 5 * time.Second

// drainPolls takes what the library puts beside fetches: errors of the group, which
// the hooks tell as well.
func (s *Source) drainPolls() {
	for {
		fetches := s.client.PollFetches(s.answering)
		if fetches.IsClientClosed() || s.answering.Err() != nil {
			return
		}
		fetches.EachError(func(topic string, number int32, err error) {
			if number < 0 || topic == "" {
				number = -1
			}
			if topic == "" {
				err = kafkaclient.GroupError(s.cfg.Group, err)
			} else {
				err = kafkaclient.TopicError(topic, needs, err)
			}
			s.troubled("group", place{topic, number}, err)
		})
	}
}
