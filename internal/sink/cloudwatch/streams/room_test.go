package streams

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	sandbox "github.com/spillway/spillway/internal/sandbox/cloudwatch"
	"github.com/spillway/spillway/internal/sink"
	"github.com/spillway/spillway/internal/sink/sinktest"
)

// TestRequestsBeyondTheRoom: what becomes longer than there is room for is sent in
// parts, and the room is there again.
func TestRequestsBeyondTheRoom(t *testing.T) {
	_, url := newSandbox(t, sandbox.Options{})
	s := open(t, url, "g", "s", func(o *Options) { o.LogKey = "" })
	const events = 200
	s.room = newRoom(300_000)
	now := time.Now()
	var all, left []sinktest.Event
	for i := range events {
		// Six times as long as JSON.
		all = append(all, packed(now.Add(time.Duration(i)*time.Millisecond), 0, strings.Repeat("\x01", 1000)+fmt.Sprintf("%06d", i)))
	}
	parts := 0
	for left = all; len(left) > 0; parts++ {
		out := s.Send(t.Context(), sinktest.NewRequest(left...))
		if out.Verdict != sink.Delivered || out.Err != nil || len(out.Rejected) > 0 || len(out.Again) > 1 {
			t.Fatalf("%+v", out)
		}
		if len(out.Again) == 0 {
			break
		}
		if rest := out.Again[0]; rest.First == 0 || rest.End != len(left) {
			t.Fatalf("%+v of %d", out.Again, len(left))
		}
		left = left[out.Again[0].First:]
	}
	var want []string
	for i := range events {
		want = append(want, fmt.Sprintf(`%06d"}`, i))
	}
	got := texts(t, url, "g", "s")
	for i := range got {
		got[i] = got[i][max(0, len(got[i])-8):]
	}
	if !slices.Equal(got, want) || parts < 3 {
		t.Errorf("%d messages in %d parts", len(got), parts+1)
	}
	if s.room.used != 0 {
		t.Errorf("%d bytes are in use", s.room.used)
	}
	// An event that is longer than all the room goes alone.
	s.room = newRoom(1000)
	big := packed(now, 0, strings.Repeat("\x01", 10_000))
	out := s.Send(t.Context(), sinktest.NewRequest(big, big))
	if out.Verdict != sink.Delivered || !slices.Equal(out.Again, []sink.Span{{First: 1, End: 2}}) {
		t.Errorf("%+v", out)
	}
}

// TestRoomIsWaitedFor: as long as there is none, and no longer than the attempt may
// take. Small ones pass while a large one is under way.
func TestRoomIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoom(100)
		if n, err := r.take(t.Context(), 1000); n != 100 || err != nil {
			t.Fatal(n, err)
		}
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if n, err := r.take(short, 1); n != 0 || !errors.Is(err, context.DeadlineExceeded) {
			t.Error(n, err)
		}
		took := make(chan int, 2)
		for range 2 {
			go func() {
				n, err := r.take(t.Context(), 60)
				if err != nil {
					t.Error(err)
				}
				took <- n
			}()
		}
		synctest.Wait()
		r.give(100)
		synctest.Wait()
		if n := <-took; n != 60 || len(took) > 0 || r.used != 60 || r.more(41) || !r.more(40) {
			t.Errorf("%d bytes were taken, %d are in use", n, r.used)
		}
		r.give(100)
		if n := <-took; n != 60 || r.used != 60 {
			t.Errorf("%d bytes were taken, %d are in use", n, r.used)
		}
	})
}
