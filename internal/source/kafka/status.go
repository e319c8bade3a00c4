package kafka

import (
	"cmp"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/spillway/spillway/internal/kafkaclient"
)

// troubles are what is wrong now, by what has it.
type troubles struct {
	mu  sync.Mutex
	all map[string]trouble
}

type trouble struct {
	text  string
	since time.Time
	// advises: the text says what to do.
	advises bool
}

func (t *troubles) set(what string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all == nil {
		t.all = make(map[string]trouble)
	}
	now := trouble{err.Error(), time.Now(), kafkaclient.Advises(err)}
	if old, known := t.all[what]; known {
		now.since = old.since
	} else if len(t.all) >= maxTroubles {
		return
	}
	t.all[what] = now
}

// maxTroubles is how many are kept, one for each partition among them.
const maxTroubles = 100

func (t *troubles) clear(what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.all, what)
}

// oldest is what has been wrong for longest, of what says what to do where anything does:
// one cause is told in several places, and some know no more than what the broker said.
func (t *troubles) oldest() (text string, since time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	advises := false
	for what, one := range t.all {
		if since.IsZero() || one.advises && !advises || one.advises == advises && one.since.Before(since) {
			text, since, advises = what+": "+one.text, one.since, one.advises
		}
	}
	return text, since
}

// troubled notes what is wrong until it is cleared, and tells of it.
func (s *Source) troubled(reason string, at place, err error) {
	s.trouble.set(reason, err)
	s.event(reason, at, err)
}

// event tells of what has happened.
func (s *Source) event(reason string, at place, err error) {
	if s.cfg.Report != nil {
		s.cfg.Report(Event{Reason: reason, Topic: at.topic, Partition: at.number, Err: err})
	}
}

// hooks hear of the library's connections and of its group.
type hooks struct{ *Source }

// OnBrokerConnect implements kgo.HookBrokerConnect.
func (h hooks) OnBrokerConnect(meta kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	const reason = "connect"
	if err == nil {
		h.trouble.clear(reason)
	} else if h.answering.Err() == nil {
		h.trouble.clear(reasonClosed) // It says less.
		h.troubled(reason, place{number: -1}, kafkaclient.ConnectError(meta, err))
	}
}

const reasonClosed = "answer"

// OnBrokerRead implements kgo.HookBrokerRead. A broker that wants SASL and gets none lets
// everyone connect, says which versions it speaks, and closes at the first request.
func (h hooks) OnBrokerRead(meta kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, err error) {
	switch {
	case kafkaclient.ClosedUnanswered(err):
		if h.answering.Err() == nil {
			h.troubled(reasonClosed, place{number: -1}, kafkaclient.ClosedError(meta, err))
		}
	case err == nil && !kafkaclient.OfHandshake(key):
		h.trouble.clear(reasonClosed)
	}
}

// OnGroupManageError implements kgo.HookGroupManageError.
func (h hooks) OnGroupManageError(err error) {
	if h.answering.Err() == nil {
		h.troubled("group", place{number: -1}, kafkaclient.GroupError(h.cfg.Group, err))
	}
}

// logger takes the library's log: its errors are told once they last, and by the hooks.
type logger struct{ *Source }

// Level implements kgo.Logger.
func (logger) Level() kgo.LogLevel { return kgo.LogLevelNone }

// Log implements kgo.Logger.
func (logger) Log(kgo.LogLevel, string, ...any) {}

// Counts are what a source has seen since it was made.
type Counts struct {
	Records int64 `json:"records"`
	Bytes   int64 `json:"-"`
	Chunks  int64 `json:"chunks"`
	// Invalid are values that are not of the format, TooLarge records above
	// max-record-size, Unreadable batches that are damaged: each is a dead letter.
	Invalid    int64 `json:"invalid"`
	TooLarge   int64 `json:"too_large"`
	Unreadable int64 `json:"unreadable"`
	// Tombstones are records without a value, whatever becomes of them.
	Tombstones int64 `json:"tombstones"`
	// Untimed are values of which the event's time could not be read: they have that of
	// Kafka.
	Untimed int64 `json:"untimed"`
	// Missed are offsets that were gone from the log before they were read.
	Missed int64 `json:"missed"`
	// Aborted are records of transactions that were aborted.
	Aborted int64 `json:"aborted"`
	// Lost are chunks that were lost on the way, or taken back from a route without room, and are read again. Late are those
	// that were told of when their partition had gone to another member.
	Lost int64 `json:"lost_and_read_again"`
	Late int64 `json:"told_too_late"`
	// Assignments counts how often partitions were assigned, Commits what it says.
	Assignments int64 `json:"assignments"`
	Commits     int64 `json:"commits"`
	Fetches     int64 `json:"fetches"`
	// GivenUp is how often fetched records were given up, to be fetched again, because a
	// route had no room for them for a while and others wanted the memory. PutAside are
	// batches for which there was no memory: they went through a file.
	GivenUp  int64 `json:"given_up"`
	PutAside int64 `json:"put_aside"`
	// Partitions are those that are assigned now.
	Partitions []PartitionCounts `json:"partitions"`
	// Trouble is what is wrong, and Since since when.
	Trouble string     `json:"trouble,omitempty"`
	Since   *time.Time `json:"since,omitempty"`
}

// PartitionCounts is how a partition does.
type PartitionCounts struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	// Read is the offset behind what was handed over, Settled the one before which
	// everything is settled, Committed what the group knows; -1 is nothing.
	Read      int64 `json:"read"`
	Settled   int64 `json:"settled"`
	Committed int64 `json:"committed"`
	// Lag are the offsets between what was fetched and the end.
	Lag int64 `json:"lag"`
}

// Counts are what the source has seen.
func (s *Source) Counts() Counts {
	c := s.counts
	out := Counts{
		Records: c.records.Load(), Bytes: c.bytes.Load(), Chunks: c.chunks.Load(), Invalid: c.invalid.Load(), TooLarge: c.tooLarge.Load(),
		Unreadable: c.unreadable.Load(), Tombstones: c.tombstones.Load(), Untimed: c.noTime.Load(), Missed: c.missed.Load(), Aborted: c.aborted.Load(),
		Lost: c.lost.Load(), Late: c.late.Load(), Assignments: c.rebalances.Load(), Commits: c.commits.Load(), Fetches: c.fetches.Load(), GivenUp: c.givenUp.Load(), PutAside: c.putAside.Load(),
		Partitions: []PartitionCounts{},
	}
	s.mu.Lock()
	all := s.all()
	s.mu.Unlock()
	for _, p := range all {
		p.mu.Lock()
		out.Partitions = append(out.Partitions, PartitionCounts{p.topic, p.number, p.head, p.done, p.committed, p.lag})
		p.mu.Unlock()
	}
	slices.SortFunc(out.Partitions, func(a, b PartitionCounts) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	var since time.Time
	if out.Trouble, since = s.trouble.oldest(); out.Trouble != "" {
		out.Since = &since
	}
	return out
}
