package pipeline_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/catalog"
	"github.com/spillway/spillway/internal/config"
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/pipeline"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink"
)

var errClosed = errors.New("the disk is full")

// slow is a destination that takes its time. What it has received it keeps, also
// where nobody waits for its answer any more.
type slow struct {
	latency time.Duration
	limits  sink.Limits
	// replaces is how many bytes that are no UTF-8 it finds in a request.
	replaces int

	mu     sync.Mutex
	has    int64
	closed int
}

func (s *slow) Limits() sink.Limits         { return s.limits }
func (s *slow) Check(context.Context) error { return nil }

func (s *slow) Send(ctx context.Context, req sink.Request) sink.Outcome {
	select {
	case <-ctx.Done():
		// It has arrived all the same.
		s.took(req)
		return sink.Outcome{Err: ctx.Err(), Unsure: true}
	case <-time.After(s.latency):
		s.took(req)
		return sink.Outcome{Verdict: sink.Delivered, Replaced: s.replaces}
	}
}

func (s *slow) took(req sink.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.has += int64(req.Events())
}

func (s *slow) Close() error {
	s.closed++
	return errClosed
}

// line is a pipeline at work.
type line struct {
	*testing.T
	*pipeline.Pipeline
	sink    *slow
	streams []*record.Stream
	handed  int64
	begin   time.Time
}

// start makes a pipeline; it runs in a bubble.
func start(t *testing.T, s *slow, b buffer.Config) *line {
	t.Helper()
	s.limits.InFlight = max(s.limits.InFlight, 1)
	p := pipeline.Start(pipeline.Config{Buffer: b, Sink: s, Log: slog.New(slog.DiscardHandler)})
	l := &line{T: t, Pipeline: p, sink: s, begin: time.Now()}
	for i := range 2 {
		l.streams = append(l.streams, p.Intake().Open(fmt.Sprint("stream ", i)))
	}
	return l
}

// hand hands over n lines.
func (l *line) hand(n int) {
	for i := range n {
		l.Intake().Lines(l.streams[i%2], time.Now().UnixNano(), []byte("a line of some length\n"), true)
	}
	l.handed += int64(n)
}

// end drains and closes the pipeline and returns its last balance.
func (l *line) end() ledger.Balance {
	l.Helper()
	l.Drain()
	b := l.Report(pipeline.Identity{}).Balance
	if b.Received != l.handed || b.Pending != 0 || b.Unaccounted != 0 || b.Bytes.Unaccounted != 0 || b.Bytes.Pending != 0 {
		l.Errorf("%d were handed over, the last balance is %+v", l.handed, b.Sheet)
	}
	if err := l.Close(); !errors.Is(err, errClosed) || l.sink.closed != 1 {
		l.Errorf("the sink was closed %d times: %v", l.sink.closed, err)
	}
	return b
}

// TestDrainDeliversAll: without a deadline a drain takes as long as it takes.
func TestDrainDeliversAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, &slow{latency: 10 * time.Second, limits: sink.Limits{Events: 10}}, buffer.Config{Mode: buffer.Blocking})
		l.hand(1000)
		if b := l.end(); b.Delivered != 1000 || l.sink.has != 1000 {
			t.Errorf("%d are delivered, the destination has %d", b.Delivered, l.sink.has)
		}
	})
}

// TestStopByLeavesAMargin: a destination that takes a second for each answer
// gets nothing whose answer would come too late, so that what is counted as
// delivered is what it has, to the record.
func TestStopByLeavesAMargin(t *testing.T) {
	for _, c := range []struct {
		name  string
		after time.Duration // from the start to the call of StopBy
	}{
		{"long after the first answer", 10 * time.Second},
		{"in mid-answer", 10500 * time.Millisecond},
		{"before the first answer", 500 * time.Millisecond},
		{"at once", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &slow{latency: time.Second, limits: sink.Limits{Events: 10, InFlight: 3}}
				l := start(t, s, buffer.Config{Limit: 1 << 20, Mode: buffer.Blocking})
				l.hand(1000)
				time.Sleep(c.after)
				l.Hurry()
				l.StopBy(time.Now().Add(5 * time.Second))
				b := l.end()
				if took := time.Since(l.begin) - c.after; took > 5*time.Second {
					t.Errorf("it ended after %s", took)
				}
				if b.Delivered != s.has || b.ByReason[ledger.Shutdown] != 1000-s.has || s.has < 90 {
					t.Errorf("the destination has %d, the balance is %+v", s.has, b.Sheet)
				}
			})
		})
	}
}

// TestStopByNow: a deadline that has passed ends everything at once, and all of
// it is counted as dropped, whatever comes first.
func TestStopByNow(t *testing.T) {
	for range 30 {
		synctest.Test(t, func(t *testing.T) {
			l := start(t, &slow{latency: time.Hour, limits: sink.Limits{Events: 10, InFlight: 3}}, buffer.Config{Limit: 1 << 20, Mode: buffer.Blocking})
			l.hand(1000)
			time.Sleep(time.Second)
			l.StopBy(time.Now())
			if b := l.end(); b.ByReason[ledger.Shutdown] != 1000 || time.Since(l.begin) != time.Second {
				t.Fatalf("after %s the balance is %+v", time.Since(l.begin), b.Sheet)
			}
		})
	}
}

