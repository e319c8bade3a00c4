package kafka

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/spillway/spillway/internal/kafkaclient"
	"github.com/spillway/spillway/internal/sink"
)

// flight is a request that was handed to the library.
type flight struct {
	records []produced
	// written is how much the sink had written before: where it is as much after, none
	// of the messages has left.
	written int64

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
	f := &flight{events: req.Events(), left: 1, answered: make(chan struct{}), written: s.connected.written()}
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
	again, doubtful := make([]bool, f.events), make([]bool, f.events)
	for _, one := range f.errs {
		if reason, final := finalReason(one.err); final {
			out.Rejected = append(out.Rejected, sink.Rejection{
				First: one.event, End: one.event + 1, Reason: reason, Status: code(one.err), Detail: one.err.Error(),
			})
			continue
		}
		again[one.event], doubtful[one.event] = true, !refusedWhole(one.err)
		out.Err = c.explain(f.topicError(one))
		out.Config = out.Config || needsAction(one.err)
	}
	out.Again, out.Doubtful = spans(again), spans(doubtful)
	if len(out.Again) == 1 && out.Again[0] == (sink.Span{First: 0, End: f.events}) {
		out.Verdict, out.Again = sink.Retry, nil
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

func sortRejections(all []sink.Rejection) {
	slices.SortFunc(all, func(a, b sink.Rejection) int { return cmp.Compare(a.First, b.First) })
}
