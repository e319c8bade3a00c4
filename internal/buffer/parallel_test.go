package buffer_test

import (
	"bytes"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink"
)

// TestParallel lets readers, senders and observers work at once. Each record
// says its own number, so that every sender can check what it holds.
func TestParallel(t *testing.T) {
	const readers, calls, perCall = 4, 400, 40
	limits := sink.Limits{Events: 90, RequestBytes: 20_000, PerEvent: 26, OrderedBy: time.Millisecond, InFlight: 4}
	for _, c := range []buffer.Config{
		{Limit: 1 << 20, Mode: buffer.Blocking, Sink: limits},
		{Limit: 1 << 20, Mode: buffer.Blocking, MaxBlock: time.Microsecond, Sink: limits},
		{Limit: 1 << 17, Mode: buffer.NonBlocking, Sink: limits},
		{Limit: 1 << 17, Mode: buffer.NonBlocking, DropOldest: true, Sink: limits},
	} {
		t.Run(fmt.Sprintf("%s %t", c.Mode, c.DropOldest), func(t *testing.T) {
			p := &parallel{T: t, b: buffer.New(c, ledger.New())}
			var reading, sending sync.WaitGroup
			ended := make(chan struct{})
			for n := range readers {
				s := p.b.Open(strconv.Itoa(n))
				reading.Go(func() { p.read(s, calls, perCall) })
			}
			for n := range 4 {
				sending.Go(func() { p.send(n, ended) })
			}
			reading.Wait()
			close(ended)
			sending.Wait()
			b := p.b.Balance()
			if b.Received != readers*calls*perCall || b.Unaccounted != 0 || b.Bytes.Unaccounted != 0 || b.Pending != 0 || !p.b.Idle() {
				t.Errorf("the balance is %+v, the state %+v", b.Sheet, p.b.State())
			}
			if c.Mode == buffer.Blocking && c.MaxBlock == 0 && b.Dropped != b.ByReason[ledger.RejectedTooOld] {
				t.Errorf("blocking dropped: %v", b.ByReason)
			}
		})
	}
}

// parallel is what the goroutines of the test have in common.
type parallel struct {
	*testing.T
	b *buffer.Buffer
}

// read hands over lines that hold their own number.
func (p *parallel) read(s *record.Stream, calls, perCall int) {
	var lines []byte
	next := 1
	for range calls {
		lines = lines[:0]
		for range perCall {
			lines = strconv.AppendInt(lines, int64(next), 10)
			lines = append(append(lines, bytes.Repeat([]byte{' '}, next%97)...), '\n')
			next++
		}
		p.b.Lines(s, time.Now().UnixNano(), lines, true)
		p.b.Balance()
		p.b.State()
	}
}

// send takes, reads and settles until everything has ended.
func (p *parallel) send(n int, ended chan struct{}) {
	for i := 0; ; i++ {
		r := p.b.Take(i%2 == 0)
		if r == nil {
			select {
			case <-ended:
				if p.b.Idle() {
					return
				}
			default:
			}
			select {
			case <-p.b.Ready():
			case <-time.After(time.Millisecond):
			}
			continue
		}
		for _, earlier := range r.After() {
			<-earlier
		}
		p.check(r)
		if i%3 == n%3 && r.Events() > 1 {
			first, second := r.Split(r.Events() / 2)
			p.check(second)
			p.b.Settle(second, buffer.Fate{Rejected: []sink.Rejection{reject(0, 1, ledger.RejectedTooOld)}})
			r = first
		}
		p.check(r)
		if i%5 == 0 {
			r.Repeat([]sink.Span{{End: r.Events()}})
		}
		p.b.Settle(r, buffer.Fate{})
	}
}

// check reads every record of a request.
func (p *parallel) check(r *buffer.Request) {
	for _, b := range r.Batches() {
		if b.Kind == record.KindLoss {
			continue
		}
		frames := b.Frames
		for i := range b.Count {
			var body []byte
			body, _, frames = record.Next(frames)
			number, _, _ := bytes.Cut(body, []byte{' '})
			if want := strconv.FormatUint(b.FirstSeq+uint64(i), 10); string(number) != want {
				p.Errorf("record %s of stream %d holds %q", want, b.Stream, body)
				return
			}
		}
	}
}
