package faults

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/tinylib/msgp/msgp"

	"github.com/spillway/spillway/forward"
)

// The defects of the programs beside which spillway run stands: each acknowledges what it loses, or asks for ever for
// what it will never take. Here nothing is lost, and every chunk comes to an end.

// dial connects to a run, which may still be starting.
func dial(t *testing.T, to string, o forward.DialOptions) *forward.Conn {
	t.Helper()
	o.Address = to
	over := time.After(2 * time.Minute)
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		conn, err := forward.Dial(ctx, o)
		cancel()
		if err == nil {
			t.Cleanup(func() { conn.Close() })
			return conn
		}
		select {
		case <-over:
			t.Fatal(err)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// deliver sends a chunk and waits for its ack.
func deliver(t *testing.T, conn *forward.Conn, c *forward.OutChunk) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	return conn.Deliver(ctx, c)
}

const toOut = "sources: {in: {type: forward, listen: \"%s\"}}\nsinks: {out: {type: forward, servers: [\"%s\"]}}\nroutes:\n"

// TestUnmatchedTagIsNotLost: fluentd acknowledges a chunk that no match takes, and drops it.
func TestUnmatchedTagIsNotLost(t *testing.T) {
	out := newReceiver(t)
	r := newRelay(t, toOut+"  - {match: \"app.**\", to: out}\n", out)
	r.start()
	s := sender{tag: "other", perRow: 10}
	if err := deliver(t, dial(t, r.addr, forward.DialOptions{}), s.chunk(0)); err != nil {
		t.Fatal(err)
	}
	report := r.stop()
	if report.DeadLettered != 10 || len(report.Unmatched) != 1 || report.Unmatched[0].Tag != "other" || report.Unmatched[0].Records != 10 ||
		!strings.Contains(report.Unmatched[0].Sample, `"n":0`) {
		t.Errorf("the last report is %+v", report)
	}
}

// TestOverflowIsNotAcknowledged: fluentd acknowledges a chunk that its full buffer refuses. Here the sender hears no,
// by the end of its connection, and what it sends again is taken once there is room.
func TestOverflowIsNotAcknowledged(t *testing.T) {
	out := newReceiver(t)
	out.hang(true)
	r := newRelay(t, "sources: {in: {type: forward, listen: \"%s\", ack: memory}}\nsinks: {out: {type: forward, servers: [\"%s\"]}}\n"+
		"routes:\n  - {match: \"**\", to: out, mode: non-blocking, max-buffer-size: 256k}\n", out)
	r.start()
	s := sender{tag: "a", perRow: 500}
	acked, refused := int64(0), 0
	for refused == 0 {
		conn := dial(t, r.addr, forward.DialOptions{AckTimeout: 10 * time.Second})
		for deliver(t, conn, s.chunk(acked)) == nil {
			if acked += 500; acked > 1_000_000 {
				t.Fatal("a buffer of 256k takes a million records, and forgets them")
			}
		}
		refused++
	}
	out.hang(false)
	// What was refused is sent again until it is taken.
	for {
		if deliver(t, dial(t, r.addr, forward.DialOptions{AckTimeout: 5 * time.Second}), s.chunk(acked)) == nil {
			break
		}
	}
	acked += 500
	report := r.stop()
	if missing, doubled := out.missing("a", acked); missing != 0 || doubled != 0 || report.Dropped == 0 || report.Dropped%500 != 0 {
		t.Errorf("of %d acknowledged records %d are missing and %d doubled; %d were refused", acked, missing, doubled, report.Dropped)
	}
}

// TestOversizeComesToAnEnd: fluentd drops a chunk beyond its limit without an ack, so that it is sent for ever, and Fluent
// Bit closes the connection. What is too large for memory goes by the disk here; an entry that no buffer takes, and a
// payload that expands without end, become dead letters, and are acknowledged.
func TestOversizeComesToAnEnd(t *testing.T) {
	out := newReceiver(t)
	r := newRelay(t, "sources: {in: {type: forward, listen: \"%s\", max-message-size: 256k, max-decompressed-size: 1m}}\n"+
		"sinks: {out: {type: forward, servers: [\"%s\"]}}\nroutes:\n  - {match: \"**\", to: out, max-buffer-size: 4m}\n", out)
	r.start()
	conn := dial(t, r.addr, forward.DialOptions{AckTimeout: 20 * time.Second})
	s := sender{tag: "large", perRow: 100_000} // More than 2 MB.
	if err := deliver(t, conn, s.chunk(0)); err != nil {
		t.Errorf("a large chunk: %v", err)
	}
	if missing, doubled := out.missing("large", 100_000); missing != 0 || doubled != 0 {
		t.Errorf("of a large chunk %d records are missing and %d doubled", missing, doubled)
	}
	bomb, err := forward.Compress(nil, make([]byte, 200<<20), forward.CompressionGzip)
	if err != nil {
		t.Fatal(err)
	}
	if err := deliver(t, conn, &forward.OutChunk{Tag: "bomb", Entries: [][]byte{bomb}, Records: 1, Compression: forward.CompressionGzip, ID: "bomb"}); err != nil {
		t.Errorf("a payload that expands without end: %v", err)
	}
	entry := msgp.AppendString(msgp.AppendString(msgp.AppendMapHeader(forward.AppendEntry(nil, 1), 1), "log"), strings.Repeat("x", 8<<20))
	if err := deliver(t, conn, &forward.OutChunk{Tag: "huge", Entries: [][]byte{entry}, Records: 1, ID: "huge"}); err != nil {
		t.Errorf("an entry larger than any buffer: %v", err)
	}
	if err := deliver(t, conn, s.chunkOf("after", 0)); err != nil {
		t.Errorf("what comes after: %v", err)
	}
	report := r.stop()
	if report.Pending != 0 || report.DeadLettered+report.Dropped == 0 {
		t.Errorf("the last report is %+v", report)
	}
}

// chunkOf is a small chunk of another tag.
func (s *sender) chunkOf(tag string, first int64) *forward.OutChunk {
	return (&sender{tag: tag, perRow: 10}).chunk(first)
}

// TestBrokenEntriesAreKept: fluentd skips what is no entry with a line in its log, and acknowledges the chunk.
func TestBrokenEntriesAreKept(t *testing.T) {
	out := newReceiver(t)
	r := newRelay(t, toOut+"  - {match: \"**\", to: out}\n", out)
	r.start()
	good := (&sender{tag: "a", perRow: 2}).chunk(0).Entries[0]
	bad := []byte("\x92\xc0\xa9no record")
	conn := dial(t, r.addr, forward.DialOptions{})
	if err := deliver(t, conn, &forward.OutChunk{Tag: "a", Entries: [][]byte{good, bad}, Records: 3, ID: "x"}); err != nil {
		t.Fatal(err)
	}
	report := r.stop()
	if missing, _ := out.missing("a", 2); missing != 0 || report.DeadLettered != 1 || report.Sources[0].Detail.Invalid != 1 {
		t.Errorf("%d are missing, the last report is %+v", missing, report)
	}
}

// TestRestartKeepsTheQueue: fluentd's memory buffer is lost with the process, Fluent Bit's as well. What was acknowledged
// at level kernel is there after a kill, in its place.
func TestRestartKeepsTheQueue(t *testing.T) {
	out := newReceiver(t)
	out.hang(true)
	r := newRelay(t, toOut+"  - {match: \"**\", to: out, mode: spill, durability: kernel, max-buffer-size: 1m}\n", out)
	r.start()
	conn := dial(t, r.addr, forward.DialOptions{})
	s := sender{tag: "a", perRow: 100}
	var last *forward.OutChunk
	for n := range int64(50) {
		last = s.chunk(100 * n)
		if err := deliver(t, conn, last); err != nil {
			t.Fatal(err)
		}
	}
	r.kill()
	out.hang(false)
	r.start()
	// The same chunk again: it is known.
	if err := deliver(t, dial(t, r.addr, forward.DialOptions{}), last); err != nil {
		t.Fatal(err)
	}
	report := r.stop()
	if missing, doubled := out.missing("a", 5000); missing != 0 || doubled != 0 || report.Recovered == 0 || report.Received != 0 {
		t.Errorf("%d are missing and %d doubled; the last report is %+v", missing, doubled, report)
	}
}

// TestEntangledSenders: a client that several goroutines use sends messages into each other, and some clients count
// their chunks from 1: chunks of the same id from several connections are several chunks, unless they are the same.
func TestEntangledSenders(t *testing.T) {
	out := newReceiver(t)
	r := newRelay(t, toOut+"  - {match: \"**\", to: out}\n", out)
	r.start()
	for i := range int64(20) {
		conn := dial(t, r.addr, forward.DialOptions{})
		c := (&sender{tag: fmt.Sprint("t", i%4), perRow: 5}).chunk(5 * (i / 4))
		c.ID = "1"
		for range 2 { // The second time it is a resend.
			if err := deliver(t, conn, c); err != nil {
				t.Fatal(err)
			}
		}
	}
	report := r.stop()
	for i := range 4 {
		if missing, doubled := out.missing(fmt.Sprint("t", i), 25); missing != 0 || doubled != 0 {
			t.Errorf("tag t%d: %d missing, %d doubled", i, missing, doubled)
		}
	}
	if report.Sources[0].Detail.Resends != 20 {
		t.Errorf("%d resends were seen", report.Sources[0].Detail.Resends)
	}
}

// TestGarbage: what is no message closes its connection, and no other.
func TestGarbage(t *testing.T) {
	out := newReceiver(t)
	r := newRelay(t, toOut+"  - {match: \"**\", to: out}\n", out)
	r.start()
	good := dial(t, r.addr, forward.DialOptions{})
	for _, garbage := range []string{"\xc1\xc1\xc1\xc1", "GET / HTTP/1.1\r\n\r\n", "\xdd\xff\xff\xff\xff", "\x93\xa1a\xc6\xff\xff\xff\xff"} {
		c, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte(garbage)); err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	if err := deliver(t, good, (&sender{tag: "a", perRow: 5}).chunk(0)); err != nil {
		t.Error(err)
	}
	r.stop()
	if missing, _ := out.missing("a", 5); missing != 0 {
		t.Errorf("%d are missing", missing)
	}
}
