package deliver

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink"
)

// DeadLetters keeps what no retry can deliver.
type DeadLetters interface {
	// Put makes letters durable, all of them where it returns no error. A letter
	// that was put before is one letter. It returns within a bounded time, whatever the
	// disk does; after an error the letters must not be changed, since a write may still be
	// under way, and else it keeps no reference to them.
	Put(ctx context.Context, letters []record.Letter) error
}

// letterBytes bounds the bodies that are handed to the dead letters at once.
const letterBytes = 1 << 20

// bury puts a request, of which all is rejected, among the dead letters and
// settles it. While they do not take it, it is pending.
func (d *Deliverer) bury(ctx context.Context, t *try, rejected []sink.Rejection) {
	for {
		err := d.put(ctx, t, rejected)
		to := d.current()
		to.gate.buried(err)
		if err == nil {
			d.settle(t.req, buffer.Fate{Rejected: rejected, DeadLettered: true})
			return
		}
		if !to.gate.rest(ctx, min(t.pauses.NextBackOff(), longPause)) && to == d.current() {
			d.settle(t.req, buffer.Fate{Dropped: ledger.Shutdown})
			return
		}
	}
}

// put hands the records of a request to the dead letters, a stretch at a time.
func (d *Deliverer) put(ctx context.Context, t *try, rejected []sink.Rejection) error {
	var letters []record.Letter
	size := 0
	put := func() error {
		err := d.cfg.DeadLetters.Put(ctx, letters)
		letters, size = letters[:0], 0
		if err != nil {
			return fmt.Errorf("put dead letters of %s: %w", t.to.name, err)
		}
		return nil
	}
	for index, batch := range t.req.Batches() {
		if batch.Kind == record.KindLoss {
			continue // A marker is told by the log: see settle.
		}
		stream := t.req.Stream(batch.Stream)
		frames := batch.Frames
		for i := range batch.Count {
			body, _, rest := batch.Next(frames)
			frames = rest
			for len(rejected) > 0 && rejected[0].End <= index+i {
				rejected = rejected[1:]
			}
			if len(rejected) == 0 || rejected[0].First > index+i {
				return fmt.Errorf("BUG: event %d of a request was not rejected", index+i)
			}
			letters = append(letters, d.letter(t, stream, batch, i, body, &rejected[0]))
			if size += len(body); size < letterBytes {
				continue
			}
			if err := put(); err != nil {
				return err
			}
		}
	}
	if len(letters) == 0 {
		return nil
	}
	return put()
}

func (d *Deliverer) letter(t *try, s *record.Stream, batch *record.Batch, i int, body []byte, r *sink.Rejection) record.Letter {
	l := record.Letter{
		Destination: cmp.Or(d.cfg.LettersOf, t.to.name), Source: cmp.Or(string(batch.Source), d.cfg.Source), Tag: s.Name, Origin: batch.Identify(s, i, body), Seq: batch.FirstSeq + uint64(i),
		Time: batch.Time, Encoding: batch.Encoding, Body: append([]byte(nil), body...),
		Status: r.Status, Reason: string(reasonOf(r.Reason)), Detail: r.Detail,
		Attempts: t.attempts, First: unix(t.first), Last: unix(t.last),
	}
	if batch.Original.Known() || len(batch.Partition) > 0 {
		l.Replayed = batch.Origin.Key
	}
	return l
}

func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}
