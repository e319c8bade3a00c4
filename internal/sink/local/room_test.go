package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/spillway/spillway/internal/sink"
	"github.com/spillway/spillway/internal/sink/sinktest"
)

// size is the size of all segments of a store.
func size(t testing.TB, dir string) (total int64) {
	t.Helper()
	for _, name := range names(t, dir) {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if g, ok := parseName(name); ok {
			total += info.Size()
			if g.closed && g.size != info.Size() {
				t.Fatalf("%s has %d bytes", name, info.Size())
			}
		}
	}
	return total
}

// TestTheBound: whoever writes, however writers end, the store never holds more
// than its bound; of each writer it holds the latest records; and what is there
// and what is counted as expired is what was delivered.
func TestTheBound(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir := tempDir(rt)
		const bound = 64 << 10
		type run struct {
			sink    *Sink
			bodies  []string
			numbers sinktest.Numbering
		}
		var runs []*run
		var delivered, bytes int64
		start := func() *run {
			r := &run{sink: small(t, dir, fmt.Sprint("run ", len(runs)))}
			runs = append(runs, r)
			return r
		}
		live := []*run{start(), start(), start()}
		// Enough is written before that something has to go.
		for n := range 6 {
			r := live[n%2]
			body := fmt.Sprintf("%d %12000d", len(r.bodies), n)
			sinktest.Deliver(t, r.sink, at(0, body))
			r.bodies = append(r.bodies, body)
			delivered, bytes = delivered+1, bytes+int64(len(body))
		}
		for n := range 30 {
			i := rapid.IntRange(0, len(live)-1).Draw(rt, "writer")
			r := live[i]
			var events []sinktest.Event
			for range rapid.IntRange(1, 8).Draw(rt, "events") {
				body := fmt.Sprintf("%d %*d", len(r.bodies), rapid.IntRange(0, 300).Draw(rt, "size"), n)
				events = append(events, at(n, body))
				r.bodies = append(r.bodies, body)
				delivered, bytes = delivered+1, bytes+int64(len(body))
			}
			if out := r.sink.Send(t.Context(), r.numbers.NewRequest(events...)); out.Verdict != sink.Delivered {
				rt.Fatal(out.Err)
			}
			if held := size(t, dir); held > bound {
				rt.Fatalf("the store holds %d bytes, %d are allowed", held, bound)
			}
			switch rapid.IntRange(0, 15).Draw(rt, "ends by") {
			case 0:
				if err := r.sink.Close(); err != nil {
					rt.Fatal(err)
				}
				live[i] = start()
			case 1:
				kill(t, r.sink)
				live[i] = start()
			}
		}
		got := map[string][]string{}
		err := Read(t.Context(), dir, Query{}, func(e Entry) error {
			got[e.Run] = append(got[e.Run], text(e))
			delivered, bytes = delivered-1, bytes-int64(len(e.Text))
			return nil
		})
		records, size, wrong := live[0].sink.Expired()
		if err := errors.Join(err, wrong); err != nil {
			rt.Fatal(err)
		}
		if delivered != records || bytes != size || records == 0 {
			rt.Fatalf("%d records of %d bytes are missing, and %d of %d have expired", delivered, bytes, records, size)
		}
		for i, r := range runs {
			there := got[fmt.Sprint("run ", i)]
			if !slices.Equal(there, r.bodies[len(r.bodies)-len(there):]) {
				rt.Fatalf("run %d has %q of %q", i, there, r.bodies)
			}
		}
	})
}

func TestASegmentInUseIsNotDeleted(t *testing.T) {
	dir := tempDir(t)
	idle := small(t, dir, "idle")
	sinktest.Deliver(t, idle, at(0, "the oldest"))
	busy := small(t, dir, "busy")
	for n := range 300 {
		sinktest.Deliver(t, busy, at(1+n, strings.Repeat("x", 300)))
	}
	if got := texts(t, dir, Query{}); got[0] != "the oldest" || len(got) > 200 {
		t.Errorf("%d entries, the first is %q", len(got), got[0])
	}
	if info, err := os.Stat(filepath.Join(dir, expiredName)); err != nil || info.Size() > 500 {
		t.Errorf("the count of what has expired grows: %v, %v", info, err)
	}
	if err := idle.Close(); err != nil {
		t.Fatal(err)
	}
	for n := range 10 {
		sinktest.Deliver(t, busy, at(301+n, strings.Repeat("x", 300)))
	}
	if got := texts(t, dir, Query{}); got[0] == "the oldest" {
		t.Error("a segment that is not in use any more is kept though it is the oldest")
	}
}