// TestStopByCountsWhatComesLate: sources may still hand over what they read
// before the deadline and after.
func TestStopByCountsWhatComesLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, &slow{latency: time.Hour}, buffer.Config{Mode: buffer.Blocking})
		l.StopBy(time.Now().Add(3 * time.Second))
		for range 50 {
			l.hand(100) // It blocks until the time is nearly over.
			time.Sleep(100 * time.Millisecond)
		}
		if b := l.end(); b.ByReason[ledger.Shutdown] != 5000 {
			t.Errorf("the balance is %+v", b.Sheet)
		}
	})
}

// TestEarliestDeadlineHolds, in whatever order they are set.
func TestEarliestDeadlineHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, &slow{latency: time.Hour}, buffer.Config{Mode: buffer.Blocking})
		l.hand(10)
		time.Sleep(time.Second)
		for _, d := range []time.Duration{9, 4, 7} {
			l.StopBy(l.begin.Add(d * time.Second))
		}
		if b := l.end(); b.ByReason[ledger.Shutdown] != 10 || time.Since(l.begin) != 4*time.Second {
			t.Errorf("after %s the balance is %+v", time.Since(l.begin), b.Sheet)
		}
	})
}

// TestCloseWithoutDrain: what is in flight is given up and what waits stays
// pending; nothing is forgotten.
func TestCloseWithoutDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, &slow{latency: time.Hour, limits: sink.Limits{Events: 10}}, buffer.Config{Mode: buffer.Blocking})
		l.hand(95)
		synctest.Wait()
		if err := l.Close(); !errors.Is(err, errClosed) {
			t.Errorf("close: %v", err)
		}
		b := l.Report(pipeline.Identity{}).Balance
		if b.Unaccounted != 0 || b.ByReason[ledger.Shutdown]+b.Pending != 95 || b.Pending == 0 {
			t.Errorf("the balance is %+v", b.Sheet)
		}
	})
}

// TestReport holds a report to its keys: those of a balance, and what is beside.
func TestReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, &slow{}, buffer.Config{Mode: buffer.Blocking})
		l.hand(3)
		l.end()
		who := pipeline.Identity{Program: "spillway-shim", Container: "c", Name: "n", Namespace: "s", Destination: "d", Mode: "blocking"}
		report, balance := keys(t, l.Report(who)), keys(t, l.Intake().Balance())
		want := append(balance, "time", "pid", "program", "container_id", "container_name", "namespace", "destination", "mode", "buffer", "health")
		slices.Sort(want)
		if diff := cmp.Diff(want, report); diff != "" {
			t.Errorf("keys (-want +got):\n%s", diff)
		}
	})
}

// TestReplaced: bytes that are found to be no UTF-8 only when a request is made are beside
// the balance like those that are known before.
func TestReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, &slow{replaces: 5}, buffer.Config{Mode: buffer.Blocking})
		l.Intake().Lines(l.streams[0], time.Now().UnixNano(), []byte("\xff\xfe\n"), false)
		l.handed++
		if b := l.end(); b.InvalidUTF8 != 7 {
			t.Errorf("%d bytes are counted, want 7", b.InvalidUTF8)
		}
	})
}

// keys are the keys of v as JSON.
func keys(t *testing.T, v any) []string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]json.RawMessage
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	return slices.Sorted(maps.Keys(m))
}

// TestFor carries every option over.
func TestFor(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	d := &catalog.Destination{Name: "a destination", Sink: &slow{}, FlushInterval: 7 * time.Second}
	got := pipeline.For(config.Buffer{
		Mode: config.NonBlocking, Limit: 1 << 20, Drop: config.DropOldest, MaxBlock: 2 * time.Second, LossMarkers: false,
	}, nil, d, log)
	want := buffer.Config{Limit: 1 << 20, Mode: buffer.NonBlocking, DropOldest: true, MaxBlock: 2 * time.Second, NoLossMarkers: true}
	if diff := cmp.Diff(want, got.Buffer); diff != "" {
		t.Errorf("buffer (-want +got):\n%s", diff)
	}
	if got.Sink != d.Sink || got.Log != log || got.Deliver.Name != d.Name || got.Deliver.FlushInterval != d.FlushInterval {
		t.Errorf("the rest is %+v", got)
	}
	got = pipeline.For(config.Buffer{Mode: config.Blocking, LossMarkers: true}, nil, d, log)
	if diff := cmp.Diff(buffer.Config{Mode: buffer.Blocking}, got.Buffer); diff != "" {
		t.Errorf("buffer (-want +got):\n%s", diff)
	}
}
