package kafka

import (
	"context"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

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
