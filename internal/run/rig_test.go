package run_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/spillway/spillway/internal/catalog"
	"github.com/spillway/spillway/internal/config"
	"github.com/spillway/spillway/internal/config/runfile"
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/match"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/run"
	"github.com/spillway/spillway/internal/sink"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must come. It is what a busy machine may
// need and more, since only a failure uses it up.
const patience = 2 * time.Minute

// place is a destination, which is there or away, and keeps what it gets.
type place struct {
	name string

	mu     sync.Mutex
	away   bool
	refuse bool              // everything, for good
	got    []string          // tag and body
	ids    []record.Identity // of everything that was sent, also of what was refused
	opened int
	closed int
}

func (p *place) Limits() sink.Limits         { return sink.Limits{InFlight: 2} }
func (p *place) Check(context.Context) error { return nil }

func (p *place) Send(_ context.Context, req sink.Request) sink.Outcome {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.away {
		return sink.Outcome{Err: errors.New("it is away")}
	}
	for _, b := range req.Batches() {
		key, first := b.Identity(req.Stream(b.Stream))
		for rest, i := b.Frames, 0; i < b.Count; i++ {
			var body []byte
			body, _, rest = b.Next(rest)
			p.ids = append(p.ids, record.Identity{Key: key, Number: b.Number(first, i, body)})
			if p.refuse {
				continue
			}
			p.got = append(p.got, req.Stream(b.Stream).Name+" "+string(body))
		}
	}
	if p.refuse {
		return sink.Outcome{Verdict: sink.Refuse, Reason: "rejected-invalid"}
	}
	return sink.Outcome{Verdict: sink.Delivered}
}

func (p *place) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed++
	return nil
}

func (p *place) closes() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

func (p *place) is(away bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.away = away
}

// refuses has the place refuse everything, or take it.
func (p *place) refuses(all bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = all
}

// seen are the identities of what was sent to it, each once, sorted.
func (p *place) seen() []record.Identity {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := slices.Clone(p.ids)
	slices.SortFunc(all, func(a, b record.Identity) int { return strings.Compare(a.String(), b.String()) })
	return slices.Compact(all)
}

// has are the records that it got, sorted: legs have no order among each other.
func (p *place) has() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Sorted(slices.Values(p.got))
}

// source is a source that a test hands over with.
type source struct {
	o                        run.SourceOptions
	started, stopped, closed atomic.Bool
	records                  atomic.Int64
	// before is the source whose numbers go on in this one.
	before *source
	// own is what it has handed to nobody, or nil.
	own *ledger.Ledger
	due sync.WaitGroup // chunks that nobody was told of

	mu      sync.Mutex
	settled [][16]byte
}

func (s *source) Start() { s.started.Store(true) }
func (s *source) Stop()  { s.stopped.Store(true) }
func (s *source) Wait()  {}
func (s *source) Settled(keys [][16]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settled = append(s.settled, keys...)
}
func (s *source) Done() <-chan struct{} { return nil }

// Close waits for the answers that are due, as every source does.
func (s *source) Close() error {
	s.due.Wait()
	s.closed.Store(true)
	return nil
}
func (s *source) Status() run.SourceStatus {
	st := run.SourceStatus{RecordsIn: s.records.Load()}
	if s.own != nil {
		st.Own = s.own.Balance(nil)
	}
	if s.before != nil {
		st.RecordsIn += s.before.Status().RecordsIn
	}
	return st
}

// hand hands a chunk of records over. The channel gets what the chunk is told.
func (s *source) hand(tag string, bodies ...string) <-chan bool {
	return s.handAt(record.LevelDelivered, tag, bodies...)
}

func (s *source) handAt(level record.Level, tag string, bodies ...string) <-chan bool {
	told := make(chan bool, 1)
	c := record.Chunk{Tag: tag, Time: time.Now().UnixNano(), Level: level, Count: len(bodies), Done: func(ok bool) { told <- ok; s.due.Done() }}
	for _, b := range bodies {
		c.Bodies, _ = record.AppendBody(append(make([]byte, 0, len(c.Bodies)+len(b)+record.FrameSize), c.Bodies...), []byte(b))
	}
	s.records.Add(int64(len(bodies)))
	s.due.Add(1)
	s.o.Router.Admit(&c)
	return told
}

// handChunk hands a chunk over as it is, but for how it is to be told.
func (s *source) handChunk(c record.Chunk) <-chan bool {
	told := make(chan bool, 1)
	c.Level, c.Done = record.LevelDelivered, func(ok bool) { told <- ok; s.due.Done() }
	s.records.Add(int64(c.Count))
	s.due.Add(1)
	s.o.Router.Admit(&c)
	return told
}

// letters is a store of dead letters.
type letters struct {
	mu   sync.Mutex
	full bool
	got  []string
	from []string // the sources of those
	as   []string // what identifies them
}

func (l *letters) Put(_ context.Context, all []record.Letter) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.full {
		return errors.New("the dead letters are full")
	}
	for _, one := range all {
		l.got = append(l.got, one.Tag+" "+string(one.Body)+" "+one.Reason)
		l.from = append(l.from, one.Source)
		l.as = append(l.as, one.Origin)
	}
	return nil
}

// rig is what runs of one state directory have in common.
type rig struct {
	testing.TB
	stateDir string
	places   map[string]*place
	sources  []*source
	letters  letters
	broken   string    // the sink or source of that name cannot be opened
	stuck    sink.Sink // of the type "hangs"
	*run.Run
}

