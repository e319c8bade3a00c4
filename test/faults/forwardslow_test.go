package faults

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tinylib/msgp/msgp"

	"github.com/spillway/spillway/forward"
	"github.com/spillway/spillway/test/launcher/harness"
)

const slowFile = `memory: %d
sources: {in: {type: forward, listen: "%%s"}}
sinks: {out: {type: forward, servers: ["%%s"]}}
routes:
  - {match: "**", to: out, max-buffer-size: %d}
`

// connections opens n connections.
func connections(t *testing.T, to string, n int) []net.Conn {
	t.Helper()
	all := make([]net.Conn, n)
	for i := range all {
		var err error
		if all[i], err = net.DialTimeout("tcp", to, 20*time.Second); err != nil {
			t.Fatalf("connection %d of %d: %v", i, n, err)
		}
		t.Cleanup(func() { all[i].Close() })
	}
	return all
}

// smallMessage has one numbered record, and asks for an acknowledgement.
func smallMessage(tag string, n int64) []byte {
	s := sender{tag: tag, perRow: 1}
	c := s.chunk(n)
	b := forward.AppendHead(nil, tag, len(c.Entries[0]))
	return forward.AppendOption(append(b, c.Entries[0]...), forward.Option{Chunk: c.ID})
}

// throughput is how many records a second one client gets acknowledged in the best of five parts of a time: others
// use the machine, too.
func throughput(t *testing.T, conn *forward.Conn, s *sender, d time.Duration) (best float64) {
	t.Helper()
	for range 5 {
		best = max(best, pace(t, conn, s, d/5))
	}
	return best
}

// pace sends chunks for a time, with the ack of each waited for window chunks later.
func pace(t *testing.T, conn *forward.Conn, s *sender, d time.Duration) float64 {
	t.Helper()
	begin, before := time.Now(), s.acked
	var pending []*forward.Pending
	settle := func() {
		<-pending[0].Done()
		if err := pending[0].Err(); err != nil {
			t.Fatalf("the good client is disturbed: %v", err)
		}
		pending, s.acked = pending[1:], s.acked+int64(s.perRow)
	}
	for time.Since(begin) < d {
		p, err := conn.Write(context.Background(), s.chunk(s.acked+int64(len(pending)*s.perRow)))
		if err != nil {
			t.Fatalf("the good client is disturbed: %v", err)
		}
		if pending = append(pending, p); len(pending) == window {
			settle()
		}
	}
	for len(pending) > 0 {
		settle()
	}
	return float64(s.acked-before) / time.Since(begin).Seconds()
}

// TestRunSlowConnections has thousands of connections that are idle, or send half a message and no more, or one byte
// at a time: memory stays within its bound, a client beside them works on, and those that go on are served in the end.
// The program raises its own limit of open files.
func TestRunSlowConnections(t *testing.T) {
	for _, c := range []struct {
		budget int64
		each   int
	}{
		{16 << 20, harness.Pick(100, 300, 1000)},
		{64 << 20, harness.Pick(150, 1000, 2500)},
	} {
		t.Run(fmt.Sprintf("memory %dm, %d each", c.budget>>20, c.each), func(t *testing.T) { testSlow(t, c.budget, c.each) })
	}
}

