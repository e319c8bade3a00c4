package faults

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tinylib/msgp/msgp"

	"github.com/spillway/spillway/forward"
	"github.com/spillway/spillway/internal/sandbox/cloudwatch"
	"github.com/spillway/spillway/test/launcher/harness"
)

const runMemoryFile = `memory: %d
sources: {in: {type: forward, listen: "%%s"}}
sinks: {out: {%s}}
routes:
  - {match: "**", to: out, max-buffer-size: %d, %s}
`

// TestRunMemory stops the destination, sends a record each of many tags, which is what costs the most memory beside the
// records, and beside them more than all buffers hold. The process holds no more than its budget and 24 MiB, in every
// durability, and everything arrives once the destination is back.
func TestRunMemory(t *testing.T) {
	type kind struct{ name, route string }
	kinds := []kind{
		{"memory", "mode: blocking"},
		{"kernel", "mode: spill, durability: kernel, max-disk-size: 2g"},
		{"power", "mode: spill, durability: power, max-disk-size: 2g"},
	}
	for _, budget := range harness.Pick([]int64{16 << 20}, []int64{16 << 20}, []int64{16 << 20, 64 << 20}) {
		for _, k := range kinds {
			t.Run(fmt.Sprintf("%dm, %s, forward", budget>>20, k.name), func(t *testing.T) {
				out := newStoppable(t)
				testRunMemory(t, budget, k.route, "type: forward, servers: [\""+out.addr+"\"], ack-timeout: 300s", out)
			})
			t.Run(fmt.Sprintf("%dm, %s, cloudwatch", budget>>20, k.name), func(t *testing.T) {
				testRunMemory(t, budget, k.route, "", newHungCloud(t))
			})
		}
	}
}

// stopped is a destination that can be stopped.
type stopped interface {
	stop(stopped bool)
	count() int64
}

// stoppable is a destination of the forward protocol that counts, and while it is stopped answers nothing.
type stoppable struct {
	*receiver
	total int64
}

func newStoppable(t *testing.T) *stoppable {
	c := &stoppable{}
	c.receiver = newReceiverOf(t, func(m *forward.Received, done func(bool)) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.total += int64(m.Count)
		if c.hangs {
			c.held = append(c.held, done)
			return
		}
		done(true)
	})
	return c
}

func (c *stoppable) stop(stopped bool) { c.hang(stopped) }

func (c *stoppable) count() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.total
}

// hungCloud is an endpoint of CloudWatch Logs.
type hungCloud struct{ *harness.Cloud }

func newHungCloud(t *testing.T) hungCloud {
	t.Setenv("AWS_ACCESS_KEY_ID", cloudwatch.AccessKeyID)
	t.Setenv("AWS_SECRET_ACCESS_KEY", cloudwatch.SecretAccessKey)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	return hungCloud{harness.NewCloud(t, cloudwatch.Options{KeepBytes: -1})}
}

func (c hungCloud) stop(stopped bool) {
	if stopped {
		c.Fault(cloudwatch.FaultHang)
		return
	}
	c.Heal()
}

func (c hungCloud) count() int64 { return -1 }

func testRunMemory(t *testing.T, budget int64, route, sink string, to stopped) {
	if c, ok := to.(hungCloud); ok {
		sink = "type: cloudwatch, region: us-east-1, endpoint: \"" + c.URL() + "\", group: " + harness.Group + ", stream: all, force-flush-interval-seconds: 1"
	}
	r := newRelay(t, fmt.Sprintf(runMemoryFile, budget, sink, budget, route))
	r.limitMemory(budget)
	r.start()
	dial(t, r.addr, forward.DialOptions{}) // It listens.
	tags := harness.Pick[int64](5_000, 20_000, 100_000)
	if to.count() >= 0 {
		floodTags(t, r.addr, "before.", tags)
		r.checkMemory(budget)
	}
	to.stop(true)
	sent := make(chan int64, 2)
	go r.pour(2*budget, sent)
	go sendTags(r.addr, "during.", tags, sent)
	r.quiet(budget)
	r.checkFull(budget, strings.Contains(route, "spill"))
	to.stop(false)
	want := int64(0)
	for range 2 {
		n := <-sent
		if n < 0 {
			t.Fatal("the sender was disturbed")
		}
		want += n
	}
	r.drained()
	r.checkMemory(budget)
	report := r.stop()
	r.checkKills()
	if report.Pending != 0 || report.Dropped != 0 || report.DeadLettered != 0 || report.Delivered < want {
		t.Errorf("%d records were sent: %+v", want, report)
	}
	t.Logf("%d records", report.Delivered)
}

// received is how many records it has received, as status says.
func (r *relay) received() int64 {
	r.t.Helper()
	var status struct{ Received int64 }
	r.status(&status)
	return status.Received
}

