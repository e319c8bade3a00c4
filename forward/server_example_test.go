package forward_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"sync"
	"time"

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

// The receiver decides what an acknowledgement means. Called at once, done(true) says
// that the process has the message; called when a file has it, synced, that the machine
// may lose its power; called when a destination has it, that it is delivered.
func ExampleReceiver() {
	file, err := os.CreateTemp("", "received")
	if err != nil {
		log.Fatal(err)
	}
	var mu sync.Mutex // Receive is called by a goroutine for each connection
	durable := forward.ReceiverFunc(func(r *forward.Received, done func(ok bool)) {
		mu.Lock()
		defer mu.Unlock()
		err := r.Each(func(m *forward.Message) error { // more than once where a message is too large for memory
			_, err := file.Write(m.Entries)
			return err
		})
		if err == nil {
			err = file.Sync()
		}
		done(err == nil) // false closes the connection, so that the client sends it again
	})
	s, err := forward.NewServer(forward.ServerConfig{Receiver: durable})
	if err != nil {
		log.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	served := make(chan error)
	go func() { served <- s.Serve(l) }()

	c, err := forward.NewClient(forward.ClientOptions{Servers: forward.Endpoints(l.Addr().String())})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	if err := errors.Join(c.Post(ctx, "app", time.Now(), map[string]string{"log": "a line"}), c.Close(ctx), s.Close(ctx)); err != nil {
		log.Fatal(err)
	}
	fmt.Println(<-served, "with", s.Stats().Acks, "acknowledgement")
	if err := errors.Join(file.Close(), os.Remove(file.Name())); err != nil {
		log.Fatal(err)
	}
	// Output: the forward server is closed with 1 acknowledgement
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

// A record is msgpack. Who needs to see what is in it reads it with the library for that: as
// JSON, or as a map.
func ExampleNextEntry() {
	entries, err := forward.AppendRecord(forward.AppendEntry(nil, 1_700_000_000_123_456_789), map[string]any{"path": "/"})
	if err != nil {
		log.Fatal(err)
	}
	for len(entries) > 0 { // of a Message, or of a Received
		var e forward.Entry
		if e, entries, err = forward.NextEntry(entries); err != nil {
			log.Fatal(err)
		}
		if _, err := msgp.UnmarshalAsJSON(os.Stdout, e.Record); err != nil {
			log.Fatal(err)
		}
		record, _, err := msgp.ReadMapStrIntfBytes(e.Record, nil)
		fmt.Println("", record["path"], time.Unix(0, e.Time).UTC(), err)
	}
	// Output: {"path":"/"} / 2023-11-14 22:13:20.123456789 +0000 UTC <nil>
}
