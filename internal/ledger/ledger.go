// Package ledger keeps every number of the first promise: what was received,
// delivered, dropped and why, for each stream. It only counts; it decides
// nothing and knows neither buffers nor sinks. What is still pending it does
// not count at all: whoever holds the records says so when the balance is
// drawn, which is what makes the difference, unaccounted, a check and not an
// identity.
package ledger

import (
	"maps"
	"strings"
	"sync"
)

// Reason names why records were dropped.
type Reason string

// The reasons. They appear under these names in balances, loss markers and
// metrics.
const (
	OverflowNewest  Reason = "overflow-newest"   // the buffer was full and the arriving record was refused
	OverflowOldest  Reason = "overflow-oldest"   // the buffer was full and a waiting record made room
	MaxBlock        Reason = "max-block"         // blocking had lasted for max-block
	DiskFailed      Reason = "disk-failed"       // the disk was to hold the record and took nothing
	DiskDamage      Reason = "disk-damage"       // the disk lost what it had taken
	Shutdown        Reason = "shutdown"          // the time to deliver was over
	Returned        Reason = "returned"          // likewise, and the source still has the record: see Numbers.Lost
	RejectedTooOld  Reason = "rejected-too-old"  // the destination takes no records that old
	RejectedTooNew  Reason = "rejected-too-new"  // nor with a time so far ahead
	RejectedExpired Reason = "rejected-expired"  // older than the destination's retention
	RejectedInvalid Reason = "rejected-invalid"  // refused for its content
	RejectedTooLong Reason = "rejected-too-long" // refused for its size
	RejectedRefused Reason = "rejected-refused"  // the destination lets nobody write there, and that is given up
	// RejectedConflict: another record has its id.
	RejectedConflict Reason = "rejected-conflict"
	// Duplicate: the destination has a record of the same content.
	Duplicate Reason = "duplicate"
	// RejectedUnmatched: no route takes the record's tag.
	RejectedUnmatched Reason = "rejected-unmatched"
)

// The reasons for which a source, or a route, refuses what a sender has sent. Such
// records become dead letters, but for tombstones that nobody wants, which are dropped.
const (
	Tombstone  Reason = "tombstone"   // it has no value
	TooLarge   Reason = "too-large"   // it is longer than its source, or its route's buffer, takes
	Unreadable Reason = "unreadable"  // it cannot be read: it is damaged
	NotJSON    Reason = "not-json"    // it is no JSON object
	NotMsgpack Reason = "not-msgpack" // it is no msgpack map
	NoMatch    Reason = "no-match"    // the pattern does not match it
	NoEntry    Reason = "no-entry"    // it is no entry of the forward protocol
	TooDeep    Reason = "too-deep"    // its values are nested too deeply
)

// Rejected reports whether the destination, or the source, refused the records for what
// they are.
func (r Reason) Rejected() bool {
	switch r {
	case Duplicate, Tombstone, TooLarge, Unreadable, NotJSON, NotMsgpack, NoMatch, NoEntry, TooDeep:
		return true
	}
	return strings.HasPrefix(string(r), "rejected-")
}

// MaxNamedStreams is how many streams are kept by name; stream names are
// foreign data, and the rest are summed under OtherStreams.
const (
	MaxNamedStreams = 1024
	OtherStreams    = "(other)"
)

// Count is a number of records and the bytes of their bodies.
type Count struct {
	Records, Bytes int64
}

// Plus returns the sum of the two counts.
func (c Count) Plus(o Count) Count { return Count{c.Records + o.Records, c.Bytes + o.Bytes} }

// Minus is the difference.
func (c Count) Minus(o Count) Count { return Count{c.Records - o.Records, c.Bytes - o.Bytes} }

// Lines counts what stands beside the balance: what was read before it was cut
// or joined into records.
type Lines struct {
	Read  int64 `json:"lines_read"`
	Split int64 `json:"split_lines"`
	Empty int64 `json:"empty_lines"`
	// InvalidUTF8 counts the bytes that are replaced by U+FFFD in destinations
	// which take only valid UTF-8.
	InvalidUTF8 int64 `json:"invalid_utf8"`
}

func (l *Lines) add(o Lines) {
	l.Read += o.Read
	l.Split += o.Split
	l.Empty += o.Empty
	l.InvalidUTF8 += o.InvalidUTF8
}