// checkFull makes sure that its buffer holds what it may, with what streams and receipts take of it: a test of memory that
// is not used tells nothing. One that spills holds in memory what is next to leave, and the rest on the disk.
func (r *relay) checkFull(budget int64, spills bool) {
	r.t.Helper()
	var status struct {
		Processes []struct {
			Legs []struct {
				Buffer struct {
					Held, Peak int64
					Disk       struct{ Backlog int64 }
				}
			}
		}
	}
	r.status(&status)
	most, backlog := int64(0), int64(0)
	for _, l := range status.Processes[0].Legs {
		most, backlog = max(most, l.Buffer.Held), backlog+l.Buffer.Disk.Backlog
		if spills {
			most = max(most, l.Buffer.Peak)
		}
	}
	r.t.Logf("the buffer holds %.1f MiB, and the disk alone %d records", float64(most)/(1<<20), backlog)
	want := budget / 4 * 3 * 9 / 10
	if spills {
		want = budget / 2 // It takes memory back in halves.
	}
	if most < want || spills && backlog == 0 {
		r.t.Errorf("the buffer holds %d bytes in memory, want at least %d; only the disk holds %d records", most, want, backlog)
	}
}

// status asks what it says of itself.
func (r *relay) status(into any) {
	r.t.Helper()
	out, err := exec.Command(programs.Spillway, "status", "--json", "--state-dir", filepath.Join(r.dir, "state")).Output()
	if err == nil {
		err = json.Unmarshal(out, into)
	}
	if err != nil {
		r.t.Fatalf("%v: %s", err, errorOf(err))
	}
}

func errorOf(err error) []byte { // What it said.
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return exit.Stderr
	}
	return nil
}

// quiet waits until the process receives nothing more: for longer than a write may take that the kernel holds back, since
// the page cache is inside of the group's limit.
func (r *relay) quiet(budget int64) {
	r.t.Helper()
	last, since := int64(-1), time.Now()
	for over := time.Now().Add(60 * time.Second); time.Now().Before(over); <-time.After(50 * time.Millisecond) {
		if n := r.received(); n != last {
			last, since = n, time.Now()
		} else if time.Since(since) > harness.Pick(time.Second, time.Second, 3*time.Second) {
			r.checkMemory(budget)
			return
		}
	}
	r.t.Fatal("it receives without end")
}

// sendTags sends a record each of n tags, and says how many it has sent once the last is acknowledged, or -1.
func sendTags(to, prefix string, n int64, sent chan<- int64) {
	conn, err := net.Dial("tcp", to)
	if err != nil {
		sent <- -1
		return
	}
	defer conn.Close()
	go func() {
		var b []byte
		for i := range n {
			b = msgp.AppendString(append(b[:0], 0x94), fmt.Sprint(prefix, i))
			b = append(msgp.AppendInt64(b, time.Now().Unix()), 0x80, 0x80)
			if i == n-1 {
				b = append(b[:len(b)-1], ackOption...)
			}
			if _, err := conn.Write(b); err != nil {
				return // No ack comes then.
			}
		}
	}()
	want := forward.AppendAck(nil, bombID)
	got := make([]byte, len(want))
	if _, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(got, want) {
		n = -1
	}
	sent <- n
}

// poured is how many records of 499 bytes a chunk of pour has: as many as fill a block of a buffer of 64 MiB, so that
// what the buffer counts is resident.
const poured = 160

// pour sends chunks of records, size bytes in all, and does not wait for their acknowledgements before the end.
func (r *relay) pour(size int64, sent chan<- int64) {
	conn, err := forward.Dial(context.Background(), forward.DialOptions{Address: r.addr, Window: 1 << 20, WriteTimeout: 300 * time.Second, AckTimeout: 300 * time.Second})
	if err != nil {
		sent <- -1
		return
	}
	defer conn.Close()
	random := rand.New(rand.NewPCG(1, 2))
	var pending []*forward.Pending
	records := int64(0)
	for n := int64(0); n < size; {
		var b []byte
		for range poured {
			var text strings.Builder
			for range 480 {
				text.WriteByte('0' + byte(random.IntN(64)))
			}
			b = msgp.AppendString(msgp.AppendString(msgp.AppendMapHeader(forward.AppendEntry(b, time.Now().UnixNano()), 1), "log"), text.String())
		}
		records += poured
		n += int64(len(b))
		p, err := conn.Write(context.Background(), &forward.OutChunk{Tag: "flood", Records: poured, ID: fmt.Sprint("flood/", records), Entries: [][]byte{b}})
		if err != nil {
			sent <- -1
			return
		}
		pending = append(pending, p)
	}
	for _, p := range pending {
		if <-p.Done(); p.Err() != nil {
			records = -1
			break
		}
	}
	sent <- records
}