func testSlow(t *testing.T, budget int64, each int) {
	out := newCounter(t)
	r := newRelay(t, fmt.Sprintf(slowFile, budget, budget), out.receiver)
	r.files = "-S -n 256"
	r.start()
	conn := dial(t, r.addr, forward.DialOptions{AckTimeout: 60 * time.Second, Window: window})
	good := &sender{tag: "good", perRow: 100}
	d := harness.Pick(200*time.Millisecond, 500*time.Millisecond, 5*time.Second)
	alone := throughput(t, conn, good, d)
	idle := connections(t, r.addr, each) // They say nothing.
	halves := connections(t, r.addr, each/2)
	for i, c := range halves {
		m := smallMessage("half", int64(i))
		if _, err := c.Write(m[:len(m)/2]); err != nil {
			t.Fatal(err)
		}
	}
	drips := connections(t, r.addr, each-each/2)
	stop, dripped := make(chan struct{}), make(chan int64, 1)
	var begun atomic.Int64
	go func() { dripped <- drip(drips, &begun, stop) }()
	waitFor(t, "the slow ones to be under way", 30*time.Second, func() bool { return begun.Load() >= 3 })
	beside := throughput(t, conn, good, d)
	close(stop) // From now on they send what is left as fast as they can.
	served := <-dripped
	r.checkMemory(budget)
	t.Logf("the good client: %.0f records a second alone, %.0f beside %d others: %.0f %%; %d of %d slow ones are served",
		alone, beside, 2*each, 100*beside/alone, served, len(drips))
	if harness.Long() && beside < 0.8*alone {
		// Others use the machine: it counts only if it is still as fast without the slow ones.
		for _, c := range slices.Concat(idle, halves, drips) {
			c.Close() // It may be closed.
		}
		alone = min(alone, throughput(t, conn, good, d))
	}
	if harness.Long() && beside < 0.8*alone {
		t.Errorf("the good client has %.0f %% of what it has alone", 100*beside/alone)
	}
	report := r.stop()
	if n := out.byTag["good"]; n != good.acked {
		t.Errorf("of %d acknowledged records %d have arrived", good.acked, n)
	}
	arrived := out.byTag["drip"]
	if closed := report.Sources[0].Detail.Server.Reasons["memory"]; int64(len(drips))-arrived > closed || served != arrived {
		t.Errorf("of %d slow ones %d are served and %d arrived; %d were closed for memory", len(drips), served, arrived, closed)
	}
	if got := report.Sources[0].Detail.Server.Accepted; got != int64(2*each+1) || report.Pending+report.Dropped != 0 {
		t.Errorf("%d connections were accepted, want %d; %+v", got, 2*each+1, report)
	}
	t.Logf("%v", report.Sources[0].Detail.Server)
}

// drip sends one message on each connection, a byte at a time in turn, and what is left once stop is closed. It returns
// how many were acknowledged.
func drip(conns []net.Conn, begun *atomic.Int64, stop <-chan struct{}) (served int64) {
	pace := time.NewTicker(harness.Pick(50*time.Millisecond, 100*time.Millisecond, 500*time.Millisecond))
	defer pace.Stop()
	sent := 0
	messages := make([][]byte, len(conns)) // made before: they share the processors with what is measured
	for i := range messages {
		messages[i] = smallMessage("drip", int64(i))
	}
	for going := true; going; sent++ {
		select {
		case <-stop:
			going = false
			sent--
		case <-pace.C:
			for i, c := range conns {
				m := messages[i]
				c.Write(m[min(sent, len(m)-1):min(sent+1, len(m)-1)]) //nolint:errcheck // It may be closed.
			}
			begun.Add(1)
		}
	}
	for i, c := range conns {
		m := messages[i]
		c.Write(m[min(sent, len(m)-1):]) //nolint:errcheck // It may be closed.
	}
	for i, c := range conns {
		if isServed(c, fmt.Sprintf("drip/%d", i)) {
			served++
		}
	}
	return served
}

// isServed waits for an ack.
func isServed(c net.Conn, id string) bool {
	want := forward.AppendAck(nil, id)
	got := make([]byte, len(want))
	if c.SetReadDeadline(time.Now().Add(30*time.Second)) != nil {
		return false
	}
	_, err := io.ReadFull(c, got)
	return err == nil && bytes.Equal(got, want)
}

