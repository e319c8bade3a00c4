package kafka

import (
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/spillway/spillway/internal/kafkaclient"
	"github.com/spillway/spillway/internal/source/kafka/wire"
)

// fetchRequest asks by name where the topics have no ids.
type fetchRequest struct {
	*kmsg.FetchRequest
	byName bool
}

// MaxVersion implements kmsg.Request.
func (r *fetchRequest) MaxVersion() int16 {
	if r.byName {
		return 12
	}
	return min(r.FetchRequest.MaxVersion(), wire.MaxAnswerVersion)
}

const (
	// fetchWait is how long a broker waits for something to come, and sharedWait where
	// there are several, of which not all may be asked at once.
	fetchWait  = 500 * time.Millisecond
	sharedWait = 100 * time.Millisecond
	// maxPartition is what is asked for of one partition at once, in bytes.
	maxPartition = 1 << 20
	// leastPartition is what is asked for where a line is slow, in bytes.
	leastPartition = 16 << 10
)

// request asks for all wants. The order of a map is another each time, and the broker
// fills its answer in the order of the request.
func (f *feed) request(wants []want) *fetchRequest {
	req := &fetchRequest{FetchRequest: kmsg.NewPtrFetchRequest()}
	wait := fetchWait
	if f.several {
		wait = sharedWait
	}
	most := int64(0)
	for i := range wants {
		most += wants[i].most
	}
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes = int32(wait.Milliseconds()), 1, int32(min(most, f.fetch()))
	if f.cfg.ReadCommitted {
		req.IsolationLevel = 1
	}
	at := make(map[string]int)
	for _, w := range wants {
		i, known := at[w.topic]
		if !known {
			i = len(req.Topics)
			at[w.topic] = i
			t := kmsg.NewFetchRequestTopic()
			t.Topic, t.TopicID = w.topic, w.id
			req.byName = req.byName || w.id == [16]byte{}
			req.Topics = append(req.Topics, t)
		}
		p := kmsg.NewFetchRequestTopicPartition()
		p.Partition, p.FetchOffset, p.PartitionMaxBytes = w.number, w.at, int32(w.most)
		p.CurrentLeaderEpoch, p.LastFetchedEpoch = w.leaderEpoch, w.epoch
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, p)
	}
	return req
}

// ask fetches, and returns what there is to hand over.
func (f *feed) ask(wants []want) []*piece {
	answered, err := f.client.Broker(int(f.broker)).Request(f.ctx, f.request(wants))
	resp, isFetch := answered.(*kmsg.FetchResponse)
	if err == nil && !isFetch {
		err = fmt.Errorf("found an answer of another kind, %T", answered)
	}
	var blocks map[*kmsg.FetchResponseTopicPartition]*block
	if err == nil {
		blocks, err = f.redeem(resp)
	}
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if err != nil {
		release(blocks)
		f.failed(err)
		return nil
	}
	if f.spoil != nil {
		f.spoil(resp)
	}
	f.pause = 0
	f.trouble.clear(f.reason())
	f.counts.fetches.Add(1)
	if len(blocks) == 0 {
		f.memory.rest()
	}
	var pieces []*piece
	for i := range resp.Topics {
		t := &resp.Topics[i]
		for j := range t.Partitions {
			got := &t.Partitions[j]
			if w := wanted(wants, t, got.Partition); w != nil {
				if p := f.read(w, got, blocks[got]); p != nil {
					pieces = append(pieces, p)
					delete(blocks, got)
				}
			}
		}
	}
	release(blocks)
	return pieces
}

// redeem puts batches in the place of their tokens.
func (f *feed) redeem(resp *kmsg.FetchResponse) (blocks map[*kmsg.FetchResponseTopicPartition]*block, err error) {
	for i := range resp.Topics {
		for j := range resp.Topics[i].Partitions {
			p := &resp.Topics[i].Partitions[j]
			if len(p.RecordBatches) == 0 {
				continue
			}
			token, ok := wire.Token(p.RecordBatches)
			b := f.memory.redeem(token)
			if !ok || b == nil {
				return blocks, errLost
			}
			if blocks == nil {
				blocks = make(map[*kmsg.FetchResponseTopicPartition]*block)
			}
			if blocks[p] = b; b.aside {
				f.counts.putAside.Add(1)
			}
			p.RecordBatches = b.data
		}
	}
	return blocks, nil
}

var errLost = errors.New("the connection ended as the answer came")

func release(blocks map[*kmsg.FetchResponseTopicPartition]*block) {
	for _, b := range blocks {
		b.release()
	}
}

func (f *feed) reason() string { return fmt.Sprintf("fetch from broker %d", f.broker) }

// failed pauses when the broker does not answer.
func (f *feed) failed(err error) {
	if f.ctx.Err() != nil {
		return
	}
	f.troubled(f.reason(), place{number: -1}, fmt.Errorf("ask the broker for records: %w", err))
	ask(f.locate)
	f.pause = min(max(2*f.pause, minPause), maxPause)
	timer := time.NewTimer(f.pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-f.ctx.Done():
	}
}

// wanted finds what a partition of an answer is the answer to.
func wanted(wants []want, t *kmsg.FetchResponseTopic, number int32) *want {
	for i := range wants {
		w := &wants[i]
		if w.number == number && (t.Topic != "" && t.Topic == w.topic || t.Topic == "" && t.TopicID == w.id) {
			return w
		}
	}
	return nil
}

// read takes the answer for one partition. It returns nil where there is nothing to hand
// over.
func (f *feed) read(w *want, got *kmsg.FetchResponseTopicPartition, b *block) *piece {
	if err := kerr.ErrorForCode(got.ErrorCode); err != nil {
		f.refused(w, err)
		return nil
	}
	if got.DivergingEpoch.EndOffset >= 0 && got.DivergingEpoch.Epoch >= 0 {
		// What was read is not in the log of the new leader, which ends before it.
		f.restart(w.partition, min(got.DivergingEpoch.EndOffset, w.at))
		return nil
	}
	p := newPiece(w, got, b)
	p.end = got.HighWatermark
	if f.cfg.ReadCommitted && got.LastStableOffset >= 0 {
		p.end = got.LastStableOffset
	}
	f.trouble.clear(partitionReason(w.place))
	return p
}

func partitionReason(at place) string { return fmt.Sprintf("%s/%d", at.topic, at.number) }

// refused takes a broker's no.
func (f *feed) refused(w *want, err error) {
	switch {
	case errors.Is(err, kerr.OffsetOutOfRange):
		f.outOfRange(w)
		return
	case kerr.IsRetriable(err), errors.Is(err, kerr.UnknownTopicID), errors.Is(err, kerr.InconsistentTopicID):
		ask(f.locate)
	case errors.Is(err, kerr.TopicAuthorizationFailed):
		err = kafkaclient.TopicError(w.topic, needs, err)
	}
	w.standstill(time.Now())
	f.troubled(partitionReason(w.place), w.place, err)
}