// Ledger holds the accounts of one route. All methods, and those of its
// accounts, may be called by several goroutines at once.
type Ledger struct {
	mu       sync.Mutex
	accounts []*Account
	byName   map[string]*Account
}

// New returns an empty ledger.
func New() *Ledger { return &Ledger{byName: make(map[string]*Account)} }

// Account is the account of one stream. Counts are added for each batch, not
// for each record, so one lock for the ledger is enough and every balance is a
// consistent cut.
type Account struct {
	ledger *Ledger
	name   string

	received, recovered, delivered, deadLettered Count
	dropped                                      map[Reason]Count
	possibleDuplicates                           int64
	markersMade, markersDelivered                int64
	markersRefused                               int64
	lines                                        Lines
}

// Open returns the account of the stream called name.
func (l *Ledger) Open(name string) *Account {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a := l.byName[name]; a != nil {
		return a
	}
	if len(l.accounts) >= MaxNamedStreams {
		name = OtherStreams
		if a := l.byName[name]; a != nil {
			return a
		}
	}
	a := &Account{ledger: l, name: name, dropped: make(map[Reason]Count)}
	l.accounts = append(l.accounts, a)
	l.byName[name] = a
	return a
}

// Name is the name under which the account stands in balances.
func (a *Account) Name() string { return a.name }

func (a *Account) locked(f func()) {
	a.ledger.mu.Lock()
	defer a.ledger.mu.Unlock()
	f()
}

// Received counts records that came from the source.
func (a *Account) Received(c Count) {
	a.locked(func() { a.received = a.received.Plus(c) })
}

// Recovered counts records that another process had left behind.
func (a *Account) Recovered(c Count) {
	a.locked(func() { a.recovered = a.recovered.Plus(c) })
}

// Delivered counts records that the destination has.
func (a *Account) Delivered(c Count) {
	a.locked(func() { a.delivered = a.delivered.Plus(c) })
}

// Dropped counts records that were lost, and why.
func (a *Account) Dropped(why Reason, c Count) {
	a.locked(func() { a.dropped[why] = a.dropped[why].Plus(c) })
}

// PassedOver counts records that came from a source and went nowhere, and why.
func (a *Account) PassedOver(why Reason, c Count) {
	a.locked(func() {
		a.received = a.received.Plus(c)
		a.dropped[why] = a.dropped[why].Plus(c)
	})
}

// DeadLettered counts records that the dead letters keep.
func (a *Account) DeadLettered(c Count) {
	a.locked(func() { a.deadLettered = a.deadLettered.Plus(c) })
}

// PossiblyDuplicated counts delivered records of which the destination may hold
// a second copy, because an earlier attempt ended without an answer.
func (a *Account) PossiblyDuplicated(records int64) {
	a.locked(func() { a.possibleDuplicates += records })
}

// Markers counts loss markers; merging two made ones into one is made -1.
func (a *Account) Markers(made, delivered int64) {
	a.locked(func() { a.markersMade += made; a.markersDelivered += delivered })
}

// MarkersRefused counts n loss markers that the destination refused for good;
// they are pending no longer.
func (a *Account) MarkersRefused(n int64) {
	a.locked(func() { a.markersRefused += n })
}

// Lines adds to the numbers beside the balance.
func (a *Account) Lines(l Lines) {
	a.locked(func() { a.lines.add(l) })
}

// markers draws the numbers of markers; the lock is held.
func (a *Account) markers() Markers {
	return Markers{
		Made: a.markersMade, Delivered: a.markersDelivered, Refused: a.markersRefused,
		Pending: a.markersMade - a.markersDelivered - a.markersRefused,
	}
}

// Balance draws the balance of all streams. pending must hold, by the name of
// the stream, what is held at this moment; the caller keeps records from moving
// while it asks.
func (l *Ledger) Balance(pending map[string]Count) Balance {
	l.mu.Lock()
	defer l.mu.Unlock()
	var total Balance
	total.Streams = make([]StreamBalance, 0, len(l.accounts))
	for _, a := range l.accounts {
		s := sums{
			received: a.received, recovered: a.recovered, delivered: a.delivered, deadLettered: a.deadLettered,
			pending: pending[a.name], dropped: maps.Clone(a.dropped),
			markers:            a.markers(),
			possibleDuplicates: a.possibleDuplicates, lines: a.lines,
		}
		total.Streams = append(total.Streams, StreamBalance{Stream: a.name, Sheet: s.sheet()})
	}
	total.Sheet = Total(total.Streams)
	return total
}