// A sink goes to the place that its type names, or else its own name.
func newRig(t testing.TB) *rig {
	r := &rig{TB: t, stateDir: t.TempDir(), places: map[string]*place{}}
	for _, name := range []string{"one", "two", "three"} {
		r.places[name] = &place{name: name}
	}
	return r
}

func (r *rig) config() run.Config {
	return run.Config{
		StateDir: r.stateDir, DeadLetters: &r.letters, Log: slog.New(slog.DiscardHandler),
		OpenSink: func(s *runfile.Sink) (*catalog.Destination, error) {
			if s.Name == r.broken {
				return nil, errors.New("it cannot be opened")
			}
			if s.Type == "hangs" {
				return &catalog.Destination{Name: "a place for " + s.Name, Sink: r.stuck}, nil
			}
			p := r.places[s.Name]
			if other := r.places[s.Type]; other != nil {
				p = other
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			p.opened++
			return &catalog.Destination{Name: "a place for " + s.Name, Sink: p, FlushInterval: time.Second}, nil
		},
		OpenSource: func(s *runfile.Source, o run.SourceOptions) (run.Source, error) {
			if s.Name == r.broken {
				return nil, errors.New("it cannot be opened")
			}
			made := &source{o: o}
			r.sources = append(r.sources, made)
			return made, nil
		},
	}
}

// file makes a file of routes, each "pattern: sink sink", or with "spill" behind
// the pattern one with a disk buffer that is written first. What stands in limit
// is each leg's.
func (r *rig) file(limit int64, lines ...string) *runfile.File {
	r.Helper()
	f := &runfile.File{Path: "spillway.yaml", Unmatched: runfile.UnmatchedDeadLetter, Sources: []runfile.Source{{Name: "in", Type: "test"}}}
	for _, line := range lines {
		pattern, to, _ := strings.Cut(line, ": ")
		pattern, spills := strings.CutSuffix(pattern, " spill")
		m, err := match.Compile(pattern)
		if err != nil {
			r.Fatal(err)
		}
		b := config.Buffer{Mode: config.Blocking, Limit: limit, Drop: config.DropNewest, LossMarkers: true}
		if spills {
			b.Mode, b.MaxDisk, b.MinFreeDisk, b.WhenFull, b.Durability = config.Spill, 1<<30, 1<<20, config.WhenFullBlock, config.DurabilityKernel
			b.Compression = config.DiskCompressionNone
		}
		f.Routes = append(f.Routes, runfile.Route{Name: pattern, Match: m, To: strings.Fields(to), Buffer: b})
		f.Memory += limit * int64(len(strings.Fields(to)))
		for _, name := range strings.Fields(to) {
			if f.Sink(name) == nil {
				f.Sinks = append(f.Sinks, runfile.Sink{Name: name, Type: "test"})
			}
		}
	}
	return f
}

// start starts a run, whose source is returned.
func (r *rig) start(f *runfile.File) *source {
	r.Helper()
	var err error
	if r.Run, err = run.Start(f, r.config()); err != nil {
		r.Fatal(err)
	}
	s := r.sources[len(r.sources)-1]
	if !s.started.Load() {
		r.Fatal("the source was not started")
	}
	return s
}

// stop ends the run and checks that its books balance.
func (r *rig) stop(within time.Duration) run.Report {
	r.Helper()
	report, err := r.Stop(time.Now().Add(within))
	if err != nil {
		r.Error(err)
	}
	r.balances(report)
	for _, s := range r.sources {
		if s.started.Load() && !s.closed.Load() {
			r.Error("a source was not closed")
		}
	}
	for _, p := range r.places {
		if p.opened != p.closed {
			r.Errorf("the sink %s was opened %d times and closed %d times", p.name, p.opened, p.closed)
		}
	}
	return report
}

func (r *rig) balances(report run.Report) {
	r.Helper()
	if report.Unaccounted != 0 || report.Bytes.Unaccounted != 0 {
		r.Errorf("the books do not balance: %+v", report.Sheet)
	}
	for _, l := range report.Legs {
		if l.Unaccounted != 0 {
			r.Errorf("the books of %s to %s do not balance: %+v", l.Route, l.Sink, l.Sheet)
		}
	}
}

// expect waits for what a chunk is told.
func (r *rig) expect(told <-chan bool, want bool) {
	r.Helper()
	select {
	case got := <-told:
		if got != want {
			r.Errorf("told %t, want %t", got, want)
		}
	case <-time.After(patience):
		r.Fatal("nobody was told")
	}
}

// await waits until a condition of the run's report holds.
func (r *rig) await(what string, holds func(run.Report) bool) {
	r.Helper()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	over := time.After(patience)
	for !holds(r.Report()) {
		select {
		case <-look.C:
		case <-over:
			r.Fatalf("%s: never: %+v", what, r.Report())
		}
	}
}

// waits waits until nothing moves in the bubble that the test is, and checks that what is
// done in the end is not: whoever is to do it waits for room.
func (r *rig) waits(done <-chan struct{}) {
	r.Helper()
	synctest.Wait()
	select {
	case <-done:
		r.Fatal("the source does not wait")
	default:
	}
}

// goesOn waits for the end of what has waited.
func (r *rig) goesOn(done <-chan struct{}) {
	r.Helper()
	select {
	case <-done:
	case <-time.After(patience):
		r.Fatalf("the source still waits: %+v", r.Report().Legs)
	}
}

// numbered are records of a name and a number.
func numbered(name string, n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("%s%03d", name, i))
	}
	return all
}
