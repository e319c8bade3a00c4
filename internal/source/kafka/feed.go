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

// feed asks one broker for the partitions that it leads, and has what it gets handed
// over while it asks for more.
type feed struct {
	*Source
	broker int32
	pause  time.Duration
	// several says that there are other feeds.
	several bool
}

// feed starts the feed of a broker, where there is none. The lock is held.
func (s *Source) feed(broker int32) {
	if s.feeds[broker] != nil || s.stopped {
		return
	}
	f := &feed{Source: s, broker: broker}
	s.feeds[broker] = f
	s.reading.Go(f.run)
}

// run fetches until the source stops.
func (f *feed) run() {
	for {
		wants, ok := f.await()
		if !ok {
			return
		}
		waited, ok := f.reserve()
		if !ok {
			return
		}
		if waited {
			wants, _, _ = f.wants() // Much may have happened meanwhile.
		}
		if len(wants) > 0 {
			f.push(f.ask(wants))
		}
		f.memory.give(f.room)
	}
}

// reserve takes the memory for an answer, and says whether it had to wait for that. Where
// there is none, what waits for a route without room is given up.
func (f *feed) reserve() (waited, ok bool) {
	for {
		taken, freed := f.memory.take(f.room)
		if taken {
			return waited, true
		}
		waited = true
		next := f.relieve()
		var timeout <-chan time.Time
		if next > 0 {
			timeout = time.After(next)
		}
		select {
		case <-freed:
		case <-timeout:
		case <-f.ctx.Done():
			return waited, false
		}
	}
}

// await waits until there is something to ask for.
func (f *feed) await() (wants []want, ok bool) {
	for {
		if f.ctx.Err() != nil {
			return nil, false
		}
		f.idle.Add(1)
		wants, wait, woken := f.wants()
		if len(wants) > 0 {
			f.idle.Add(-1)
			return wants, true
		}
		var timeout <-chan time.Time
		if wait == 0 {
			f.trouble.clear(f.reason()) // There is nothing to ask this broker for.
		} else {
			timeout = time.After(wait)
		}
		select {
		case <-woken:
		case <-timeout:
		case <-f.ctx.Done():
		}
		f.idle.Add(-1)
	}
}

// wants looks what there is to ask for, or when to look again.
func (f *feed) wants() (wants []want, wait time.Duration, woken <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.handing.Lock()
	defer f.handing.Unlock()
	now := time.Now()
	f.several = len(f.feeds) > 1
	for _, p := range f.partitions {
		if p.leader != f.broker {
			continue
		}
		l := f.lineFor(p.tag, f.broker)
		if l.mayWait() == 0 || p.waiting > 0 && p.line != l {
			continue
		}
		w, ok, later := p.wanted(now, f.cfg.MaxAhead)
		if ok {
			w.line = l
			wants = append(wants, w)
		} else if later > 0 && (wait == 0 || later < wait) {
			wait = later
		}
	}
	f.divide(wants)
	return wants, wait, f.woken
}

// divide says how much of each partition is asked for: less where a line is slow. Brokers
// send the first batch of the first partition whole, however large it is. Both locks
// are held.
func (f *feed) divide(wants []want) {
	each := make(map[*line]int64)
	for i := range wants {
		each[wants[i].line]++
	}
	for i := range wants {
		w := &wants[i]
		if w.line.allowed > 0 {
			w.most = max(w.line.mayWait()/each[w.line], leastPartition)
		}
		w.most = min(w.most, f.fetch())
	}
}

// fetch is how much is asked for at once, in bytes: blocks are somewhat larger than what
// they hold.
func (s *Source) fetch() int64 { return s.room - s.room/blockWaste }

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
			if blocks[p] = b; b.mapped {
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
