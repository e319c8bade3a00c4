// Package forward delivers by the fluentd forward protocol: to fluentd, Fluent
// Bit, another Spillway, or whatever else receives it, on one server or several.
//
// A batch becomes a message of the mode PackedForward with the tag of its stream.
// Entries are passed on as they arrived, from the memory of the buffer; lines of
// text, and messages of a log such as Kafka, become entries. Many messages are under way on one connection, and each is
// delivered when its ack is there. The id of a message is made of the stream's
// incarnation, the number of its first record and how many there are, so that a
// batch that is sent again, by a later attempt or a later process, to this server
// or another, has the id that it had, and a receiver which remembers ids can see
// that.
//
// Without acks delivered means that the kernel has taken the message and that the
// peer had not closed the connection by then: what it never read is lost without
// a word. That is the protocol's, and why acks are the default.
//
// The package retries nothing: what got no ack is handed back. A server that
// fails is left alone for a while, where there is another.
package forward

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/spillway/spillway/forward"
	"github.com/spillway/spillway/internal/entry"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink"
)

// Server is one receiver.
type Server struct {
	// Name is what errors call it; the address if empty.
	Name string
	// Dial says where it is and how it is reached.
	Dial forward.DialOptions
	// Weight is its share of the requests among the servers that are not standby;
	// one of weight 0 gets none while another can be reached.
	Weight int
	// Standby servers are used only while no other can be reached.
	Standby bool
}

// Options say where records go, and how.
type Options struct {
	Servers []Server // at least one
	// NoAck asks for no acks; see the package comment.
	NoAck bool
	// Compression is that of messages.
	Compression forward.Compression
	// MaxChunk bounds the entries of one message, in bytes before compression; a
	// single entry that is larger is sent alone. DefaultMaxChunk if 0. Fluent Bit
	// takes messages of 6,144,000 bytes unless told otherwise.
	MaxChunk int
	// InFlight is how many requests may be under way; DefaultInFlight if 0. With
	// more than one, and with more than one connection or server, records may arrive
	// in another order than that of admission.
	InFlight int
	// Connections is how many there may be to each server; 1 if 0. A second is made
	// only while the first is busy.
	Connections int
	// RecoverWait is how long a server that has failed twice or more in a row is
	// left alone while there is another; DefaultRecoverWait if 0.
	RecoverWait time.Duration
	// MaxConnectionAge is after how long a connection is made anew, so that a name
	// which leads elsewhere meanwhile is followed; 0 keeps it for ever.
	MaxConnectionAge time.Duration

	// Tag gives the tag of a stream; its name if nil.
	Tag func(*record.Stream) string
	// Lines says how lines of text of a stream become entries, and its loss markers.
	// It is called once for each batch of them.
	Lines func(*record.Stream) *entry.Lines
	// LineOverhead is the most that Lines adds to a line, in bytes.
	LineOverhead int
	// TextKey is the key of the text of a message whose value is text; "message" if
	// empty.
	TextKey string
}

// Defaults of Options.
const (
	DefaultMaxChunk    = 4 << 20
	DefaultInFlight    = 8
	DefaultRecoverWait = 10 * time.Second
	defaultTextKey     = "message"
)

// maxBody is the longest line, in bytes; longer ones are cut at intake.
const maxBody = 1 << 20

// Sink delivers to one of several servers. It is safe for concurrent use.
type Sink struct {
	o       Options
	servers []*server
	late    lateChunks
	unknown [12]byte // stands for an incarnation that nobody knows
	buffers sync.Pool
}

// New returns a sink; it connects to nobody. An error is one of the options.
func New(o Options) (*Sink, error) {
	if len(o.Servers) == 0 {
		return nil, errors.New("a destination of the forward protocol without a server; give at least one host:port")
	}
	if o.MaxChunk < 0 || o.InFlight < 0 || o.Connections < 0 || o.RecoverWait < 0 || o.MaxConnectionAge < 0 {
		return nil, fmt.Errorf("the limits of a destination of the forward protocol are %d, %d, %d, %v and %v; expected none below 0",
			o.MaxChunk, o.InFlight, o.Connections, o.RecoverWait, o.MaxConnectionAge)
	}
	if o.Lines == nil {
		lines := entry.NewLines(defaultTextKey, false)
		o.Lines = func(*record.Stream) *entry.Lines { return lines }
		o.LineOverhead = lines.Overhead()
	}
	if o.TextKey == "" {
		o.TextKey = defaultTextKey
	}
	if o.Tag == nil {
		o.Tag = func(s *record.Stream) string { return s.Name }
	}
	orDefault(&o.MaxChunk, DefaultMaxChunk)
	orDefault(&o.InFlight, DefaultInFlight)
	orDefault(&o.Connections, 1)
	orDefault(&o.RecoverWait, DefaultRecoverWait)
	s := &Sink{o: o, unknown: newUnknown(), buffers: sync.Pool{New: func() any { return new(buffers) }}}
	for _, one := range o.Servers {
		if one.Weight < 0 {
			return nil, fmt.Errorf("the weight of server %s is %d; expected 0 or more", one.Dial.Address, one.Weight)
		}
		s.servers = append(s.servers, newServer(one, &s.o))
	}
	return s, nil
}

func orDefault[T int | time.Duration](value *T, usual T) {
	if *value == 0 {
		*value = usual
	}
}

// Limits implements sink.Sink.
func (s *Sink) Limits() sink.Limits {
	return sink.Limits{
		RequestBytes: s.o.MaxChunk, PerEvent: s.o.LineOverhead, BodyBytes: min(maxBody, s.o.MaxChunk-s.o.LineOverhead),
		InFlight: s.o.InFlight, Eager: true,
	}
}

// Check implements sink.Sink: a server can be reached and knows us.
func (s *Sink) Check(ctx context.Context) error {
	_, c, err := s.connect(ctx)
	if err != nil {
		return inWords(err)
	}
	c.release()
	return nil
}

// Close implements sink.Sink. What the kernel has taken, it still sends.
func (s *Sink) Close() error {
	var errs []error
	for _, v := range s.servers {
		errs = append(errs, v.close())
	}
	return errors.Join(errs...)
}
