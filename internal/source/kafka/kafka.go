// Package kafka is the source of Kafka topics: a member of a consumer group that
// reads the partitions assigned to it, hands their records over as chunks, and commits
// of each partition the offset before which every record is settled.
//
// The library franz-go has the connections, the life of the group, metadata and
// commits. Fetching and the walk over record batches are ours, because an object for
// each record could not be held to any limit: a megabyte can unpack to a hundred
// thousand records. What is read is an answer of the size asked for, and one window
// into a batch; see the package wire.
//
// The files in the order of a record: group.go is assigned a partition, position.go
// says where to begin, feed.go asks its leader, piece.go walks the answer, convert.go
// makes messages, chunk.go hands them over, tracker.go is told, commit.go commits.
//
// It refuses to drop a record, to commit what nobody vouches for, and to stop a
// partition because of one record: what is no record becomes a dead letter.
package kafka

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/spillway/spillway/internal/record"
)

// Router is where a source hands over what it reads; internal/route has one.
type Router interface {
	// Admit hands over a chunk, and waits where a leg makes the source wait.
	Admit(c *record.Chunk)
	// Reject hands over what is no record, for the dead letters.
	Reject(c *record.Chunk)
	// Miss tells of n records of a tag that were gone before they could be read.
	Miss(tag string, t, n int64)
	// Route tells where a tag goes: those that go the same way wait for each other.
	Route(tag string) string
}

// Config says how a source is made.
type Config struct {
	Name string
	// Client are the options of the connection: brokers, TLS, SASL, the client's id.
	// They have no dialer, and no TLS.
	Client []kgo.Opt
	// Dial connects to a broker, over TLS where that is wanted; nil is without.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	// Group is the consumer group. InstanceID makes its member static: the group keeps
	// the partitions of a member that comes back within SessionTimeout. Empty is none.
	Group, InstanceID string
	// Topics are names, Patterns regular expressions for names; one of them is empty.
	// Exclude are expressions for topics that Patterns take and that are not wanted.
	Topics, Patterns, Exclude []string
	SessionTimeout            time.Duration
	// RebalanceWait is how long a partition that goes to another member may wait for
	// what is under way, so that it need not be read twice.
	RebalanceWait time.Duration
	// ReadCommitted passes over what transactions aborted, and waits for the end of
	// open ones.
	ReadCommitted bool
	// Start is where a partition begins of which the group has committed nothing.
	Start Start
	// CommitEvery is how often offsets are committed.
	CommitEvery time.Duration

	Convert Convert
	// Tag is the tag of a partition's records.
	Tag func(topic string, partition int32) string

	// MaxRecord is the largest record, in bytes; MaxAhead how many records a partition
	// may run past the first that is not settled.
	MaxRecord, MaxAhead int
	// Memory is what answers of brokers may take, in bytes, with what hands them over.
	Memory int64
	// Spool is the directory for batches that are larger than that; empty is the system's
	// for temporary files.
	Spool string

	// Router is where it hands over, Level what a record must reach before its offset
	// is committed.
	Router Router
	Level  record.Level
	// Instead is a source that this one takes the place of: it joins the group when
	// that one has left it.
	Instead *Source
	// Dropped hears of tombstones that go nowhere: how many of a tag, and the bytes of
	// their messages. It must be quick; it may be nil.
	Dropped func(tag string, records, bytes int64)
	// Report hears of what goes wrong, and must be quick; it may be nil. The same
	// trouble comes again and again.
	Report func(Event)
}

// Event is something that goes wrong, and is tried again.
type Event struct {
	// Reason is a word or two; Topic and Partition are where, -1 and empty where it is
	// no partition's.
	Reason    string
	Topic     string
	Partition int32
	Err       error
}

// Start is where a partition begins of which the group has committed nothing.
type Start struct {
	// From is one of the words; At is in milliseconds since 1970, for FromTime: the
	// first record whose timestamp is not before it.
	From From
	At   int64
}

// From is a word of Start.
type From uint8

// The words of Start.
const (
	FromEarliest From = iota
	FromLatest
	FromTime
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
	// reborn are topics that were deleted and created anew.
	reborn map[string]bool
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
	routes  map[string]int // numbers of routes, as they came
	workers chan *worker   // those that have nothing to do
	// largest is held by the worker that has records that are larger than usual.
	largest sync.Mutex
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
		cfg: cfg, partitions: make(map[place]*partition), feeds: make(map[int32]*feed), reborn: make(map[string]bool), routes: make(map[string]int), woken: make(chan struct{}),
		locate: make(chan struct{}, 1), due: make(chan struct{}, 1), closed: make(chan struct{}), ready: make(chan struct{}),
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