func TestRoomIsLeftForSegmentsInUse(t *testing.T) {
	dir := tempDir(t)
	var idle []*Sink
	for range 20 {
		idle = append(idle, small(t, dir, "idle"))
		sinktest.Deliver(t, idle[len(idle)-1], at(0, "x"))
	}
	busy := small(t, dir, "busy")
	for n := range 300 {
		sinktest.Deliver(t, busy, at(n, strings.Repeat("x", 300)))
	}
	for _, s := range idle {
		sinktest.Deliver(t, s, at(0, strings.Repeat("x", 100)))
	}
	if held := size(t, dir); held > busy.store.maxSize {
		t.Errorf("the store holds %d bytes, %d are allowed", held, busy.store.maxSize)
	}
}

func TestTheNumberOfSegmentsIsBounded(t *testing.T) {
	dir := tempDir(t)
	for n := range 20 {
		s := small(t, dir, "run")
		s.store.leastSize = s.store.maxSize / 10
		sinktest.Deliver(t, s, at(n, "x"))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(texts(t, dir, Query{})); n != 10 {
		t.Errorf("%d entries in as many segments, want 10", n)
	}
}

func TestTheLockIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := tempDir(t)
		a, b := small(t, dir, "a"), small(t, dir, "b")
		unlock, err := a.store.lock(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		r := sinktest.NewRequest(at(1, "waits"))
		start := time.Now()
		out := b.Send(ctx, r)
		if !errors.Is(out.Err, context.DeadlineExceeded) || !errors.Is(out.Err, errLocked) || out.Unsure || time.Since(start) != time.Second {
			t.Errorf("after %v the outcome is %+v", time.Since(start), out)
		}
		time.AfterFunc(time.Minute, unlock)
		if out := b.Send(t.Context(), r); out.Verdict != sink.Delivered || time.Since(start) < time.Minute {
			t.Errorf("after %v the outcome is %+v", time.Since(start), out)
		}
	})
}

func TestADamagedCountIsTold(t *testing.T) {
	dir := tempDir(t)
	path := filepath.Join(dir, expiredName)
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := small(t, dir, "run")
	if _, _, err := s.Expired(); err == nil || !strings.Contains(err.Error(), "delete it") {
		t.Errorf("the error is %v", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if records, bytes, err := s.Expired(); records != 0 || bytes != 0 || err != nil {
		t.Errorf("%d records, %d bytes, %v", records, bytes, err)
	}
}

// TestADeletionThatWasInterrupted: names that are counted are deleted without
// being counted again.
func TestADeletionThatWasInterrupted(t *testing.T) {
	dir := tempDir(t)
	s := small(t, dir, "old")
	sinktest.Deliver(t, s, at(1, "counted already"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	var old string
	for _, name := range names(t, dir) {
		if strings.HasSuffix(name, closedEnd) {
			old = name
		}
	}
	b, err := json.Marshal(expired{Records: 7, Bytes: 70, Removing: []string{old, "gone"}})
	if err := errors.Join(err, os.WriteFile(filepath.Join(dir, expiredName), b, 0o600)); err != nil {
		t.Fatal(err)
	}
	next := small(t, dir, "next")
	sinktest.Deliver(t, next, at(2, "x"))
	if _, err := os.Stat(filepath.Join(dir, old)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is still there: %v", old, err)
	}
	if records, bytes, err := next.Expired(); records != 7 || bytes != 70 || err != nil {
		t.Errorf("%d records, %d bytes, %v", records, bytes, err)
	}
}
