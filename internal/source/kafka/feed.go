package kafka

import (
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/spillway/spillway/internal/kafkaclient"
)

// feed asks one broker for the partitions that it leads: while one answer is handed
// over, it fetches the next.
type feed struct {
	*Source
	broker int32
	work   chan *answer
	pause  time.Duration
	// several says that there are other feeds.
	several bool
}

// answer is what a broker has sent; it takes a slot until it is handed over.
type answer struct{ pieces []piece }

// feed starts the feed of a broker, where there is none. The lock is held.
func (s *Source) feed(broker int32) {
	if s.feeds[broker] != nil || s.stopped {
		return
	}
	f := &feed{Source: s, broker: broker, work: make(chan *answer)}
	s.feeds[broker] = f
	s.reading.Go(f.run)
	s.reading.Go(f.hand)
}

// run fetches until the source stops.
func (f *feed) run() {
	defer close(f.work)
	for {
		wants, ok := f.await()
		if !ok {
			return
		}
		select {
		case f.slots <- struct{}{}:
		case <-f.ctx.Done():
			return
		}
		pieces := f.ask(wants)
		if len(pieces) == 0 {
			<-f.slots
			continue
		}
		select {
		case f.work <- &answer{pieces}:
		case <-f.ctx.Done():
			<-f.slots
			return
		}
	}
}

// hand hands answers over, in their order.
func (f *feed) hand() {
	w := newWorker(f.Source)
	defer w.close()
	for a := range f.work {
		for i := range a.pieces {
			w.piece(&a.pieces[i])
			a.pieces[i] = piece{} // Its memory is not needed any more.
		}
		<-f.slots
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
	now := time.Now()
	f.several = len(f.feeds) > 1
	for _, p := range f.partitions {
		if p.leader != f.broker {
			continue
		}
		w, ok, later := p.wanted(now, f.cfg.MaxAhead)
		if ok {
			wants = append(wants, w)
		} else if later > 0 && (wait == 0 || later < wait) {
			wait = later
		}
	}
	return wants, wait, f.woken
}

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
	return r.FetchRequest.MaxVersion()
}

const (
	// fetchWait is how long a broker waits for something to come, and sharedWait where
	// there are several, of which not all may be asked at once.
	fetchWait  = 500 * time.Millisecond
	sharedWait = 100 * time.Millisecond
	// maxPartition is what is asked for of one partition at once, in bytes.
	maxPartition = 1 << 20
)

// request asks for all wants. The order of a map is another each time, and the broker
// fills its answer in the order of the request.
func (f *feed) request(wants []want) *fetchRequest {
	req := &fetchRequest{FetchRequest: kmsg.NewPtrFetchRequest()}
	wait := fetchWait
	if f.several {
		wait = sharedWait
	}
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes = int32(wait.Milliseconds()), 1, f.fetch
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
		p.Partition, p.FetchOffset, p.PartitionMaxBytes = w.number, w.at, min(maxPartition, f.fetch)
		p.CurrentLeaderEpoch, p.LastFetchedEpoch = w.leaderEpoch, w.epoch
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, p)
	}
	return req
}

// ask fetches, and returns what there is to hand over.
func (f *feed) ask(wants []want) []piece {
	answered, err := f.client.Broker(int(f.broker)).Request(f.ctx, f.request(wants))
	resp, isFetch := answered.(*kmsg.FetchResponse)
	if err == nil && !isFetch {
		err = fmt.Errorf("found an answer of another kind, %T", answered)
	}
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if err != nil {
		f.failed(err)
		return nil
	}
	if f.spoil != nil {
		f.spoil(resp)
	}
	f.pause = 0
	f.trouble.clear(f.reason())
	f.counts.fetches.Add(1)
	var pieces []piece
	for i := range resp.Topics {
		t := &resp.Topics[i]
		for j := range t.Partitions {
			if w := wanted(wants, t, t.Partitions[j].Partition); w != nil {
				pieces = f.read(pieces, w, &t.Partitions[j])
			}
		}
	}
	return pieces
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

// read takes the answer for one partition.
func (f *feed) read(pieces []piece, w *want, got *kmsg.FetchResponseTopicPartition) []piece {
	if err := kerr.ErrorForCode(got.ErrorCode); err != nil {
		f.refused(w, err)
		return pieces
	}
	if got.DivergingEpoch.EndOffset >= 0 && got.DivergingEpoch.Epoch >= 0 {
		// What was read is not in the log of the new leader, which ends before it.
		f.restart(w.partition, min(got.DivergingEpoch.EndOffset, w.at))
		return pieces
	}
	p := newPiece(w, got)
	end := got.HighWatermark
	if f.cfg.ReadCommitted && got.LastStableOffset >= 0 {
		end = got.LastStableOffset
	}
	f.trouble.clear(partitionReason(w.place))
	if p.next == w.at || !w.expect(w, &p, end) {
		return pieces
	}
	return append(pieces, p)
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
