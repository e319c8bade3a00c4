package forward_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"

	"github.com/tinylib/msgp/msgp"

	"github.com/spillway/spillway/forward"
)

// A server acknowledges what its receiver says it has. The entries are bytes:
// what is kept of them is copied, and read only where it has to be.
func ExampleServer() {
	s, err := forward.NewServer(forward.ServerConfig{
		Receiver: forward.ReceiverFunc(func(r *forward.Received, done func(ok bool)) {
			fmt.Printf("%d entries of tag %s\n", r.Count, r.Tag)
			done(true) // or later, from any goroutine
		}),
		Report: func(e forward.Event) { log.Printf("%v: %s: %v", e.Peer, e.Reason, e.Err) },
	})
	if err != nil {
		log.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	served := make(chan error)
	go func() { served <- s.Serve(l) }()

	// A client, by hand.
	entry := append(forward.AppendEntry(nil, 1_700_000_000_000_000_000), 0x80) // an empty record
	message, err := forward.AppendMessage(nil, "app.web", forward.ModePackedForward, entry, 1, forward.Option{Chunk: "id"})
	if err != nil {
		log.Fatal(err)
	}
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	if _, err := c.Write(message); err != nil {
		log.Fatal(err)
	}
	ack := make([]byte, len(forward.AppendAck(nil, "id")))
	if _, err := io.ReadFull(c, ack); err != nil {
		log.Fatal(err)
	}
	chunk, _, err := forward.ParseAck(ack)
	fmt.Printf("acknowledged: %s %v\n", chunk, err)

	if err := errors.Join(c.Close(), s.Close(context.Background())); err != nil {
		log.Fatal(err)
	}
	fmt.Println(<-served)
	// Output:
	// 1 entries of tag app.web
	// acknowledged: id <nil>
	// the forward server is closed
}

// Every mode comes out as entries.
func ExampleParse() {
	entry := forward.AppendEntry(nil, 1_700_000_000_123_456_789)
	entry = msgp.AppendMapHeader(entry, 1)
	entry = msgp.AppendString(msgp.AppendString(entry, "log"), "hello")
	for _, mode := range []forward.Mode{forward.ModeMessage, forward.ModeForward, forward.ModePackedForward} {
		b, err := forward.AppendMessage(nil, "app", mode, entry, 1, forward.Option{})
		if err != nil {
			log.Fatal(err)
		}
		var m forward.Message
		if err := forward.Parse(b, &m); err != nil {
			log.Fatal(err)
		}
		m.Check()
		e, _, err := forward.NextEntry(m.Entries)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(m.Mode, m.Tag, m.Count, e.Time, len(e.Record))
	}
	// Output:
	// Message app 1 1700000000123456789 11
	// Forward app 1 1700000000123456789 11
	// PackedForward app 1 1700000000123456789 11
}

// What is no entry is kept apart, and takes nothing with it.
func ExampleCheckEntries() {
	good := append(forward.AppendEntry(nil, 1), 0x80)
	bad := msgp.AppendString(nil, "bad")
	c := forward.CheckEntries(append(append(append([]byte(nil), good...), bad...), good...))
	fmt.Printf("%d valid, %d invalid: %v\n", c.Count, c.InvalidCount, c.Err)
	// Output: 2 valid, 1 invalid: expected an entry: an array of a time and a record at byte 12, found a string
}
