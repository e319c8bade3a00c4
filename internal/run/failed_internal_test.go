package run

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spillway/spillway/internal/record"
)

type noLetters struct{}

// Put implements deliver.DeadLetters.
func (noLetters) Put(context.Context, []record.Letter) error { return nil }

// named are letters of messages, each with another offset.
func named(n int) []record.Letter {
	letters := make([]record.Letter, n)
	for i := range letters {
		p := record.Partition{Topic: "orders", ID: [16]byte{1}}
		letters[i] = record.Letter{Tag: "orders", Origin: p.Coordinates(int64(i)), Body: []byte("x")}
	}
	return letters
}

// TestCopiesWaitWhileTheyAreTaken, however slowly, for as long as one Put may take.
func TestCopiesWaitWhileTheyAreTaken(t *testing.T) {
	for more, lost := range map[int]bool{40: false, 60: true} {
		synctest.Test(t, func(t *testing.T) {
			c := newFailedCopies(noLetters{}, slog.New(slog.DiscardHandler))
			tag := "failed"
			c.tag.Store(&tag)
			if err := c.Put(t.Context(), named(mostCopies)); err != nil || c.notCopied() != 0 {
				t.Fatalf("%d of as many as may wait are not copied (%v)", c.notCopied(), err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				c.run(ctx, func(string, *record.Chunk) bool {
					time.Sleep(mostCopyPatience*2/100 - time.Millisecond)
					return true
				})
			}()
			start := time.Now()
			err := c.Put(t.Context(), named(more))
			if took := time.Since(start); err != nil || lost != (c.notCopied() > 0) || lost != (took == mostCopyPatience) {
				t.Errorf("of %d more %d are not copied after %v (%v)", more, c.notCopied(), took, err)
			}
			cancel()
			<-ended
		})
	}
}

// TestCopiesWaitForAMoment: letters wait for the copies before them once, and not again
// until one is taken; nor does anybody wait at the end.
func TestCopiesWaitForAMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newFailedCopies(noLetters{}, slog.New(slog.DiscardHandler))
		tag := "failed"
		c.tag.Store(&tag)
		letters := named(mostCopies + 10)
		put := func(letters []record.Letter, lost int64, waited time.Duration) {
			t.Helper()
			start, before := time.Now(), c.notCopied()
			if err := c.Put(t.Context(), letters); err != nil {
				t.Fatal(err)
			}
			if took, n := time.Since(start), c.notCopied()-before; took != waited || n != lost {
				t.Errorf("%d letters took %v, and %d were not copied; want %v and %d", len(letters), took, n, waited, lost)
			}
		}
		put(letters, 10, copyPatience)
		put(letters[:10], 10, 0)

		ctx, cancel := context.WithCancel(t.Context())
		given, ended := 0, make(chan struct{})
		go func() {
			defer close(ended)
			c.run(ctx, func(_ string, chunk *record.Chunk) bool {
				time.Sleep(time.Millisecond)
				if given++; !chunk.Identity.Known() {
					t.Error("a copy has no identity of its own")
				}
				return true
			})
		}()
		time.Sleep(time.Second)
		synctest.Wait()
		if given != mostCopies {
			t.Errorf("%d copies are handed over, want %d", given, mostCopies)
		}
		if err := c.Put(t.Context(), letters); err != nil || c.notCopied() != 20 {
			t.Errorf("%d letters were not copied, want the 20 of before (%v)", c.notCopied(), err)
		}
		cancel()
		<-ended
		put(letters, 0, 0) // Nothing is copied any more.
	})
}
