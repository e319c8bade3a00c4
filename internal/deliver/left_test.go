package deliver_test

import (
	"context"
	"testing"
	"time"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/deliver"
	"github.com/spillway/spillway/internal/diskbuffer"
	"github.com/spillway/spillway/internal/diskbuffer/disktest"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink"
)

// full are dead letters that find no room.
type full struct{}

func (full) Put(context.Context, []record.Letter) error { return errAway }

// TestWhatIsLeftSaysHowItsAttemptsEnded: a request that is left to the disk may have
// been delivered if any attempt ended without certainty, and only then.
func TestWhatIsLeftSaysHowItsAttemptsEnded(t *testing.T) {
	rejects := sink.Outcome{Verdict: sink.Delivered, Rejected: []sink.Rejection{{End: 5, Reason: "rejected-invalid"}}}
	for name, c := range map[string]struct {
		outs    []sink.Outcome // the last of them again and again
		letters deliver.DeadLetters
		offered uint64
	}{
		"it was away":                      {[]sink.Outcome{away}, nil, 0},
		"no answer":                        {[]sink.Outcome{{Unsure: true}}, nil, 5},
		"no answer, and then it was away":  {[]sink.Outcome{{Unsure: true}, away}, nil, 5},
		"rejected, with no room for it":    {[]sink.Outcome{rejects}, full{}, 0},
		"no answer, and then it says what": {[]sink.Outcome{{Unsure: true}, rejects}, full{}, 5},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T) {
				disk := disktest.New(1)
				store, err := diskbuffer.Create(disk.Open(), diskbuffer.Meta{Identity: "a", Limit: 1 << 20}, diskbuffer.Options{Max: 16 << 20})
				if err != nil {
					t.Fatal(err)
				}
				s := &script{answer: func(_ context.Context, n int, _ attempt) sink.Outcome { return c.outs[min(n, len(c.outs)-1)] }}
				r := start(t, buffer.Config{Limit: 1 << 20, Mode: buffer.Spill, Disk: &buffer.Disk{
					Store: store, Durability: buffer.Kernel, WhenFull: buffer.Block,
				}}, s, deliver.Config{DeadLetters: c.letters})
				r.hand(0, 5)
				time.Sleep(time.Minute)
				if !r.buf.HandOver() {
					t.Fatal("the disk does not take what is held")
				}
				r.cancel()
				<-r.ended
				if err := r.buf.Close(); err != nil {
					t.Fatal(err)
				}
				if b := r.balance(); b.Pending != 5 || b.Received != 5 || b.Unaccounted != 0 {
					t.Errorf("the balance is %+v, want all 5 left to the disk", b.Sheet)
				}
				store, found, err := diskbuffer.Open(disk.Open(), diskbuffer.Options{Max: 16 << 20})
				if err != nil {
					t.Fatal(err)
				}
				defer func() {
					if err := store.Close(false); err != nil {
						t.Error(err)
					}
				}()
				if found.Offered != c.offered || !found.Clean {
					t.Errorf("events below %d may be delivered already, want %d; it was closed well: %v", found.Offered, c.offered, found.Clean)
				}
			})
		})
	}
}
