package faults

import (
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/spillway/spillway/forward"
	"github.com/spillway/spillway/test/launcher"
	"github.com/spillway/spillway/test/launcher/harness"
)

// TestRunManyConnections has thousands of connections beside a buffer that is full, since the destination has stopped:
// the process holds no more than its budget and 24 MiB, and what each has sent is acknowledged once the destination is
// back.
func TestRunManyConnections(t *testing.T) {
	for name, c := range map[string]many{
		"idle":                      {begins: true},
		"in the middle of messages": {begins: true, sends: 0.5},
		"a byte at a time":          {sends: 0.5, drips: true},
		"with whole messages":       {begins: true, sends: 1},
	} {
		t.Run(name, func(t *testing.T) {
			testMany(t, c, harness.Pick[int64](16<<20, 16<<20, 64<<20), harness.Pick(200, 1_000, 10_000))
		})
	}
}

// many is what each of many connections does.
type many struct {
	begins bool    // with a message, before the destination stops
	sends  float64 // of another, while it does not answer
	drips  bool    // a byte at a time
}

func testMany(t *testing.T, c many, budget int64, n int) {
	out := newStoppable(t)
	r := newRelay(t, fmt.Sprintf(slowFile, budget, budget), out.receiver)
	r.start()
	dial(t, r.addr, forward.DialOptions{}) // It listens.
	conns := connections(t, r.addr, n)
	want := int64(0)
	if c.begins {
		want += int64(n)
		eachOf(conns, func(i int, conn net.Conn) {
			if _, err := conn.Write(smallMessage("first", int64(i))); err != nil || !isServed(conn, fmt.Sprint("first/", i)) {
				t.Errorf("connection %d is not served: %v", i, err)
			}
		})
	}
	r.checkMemory(budget)
	out.stop(true)
	sent := make(chan int64, 1)
	go r.pour(2*budget, sent)
	r.quiet(budget)
	r.checkFull(budget, false)
	part := func(m []byte) int { return int(c.sends * float64(len(m))) }
	if c.sends > 0 {
		want += int64(n)
		eachOf(conns, func(i int, conn net.Conn) {
			m := smallMessage("many", int64(i))
			writeSome(t, conn, m[:part(m)], c.drips)
		})
	}
	r.steady()
	r.checkMemory(budget)
	out.stop(false)
	if c.sends > 0 {
		eachOf(conns, func(i int, conn net.Conn) {
			m := smallMessage("many", int64(i))
			writeSome(t, conn, m[part(m):], false)
			if !isServed(conn, fmt.Sprint("many/", i)) {
				t.Errorf("connection %d is not served in the end", i)
			}
		})
	}
	flood := <-sent
	if flood < 0 {
		t.Fatal("the sender was disturbed")
	}
	r.drained()
	r.checkMemory(budget)
	report := r.stop()
	if report.Pending != 0 || report.Dropped != 0 || report.DeadLettered != 0 || report.Delivered != want+flood {
		t.Errorf("%d records were sent: %+v", want+flood, report)
	}
	t.Logf("%d connections: %v", n, report.Sources[0].Detail.Server)
}

// eachOf does something with all connections, some of them at a time.
func eachOf(conns []net.Conn, do func(i int, conn net.Conn)) {
	const at = 50
	var all sync.WaitGroup
	for from := range at {
		all.Go(func() {
			for i := from; i < len(conns); i += at {
				do(i, conns[i])
			}
		})
	}
	all.Wait()
}

// writeSome writes b, at once or a byte at a time.
func writeSome(t *testing.T, conn net.Conn, b []byte, drips bool) {
	for len(b) > 0 {
		n := len(b)
		if drips {
			n = 1
		}
		if _, err := conn.Write(b[:n]); err != nil {
			t.Error(err)
			return
		}
		b = b[n:]
	}
}

// steady waits until the process holds no more than before.
func (r *relay) steady() {
	r.t.Helper()
	last, since := uint64(0), time.Now()
	for over := time.Now().Add(60 * time.Second); time.Now().Before(over); <-time.After(100 * time.Millisecond) {
		m, err := launcher.ReadMemory(r.cmd.Process.Pid)
		if err != nil {
			r.t.Fatal(err)
		}
		if now := uint64(m.Peak); now != last {
			last, since = now, time.Now()
		} else if time.Since(since) > 2*time.Second {
			return
		}
	}
	r.t.Fatal("it takes more memory without end")
}
