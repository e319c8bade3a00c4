package forward

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Defaults of ClientOptions.
const (
	DefaultBufferBytes  = 64 << 20
	DefaultChunkBytes   = 1 << 20
	DefaultChunkRecords = 100_000
	DefaultChunkAge     = 200 * time.Millisecond
	DefaultMinBackoff   = 100 * time.Millisecond
	DefaultMaxBackoff   = 5 * time.Second
	DefaultWeight       = 60
	// MinBufferBytes is the smallest buffer.
	MinBufferBytes = 64 << 10
)

// WhenFull is what a client does with a record for which its buffer has no room.
type WhenFull uint8

const (
	// Block waits for room until the context of the call ends. Nothing is lost.
	Block WhenFull = iota
	// DropNewest refuses the record at once, with ErrBufferFull.
	DropNewest
	// DropOldest makes room by dropping what has waited longest, counted under
	// DroppedOverflow. What is under way to a server is not dropped; if that is all
	// there is, the record is refused with ErrBufferFull.
	DropOldest
)

// Endpoint is one server of a client.
type Endpoint struct {
	DialOptions
	// Weight is the server's share of the chunks (60, as in fluentd) among those that are
	// available and have fewer chunks in flight than their Window: one that acknowledges
	// too slowly for its share leaves the rest to the others.
	Weight int
	// Standby servers are given nothing while all others are available. One takes
	// the place of each that is set aside.
	Standby bool
}

// Endpoints makes servers of addresses: host:port, tls://host:port with the roots of the
// system, or unix:/path. What else a server needs is set in the DialOptions of what is
// returned. NewClient refuses an address that is none of these.
func Endpoints(addresses ...string) []Endpoint {
	all := make([]Endpoint, len(addresses))
	for i, address := range addresses {
		o := &all[i].DialOptions
		o.Address = address
		if rest, ok := strings.CutPrefix(address, "tls://"); ok {
			o.Address, o.TLS = rest, new(tls.Config)
		} else if rest, ok := strings.CutPrefix(address, "unix:"); ok {
			o.Network, o.Address = "unix", strings.TrimPrefix(rest, "//")
		}
	}
	return all
}

// ClientOptions configure a Client. A field left at its zero value has its
// default.
type ClientOptions struct {
	// Servers are one or more. Chunks go to all that are available, by weight; one
	// that fails is set aside, and tried again after a pause. Each has one connection; a
	// server that stands here twice has two.
	Servers []Endpoint
	// ConnectionAge replaces a connection that is older, as soon as there is something to
	// send: the server's name is resolved anew, and a load balancer chooses anew. The old
	// connection ends when nothing on it waits for an ack, and stays where no new one
	// comes about. 0 keeps connections for as long as they work.
	ConnectionAge time.Duration
	// NoAcks asks for no acknowledgements. A chunk then counts as sent once the
	// kernel has taken it, and is lost without a word if the server dies with it.
	NoAcks bool
	// Compression of the chunks; none by default. What a Spill gives back is sent as
	// it is.
	Compression Compression
	// WholeSeconds sends times as integers of seconds, for servers that do not know
	// EventTime: fluentd before 0.14.
	WholeSeconds bool

	// BufferBytes bounds all that the client holds of records, in bytes: those that
	// wait and those in flight, the unused ends of blocks, descriptors, and the room
	// that compression needs (64 MiB; at least 64 KiB).
	BufferBytes int64
	// WhenFull says what happens then.
	WhenFull WhenFull
	// Spill takes what the buffer cannot hold, in mode Block. At most a quarter of the
	// buffer is then in flight at once, or one chunk: what a server holds back without an
	// ack cannot go into the spill.
	Spill Spill

	// A chunk is sent when it has ChunkBytes bytes (1 MiB) or ChunkRecords records
	// (100,000), or when it is ChunkAge old (200 ms). It never has more, except that
	// a record of more than ChunkBytes is a chunk of its own. ChunkBytes is lowered
	// to an eighth of BufferBytes. Fluent Bit takes no message above 6 MB by default.
	ChunkBytes   int
	ChunkRecords int
	ChunkAge     time.Duration
	// RecordBytes is the largest entry, in bytes: record, time and framing (4 MiB, and
	// at most a quarter of BufferBytes). A larger one is refused with a *LimitError.
	RecordBytes int

	// A server that fails is left alone for MinBackoff (100 ms), then for twice as
	// long after each further failure, up to MaxBackoff (5 s), each 30 % more or
	// less by chance.
	MinBackoff, MaxBackoff time.Duration
}

func (o ClientOptions) withDefaults() (ClientOptions, error) {
	if len(o.Servers) == 0 {
		return o, errors.New("forward: a client without servers; give at least one")
	}
	set(&o.BufferBytes, DefaultBufferBytes)
	set(&o.ChunkBytes, DefaultChunkBytes)
	set(&o.ChunkRecords, DefaultChunkRecords)
	set(&o.ChunkAge, DefaultChunkAge)
	set(&o.MinBackoff, DefaultMinBackoff)
	set(&o.MaxBackoff, max(DefaultMaxBackoff, o.MinBackoff))
	set(&o.RecordBytes, 4<<20)
	if o.BufferBytes < MinBufferBytes {
		return o, fmt.Errorf("forward: BufferBytes is %d; expected at least %d", o.BufferBytes, MinBufferBytes)
	}
	if o.ChunkBytes < 0 || o.ChunkRecords < 0 || o.ChunkAge < 0 || o.ConnectionAge < 0 || o.RecordBytes < 0 || o.MinBackoff < 0 || o.MaxBackoff < o.MinBackoff {
		return o, errors.New("forward: a chunk's limit, ConnectionAge or a back-off is below 0, or MaxBackoff below MinBackoff")
	}
	if o.WhenFull > DropOldest || o.Compression >= CompressionUnknown {
		return o, fmt.Errorf("forward: WhenFull %d, Compression %v; expected one of the constants", o.WhenFull, o.Compression)
	}
	if o.Spill != nil && o.WhenFull != Block {
		return o, errors.New("forward: a client with a Spill blocks when that is full, too; leave WhenFull at Block")
	}
	o.ChunkBytes = int(min(int64(o.ChunkBytes), o.BufferBytes/8))
	o.RecordBytes = int(min(int64(o.RecordBytes), o.BufferBytes/4))
	servers := make([]Endpoint, len(o.Servers))
	active := 0
	for i, e := range o.Servers {
		var err error
		if e.DialOptions, err = e.DialOptions.withDefaults(); err != nil {
			return o, err
		}
		set(&e.Weight, DefaultWeight)
		if e.Weight < 0 {
			return o, fmt.Errorf("forward: server %s has weight %d; expected more than 0", e.Address, e.Weight)
		}
		if !e.Standby {
			active++
		}
		servers[i] = e
	}
	if active == 0 {
		return o, errors.New("forward: all servers are standby; at least one must not be")
	}
	o.Servers = servers
	return o, nil
}

// set gives a value its default.
func set[T comparable](value *T, usual T) {
	var zero T
	if *value == zero {
		*value = usual
	}
}
