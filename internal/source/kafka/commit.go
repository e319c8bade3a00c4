package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/spillway/spillway/internal/kafkaclient"
)

// commits commits from time to time what has become settled.
func (s *Source) commits() {
	ticker := time.NewTicker(s.cfg.CommitEvery)
	defer ticker.Stop()
	for {
		select {
		case <-s.answering.Done():
			return
		case <-ticker.C:
		case <-s.due:
		}
		s.committing.Lock()
		ctx, cancel := context.WithTimeout(s.answering, commitTimeout)
		err := s.commit(ctx, nil)
		cancel()
		s.committing.Unlock()
		if err != nil && s.answering.Err() == nil {
			s.troubled("commit", place{number: -1}, err)
		}
	}
}

const commitTimeout = 30 * time.Second

// commit commits of partitions, or of all where none are given, the offset before
// which everything is settled. committing is held.
func (s *Source) commit(ctx context.Context, only []*partition) error {
	s.mu.Lock()
	all := only
	if all == nil {
		all = s.all()
	}
	s.mu.Unlock()
	offsets := make(map[string]map[int32]kgo.EpochOffset)
	told := make(map[place]*partition)
	for _, p := range all {
		p.mu.Lock()
		if !p.gone && p.done > p.committed {
			if offsets[p.topic] == nil {
				offsets[p.topic] = make(map[int32]kgo.EpochOffset)
			}
			offsets[p.topic][p.number] = epochOffset(p.done)
			told[p.place] = p
		}
		p.mu.Unlock()
	}
	if len(told) == 0 {
		if only == nil {
			s.trouble.clear("commit") // Of what failed, nothing is here any more.
		}
		return nil
	}
	// A topic that was created anew meanwhile must not get the offsets of the old one.
	ctx = kgo.PreCommitFnContext(ctx, func(req *kmsg.OffsetCommitRequest) error {
		for i := range req.Topics {
			t := &req.Topics[i]
			for j := range t.Partitions {
				p := told[place{t.Topic, t.Partitions[j].Partition}]
				if p != nil && t.TopicID != ([16]byte{}) && p.id != ([16]byte{}) && t.TopicID != p.id {
					ask(s.locate)
					return fmt.Errorf("%w: %s", errRecreated, t.Topic)
				}
			}
		}
		return nil
	})
	var failed error
	s.client.CommitOffsetsSync(ctx, offsets, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
		if failed = err; err == nil {
			failed = s.commitAnswer(offsets, told, resp)
		}
	})
	if failed == nil {
		s.counts.commits.Add(1)
		s.trouble.clear("commit")
		return nil
	}
	return kafkaclient.CommitError(s.cfg.Group, failed) // It is tried again, with whatever is settled by then.
}

var errRecreated = errors.New("the topic was created anew")

// commitAnswer notes what the group knows now.
func (s *Source) commitAnswer(offsets map[string]map[int32]kgo.EpochOffset, told map[place]*partition, resp *kmsg.OffsetCommitResponse) (failed error) {
	for i := range resp.Topics {
		t := &resp.Topics[i]
		for j := range t.Partitions {
			number := t.Partitions[j].Partition
			p := told[place{t.Topic, number}]
			if p == nil {
				continue
			}
			if err := kerr.ErrorForCode(t.Partitions[j].ErrorCode); err != nil {
				failed = errors.Join(failed, fmt.Errorf("partition %d: %w", number, kafkaclient.TopicError(t.Topic, needs, err)))
				continue
			}
			p.mu.Lock()
			p.committed = max(p.committed, offsets[t.Topic][number].Offset)
			p.mu.Unlock()
		}
	}
	return failed
}

// told takes what became of a chunk.
func (s *Source) told(p *partition, at *span, ok bool) {
	commit, again, late := p.settle(at, ok)
	switch {
	case late:
		s.counts.late.Add(1)
	case again:
		s.counts.lost.Add(1)
		s.poke()
	case commit:
		// The ticker commits. A partition that stood still may go on.
		s.poke()
	}
}

// poke wakes the feeds, if there is one that waits.
func (s *Source) poke() {
	if s.idle.Load() == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wake()
}