// TestRunClosesTheSlowestFirst fills the share for receiving with messages whose rest does not come. They are closed,
// and counted; those that come at a slow but steady pace are not, and are served.
func TestRunClosesTheSlowestFirst(t *testing.T) {
	const budget, size = 16 << 20, 100 << 10
	out := newReceiver(t)
	r := newRelay(t, fmt.Sprintf(slowFile, budget, budget), out)
	r.start()
	dial(t, r.addr, forward.DialOptions{})
	large := func(tag string) []byte {
		entry := forward.AppendEntry(nil, 1e18)
		entry = msgp.AppendInt64(msgp.AppendString(msgp.AppendMapHeader(entry, 2), "n"), 0)
		entry = msgp.AppendBytes(msgp.AppendString(entry, "fill"), make([]byte, size))
		b := forward.AppendHead(nil, tag, len(entry))
		return forward.AppendOption(append(b, entry...), forward.Option{Chunk: tag})
	}
	stalled := connections(t, r.addr, harness.Pick(36, 50, 100))
	for _, c := range stalled {
		m := large("stalled")
		go c.Write(m[:len(m)*3/4]) //nolint:errcheck // It may be closed.
	}
	steady := connections(t, r.addr, 10)
	served := make(chan error, len(steady))
	for i, c := range steady {
		go func() {
			served <- sendSteadily(c, large(fmt.Sprint("steady", i)), forward.AppendAck(nil, fmt.Sprint("steady", i)))
		}()
	}
	for range steady {
		if err := <-served; err != nil {
			t.Errorf("a steady one is not served: %v", err)
		}
	}
	r.checkMemory(budget)
	report := r.stop()
	for i := range steady {
		if missing, _ := out.missing(fmt.Sprint("steady", i), 1); missing > 0 {
			t.Errorf("what the steady one %d sent was acknowledged and is missing", i)
		}
	}
	if got := report.Sources[0].Detail.Server; got.Reasons["memory"] == 0 || report.Dropped != 0 {
		t.Errorf("%+v", report)
	} else {
		t.Logf("%v", got)
	}
}

// sendSteadily sends a message in forty parts, and waits for its ack.
func sendSteadily(c net.Conn, m, ack []byte) error {
	pace := time.NewTicker(25 * time.Millisecond)
	defer pace.Stop()
	for part := (len(m) + 39) / 40; len(m) > 0; <-pace.C {
		n := min(part, len(m))
		if _, err := c.Write(m[:n]); err != nil {
			return err
		}
		m = m[n:]
	}
	got := make([]byte, len(ack))
	if err := c.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return err
	}
	if _, err := io.ReadFull(c, got); err != nil {
		return err
	}
	if !bytes.Equal(got, ack) {
		return fmt.Errorf("it was answered %q", got)
	}
	return nil
}

// TestRunOutOfFiles opens more connections than the process may have files. It lives, counts that, serves those that it
// has, and takes the others as soon as some are gone.
func TestRunOutOfFiles(t *testing.T) {
	out := newReceiver(t)
	r := newRelay(t, fmt.Sprintf(slowFile, 16<<20, 16<<20), out)
	r.files = "-n 64"
	r.start()
	first := sender{tag: "first", perRow: 10}
	conn := dial(t, r.addr, forward.DialOptions{})
	if err := deliver(t, conn, first.chunk(0)); err != nil {
		t.Fatal(err)
	}
	idle := connections(t, r.addr, 100)
	if err := deliver(t, conn, first.chunk(10)); err != nil {
		t.Error(err)
	}
	// One that the process has no file for is served once others are gone.
	late := dial(t, r.addr, forward.DialOptions{AckTimeout: 20 * time.Second})
	p, err := late.Write(context.Background(), (&sender{tag: "late", perRow: 10}).chunk(0))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range idle {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	if <-p.Done(); p.Err() != nil {
		t.Errorf("the late one is not served: %v", p.Err())
	}
	report := r.stop()
	for tag, n := range map[string]int64{"first": 20, "late": 10} {
		if missing, _ := out.missing(tag, n); missing > 0 {
			t.Errorf("%d records of %s are missing", missing, tag)
		}
	}
	if got := report.Sources[0].Detail.Server.Reasons["accept"]; got == 0 || report.Pending+report.Dropped != 0 {
		t.Errorf("it ran out of files %d times: %+v", got, report)
	}
}
