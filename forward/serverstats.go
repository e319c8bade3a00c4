package forward

import (
	"strconv"
	"sync/atomic"
)

// reason is why a connection was closed, or what was wrong with a message.
type reason uint8

const (
	reasonAccept    reason = iota // a listener could not accept
	reasonFull                    // connections wait to be accepted
	reasonTLS                     // the TLS handshake failed
	reasonHandshake               // no or a wrong handshake in time
	reasonDenied                  // the handshake was right and the answer no
	reasonRead                    // the connection broke
	reasonCutOff                  // it ended in the middle of a message
	reasonSyntax                  // what came was no msgpack, or no JSON
	reasonBroken                  // a value that is no message: skipped
	reasonTooLarge                // a message, or a part of it, beyond the limits
	reasonSpool                   // a large message could not be put aside
	reasonPayload                 // a payload that does not decompress, or not within the limits
	reasonInvalid                 // entries that are none
	reasonStalled                 // the rest of a message did not come
	reasonMemory                  // it held too much that others wait for
	reasonWrite                   // an acknowledgement could not be written
	reasonNotTaken                // the Receiver said no
	reasonLinger                  // the Receiver did not say yes in time, after a no
	reasonShutdown                // Close did not wait any longer
	reasons
)

var reasonNames = [reasons]string{
	"accept", "full", "tls", "handshake", "denied", "read", "cut-off", "syntax", "broken", "too-large", "spool", "payload", "invalid-entries",
	"stalled", "memory", "write", "not-taken", "linger", "shutdown",
}

func (r reason) String() string {
	if r < reasons {
		return reasonNames[r]
	}
	return "reason(" + strconv.Itoa(int(r)) + ")"
}

// counters are a server's numbers.
type counters struct {
	accepted, heartbeats, messages, bytes, entries, invalid, discarded atomic.Int64
	taken, notTaken, acks                                              atomic.Int64
	reasons                                                            [reasons]atomic.Int64
}

// ServerCounters are a server's numbers since it was made.
type ServerCounters struct {
	// Connections are open now; Accepted is how many there were.
	Connections int64 `json:"connections"`
	Accepted    int64 `json:"accepted"`
	// Heartbeats are datagrams, and messages that are nil.
	Heartbeats int64 `json:"heartbeats"`
	// Messages were handed to the Receiver, with Entries valid entries and Invalid
	// others, in Bytes as they stood on the wire.
	Messages int64 `json:"messages"`
	Bytes    int64 `json:"bytes"`
	Entries  int64 `json:"entries"`
	Invalid  int64 `json:"invalid"`
	// Taken and NotTaken are those of which the Receiver said so; the others are Due.
	// Acks were asked for, and are written or about to be.
	Taken    int64 `json:"taken"`
	NotTaken int64 `json:"not_taken"`
	Due      int64 `json:"due"`
	Acks     int64 `json:"acks"`
	// Discarded are bytes that came while a connection was being closed, after a
	// no of the Receiver or of the server: what wants an acknowledgement is sent
	// again by its sender.
	Discarded int64 `json:"discarded"`
	// Memory is what is in use for receiving now, MemoryPeak the most that was held;
	// in bytes.
	Memory     int64 `json:"memory"`
	MemoryPeak int64 `json:"memory_peak"`
	// Reasons counts what went wrong, by reason:
	//
	//	accept           a listener could not accept a connection
	//	full             connections began to wait to be accepted, since as many are open as may be
	//	tls              a TLS handshake failed
	//	handshake        a handshake was wrong, or not there in time
	//	denied           a client may not send: wrong key, user or network
	//	read             a connection broke
	//	cut-off          a connection ended in the middle of a message
	//	syntax           what came was neither msgpack nor JSON; the connection is closed
	//	broken           a value was no message; it is skipped
	//	too-large        a message was beyond the limits; the connection is closed
	//	spool            a large message could not be put aside; the connection is closed
	//	payload          a payload could not be decompressed; it is handed over as received
	//	invalid-entries  a message held entries that are none; they are handed over apart
	//	stalled          the rest of a message did not come; the connection is closed
	//	memory           half-read messages held too much memory, and the slowest are closed; or
	//	                 connections over TLS, of which the longest idle are
	//	write            an acknowledgement could not be written
	//	not-taken        the Receiver said no to a message that wanted an acknowledgement; the connection is closed
	//	linger           after such a no the others were not settled in time
	//	shutdown         Close did not wait any longer
	Reasons map[string]int64 `json:"reasons"`
}

// Stats returns the numbers, which may be drawn at any time.
func (s *Server) Stats() ServerCounters {
	s.mu.Lock()
	open := int64(len(s.conns))
	s.mu.Unlock()
	c, m := &s.stats, s.pool.state()
	st := ServerCounters{
		Connections: open, Accepted: c.accepted.Load(), Heartbeats: c.heartbeats.Load(),
		Bytes: c.bytes.Load(), Discarded: c.discarded.Load(), Entries: c.entries.Load(), Invalid: c.invalid.Load(),
		Taken: c.taken.Load(), NotTaken: c.notTaken.Load(), Acks: c.acks.Load(),
		Memory: m.used, MemoryPeak: m.peak, Reasons: make(map[string]int64),
	}
	// Read last, so that what is due is never negative.
	st.Messages = c.messages.Load()
	st.Due = st.Messages - st.Taken - st.NotTaken
	for why := range c.reasons {
		if n := c.reasons[why].Load(); n > 0 {
			st.Reasons[reason(why).String()] = n
		}
	}
	return st
}
