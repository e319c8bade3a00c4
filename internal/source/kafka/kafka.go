// Package kafka is the source of Kafka topics: a member of a consumer group that
// reads the partitions assigned to it, hands their records over as chunks, and commits
// of each partition the offset before which every record is settled.
//
// The library franz-go has the connections, the life of the group, metadata and
// commits. Fetching and the walk over record batches are ours, because an object for
// each record could not be held to any limit: a megabyte can unpack to a hundred
// thousand records. What is held is what was asked for, in blocks that are used again,
// and one window into a batch; see the package wire.
//
// The files in the order of a record: group.go is assigned a partition, position.go
// says where to begin, leaders.go who leads it, feed.go and fetch.go ask the leader, conn.go
// takes its answer apart, memory.go and spool.go hold it, line.go has what goes one way
// handed over, piece.go walks it, convert.go makes messages, chunk.go hands them over,
// tracker.go is told, commit.go commits.
//
// It refuses to drop a record, to commit what nobody vouches for, and to stop a
// partition because of one record: what is no record becomes a dead letter.
package kafka

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/spillway/spillway/internal/source/kafka/wire"
)

// Source is one source at work.
type Source struct {
	cfg    Config
	client *kgo.Client // once ready is closed
	counts *counts     // of this source and of those that it took the place of

	// mu is held while partitions come and go, and while their leaders change. It comes
	// before the lock of a partition.
	mu         sync.Mutex
	partitions map[place]*partition
	feeds      map[int32]*feed
	stopped    bool
	// reborn are topics that were deleted and created anew, and when that was seen.
	reborn map[string]time.Time
	// woken is closed and made anew when a feed may have something to do.
	woken chan struct{}

	// committing is held from the look at what may be committed until it is, so that
	// a partition that has gone is in no commit that is under way.
	committing sync.Mutex

	memory *memory
	room   int64 // bytes of memory that one answer may take
	// handing guards what waits to be handed over. It comes behind mu, and before the lock
	// of a partition.
	handing sync.Mutex
	lines   []*line
	workers chan *worker // those that have nothing to do
	// holder is the worker that has records that are larger than usual, if one has, and letGo
	// is closed and made anew when it has not any more. Guarded by handing.
	holder  *worker
	letGo   chan struct{}
	turn    wire.Turn // of the holder
	trouble troubles
	idle    atomic.Int32  // feeds that wait, or are about to
	ready   chan struct{} // closed when there is a client
	locate  chan struct{} // asks for the leaders
	due     chan struct{} // asks for a commit

	// spoil changes answers, in tests.
	spoil func(*kmsg.FetchResponse)

	ctx    context.Context // ends when nothing more is to be read
	cancel context.CancelFunc
	// answering ends when everything that was handed over is told of.
	answering context.Context
	answered  context.CancelFunc

	reading sync.WaitGroup // goroutines that hand over
	working sync.WaitGroup // all others
	started bool
	closed  chan struct{} // closed when it has left the group
	once    sync.Once
}

// place names a partition.
type place struct {
	topic  string
	number int32
}

// Sizes in bytes: of what one answer may take, of what one that hands over has beside
// that, and of the memory for which there is one of those.
const (
	minRoom    = 128 << 10
	maxRoom    = 8 << 20
	workerSize = 512 << 10
	lineShare  = 2 << 20
)

// How many lines there are, for as many routes.
const (
	minLines = 2
	maxLines = 32
)

// New makes a source. It connects to nobody before Start.
func New(cfg Config) (*Source, error) {
	s := &Source{
		cfg: cfg, partitions: make(map[place]*partition), feeds: make(map[int32]*feed), reborn: make(map[string]time.Time), woken: make(chan struct{}),
		locate: make(chan struct{}, 1), due: make(chan struct{}, 1), closed: make(chan struct{}), ready: make(chan struct{}), letGo: make(chan struct{}),
	}
	if s.counts = new(counts); cfg.Instead != nil {
		s.counts = cfg.Instead.counts
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.answering, s.answered = context.WithCancel(context.Background())
	// One answer is handed over while another waits for that and a third one comes.
	lines := min(max(cfg.Memory/lineShare, minLines), maxLines)
	all := max(cfg.Memory-lines*workerSize, 4*minRoom)
	s.memory, s.room = newMemory(all, cfg.Spool), min(all/4, maxRoom)
	s.workers = make(chan *worker, lines)
	for range lines {
		s.lines = append(s.lines, &line{Source: s})
	}
	if _, err := newConverter(&s.cfg); err != nil {
		return nil, err
	}
	// The options of the group are checked now, by a client that connects to nobody.
	if err := kgo.ValidateOpts(s.options()...); err != nil {
		return nil, err
	}
	return s, nil
}

// Start joins the group and begins to read.
func (s *Source) Start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return
	}
	s.started = true
	s.working.Go(s.work)
}

// work is the life of a source that was started.
func (s *Source) work() {
	defer close(s.closed)
	if s.cfg.Instead != nil {
		// Two members of one process would take partitions from each other, and of a
		// static member there is one.
		select {
		case <-s.cfg.Instead.closed:
		case <-s.answering.Done():
			return
		}
		s.cfg.Instead = nil // It may be the last of many.
	}
	client, err := kgo.NewClient(s.options()...)
	if err != nil {
		s.troubled("client", place{number: -1}, err)
		return
	}
	s.client = client
	close(s.ready)
	var beside sync.WaitGroup
	beside.Go(s.watch)
	beside.Go(s.commits)
	beside.Go(s.drainPolls)
	<-s.answering.Done()
	s.leave()
	beside.Wait()
}

// Stop takes nothing more, without waiting. What was handed over is still committed.
func (s *Source) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	s.cancel()
	for _, p := range s.partitions {
		p.stop()
	}
}

// Wait returns when nothing more is handed over.
func (s *Source) Wait() {
	s.Stop()
	s.reading.Wait()
	s.endWorkers()
}

// Close ends the source, once all that was handed over is told of and committed.
func (s *Source) Close() error {
	s.Wait()
	s.mu.Lock()
	started := s.started
	all := s.all()
	s.mu.Unlock()
	s.once.Do(func() {
		for _, p := range all {
			<-p.drained(context.Background())
		}
		s.answered()
		if !started {
			close(s.closed)
		}
	})
	<-s.closed
	s.working.Wait()
	return nil
}

// all are the partitions. The lock is held.
func (s *Source) all() []*partition {
	all := make([]*partition, 0, len(s.partitions))
	for _, p := range s.partitions {
		all = append(all, p)
	}
	return all
}

// wake has the feeds look for something to do. The lock is held.
func (s *Source) wake() {
	close(s.woken)
	s.woken = make(chan struct{})
}

// ask puts a question that is asked once however often it is put.
func ask(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Settled is told the keys of chunks that are settled in all legs, which are of no use
// here: offsets say it.
func (s *Source) Settled([][16]byte) {}

// Done never comes: topics have no end.
func (s *Source) Done() <-chan struct{} { return nil }

// counts are what a source has seen.
type counts struct {
	records, bytes, chunks                    atomic.Int64
	invalid, tooLarge, tombstones, unreadable atomic.Int64
	missed, late, lost, aborted, noTime       atomic.Int64
	rebalances, commits, fetches              atomic.Int64
	givenUp, putAside                         atomic.Int64
}
