package faults

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/tinylib/msgp/msgp"

	"github.com/spillway/spillway/forward"
	"github.com/spillway/spillway/test/launcher"
	"github.com/spillway/spillway/test/launcher/harness"
)

// counter is a destination that counts.
type counter struct {
	*receiver
	total int64
	byTag map[string]int64 // of up to some tags
}

// newCounter makes a destination of which only the number of records matters.
func newCounter(t *testing.T) *counter {
	c := &counter{byTag: make(map[string]int64)}
	c.receiver = newReceiverOf(t, func(m *forward.Received, done func(bool)) {
		err := m.Each(func(p *forward.Message) error {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.total += int64(p.Count)
			if _, known := c.byTag[m.Tag]; known || len(c.byTag) < 100 {
				c.byTag[m.Tag] += int64(p.Count)
			}
			return nil
		})
		done(err == nil)
	})
	return c
}

func (c *counter) count() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.total
}

// limitMemory makes the run's process live in a group that holds no more than its budget and the allowance, where that
// can be had.
func (r *relay) limitMemory(budget int64) {
	group, err := launcher.NewMemoryCgroup("spillway-run", budget+allowance)
	if err != nil {
		r.t.Logf("only the resident memory is watched: %v", err)
		return
	}
	r.cgroup = group
	r.t.Cleanup(func() {
		r.kill()
		if err := group.Remove(); err != nil {
			r.t.Error(err)
		}
	})
}

// checkMemory compares the most that the process has held with its budget.
func (r *relay) checkMemory(budget int64) {
	r.t.Helper()
	m, err := launcher.ReadMemory(r.cmd.Process.Pid)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Logf("memory: %d MiB, resident at most %.1f MiB of %d", budget>>20, float64(m.Peak)/(1<<20), (budget+allowance)>>20)
	if m.Peak > budget+allowance {
		r.t.Errorf("it held %d bytes, %d more than it may", m.Peak, m.Peak-budget-allowance)
	}
}

// checkKills tells whether the kernel had to end it for what it held.
func (r *relay) checkKills() {
	r.t.Helper()
	if r.cgroup == nil {
		return
	}
	kills, err := r.cgroup.OOMKills()
	peak, peakErr := r.cgroup.Peak()
	if kills != 0 || err != nil || peakErr != nil {
		r.t.Errorf("%d kills for memory (%v, %v)", kills, err, peakErr)
	}
	r.t.Logf("its group held at most %.1f MiB, page cache included", float64(peak)/(1<<20))
}

// goodSender sends small chunks at an even pace, on one connection that must not break, and waits for each ack.
type goodSender struct {
	conn  *forward.Conn
	acked int64 // records
	stop  chan struct{}
	done  chan error
}

func (r *relay) startGood(tag string) *goodSender {
	s := &goodSender{conn: dial(r.t, r.addr, forward.DialOptions{AckTimeout: bombTime}), stop: make(chan struct{}), done: make(chan error, 1)}
	chunks := sender{tag: tag, perRow: 20}
	go func() {
		pace := time.NewTicker(2 * time.Millisecond)
		defer pace.Stop()
		for {
			select {
			case <-s.stop:
				s.done <- nil
				return
			case <-pace.C:
			}
			if err := s.conn.Deliver(context.Background(), chunks.chunk(s.acked)); err != nil {
				s.done <- err
				return
			}
			s.acked += int64(chunks.perRow)
		}
	}()
	return s
}

// end returns how many records were acknowledged.
func (s *goodSender) end(t *testing.T) int64 {
	t.Helper()
	close(s.stop)
	if err := <-s.done; err != nil {
		t.Errorf("a good sender was disturbed: %v", err)
	}
	return s.acked
}

// letters is how many dead letters there are.
func (r *relay) letters() int64 {
	r.t.Helper()
	out, err := exec.Command(programs.Spillway, "deadletter", "list", "--json", "--state-dir", filepath.Join(r.dir, "state")).Output()
	if err != nil {
		r.t.Fatal(err)
	}
	return int64(bytes.Count(out, []byte("\n")))
}

const bombFile = `memory: %d
sources:
  in: {type: forward, listen: "%%s", max-spool-size: 128m, max-decompressed-size: 32m}
  keyed: {type: forward, listen: "%s", shared-key: "${BOMB_KEY}", handshake-timeout: 1s}
sinks:
  out: {type: forward, servers: ["%%s"]}
  bombs: {type: forward, servers: ["%%s"]}
routes:
  - {match: "good.**", to: out, max-buffer-size: %d}
  - {match: "bomb.**", to: bombs, max-buffer-size: %d}
`

// TestRunBombs sends what costs a careless receiver gigabytes. The process holds no more than its budget and 24 MiB,
// others are served meanwhile, and each bomb comes to an end with a name.
func TestRunBombs(t *testing.T) {
	t.Setenv("BOMB_KEY", "secret")
	for _, budget := range harness.Pick([]int64{16 << 20}, []int64{16 << 20, 64 << 20}, []int64{16 << 20, 64 << 20}) {
		t.Run(fmt.Sprintf("memory %dm", budget>>20), func(t *testing.T) { testBombs(t, budget) })
	}
}

func testBombs(t *testing.T, budget int64) {
	out, bombs := newReceiver(t), newCounter(t)
	keyed := freeAddr(t)
	r := newRelay(t, fmt.Sprintf(bombFile, budget, keyed, budget/2, budget/2), out, bombs.receiver)
	r.limitMemory(budget)
	r.start()
	dial(t, r.addr, forward.DialOptions{}) // It listens.
	good := r.startGood("good.a")
	all := append(append(append(append(compressedBombs(t), lengthBombs()...), deepBombs()...), jsonBombs()...), largeBombs(t)...)
	reasons := map[string]int64{}
	var records int64
	few := make(chan struct{}, 2) // at a time: each comes to the end that is expected
	var thrown sync.WaitGroup
	for _, b := range named(all, 0) {
		few <- struct{}{}
		thrown.Go(func() {
			defer func() { <-few }()
			to := r.addr
			if b.keyed {
				to = keyed
			}
			if got, err := b.sendTo(to); err != nil || got != b.want {
				t.Errorf("%s is %s, want %s (%v)", b.name, got, b.want, err)
			}
		})
		if b.reason != "" {
			reasons[b.reason]++
		}
		records += b.records
	}
	thrown.Wait()
	r.checkMemory(budget)
	// All at once: whatever becomes of each, nothing is lost of what is acknowledged, and memory holds.
	records += atOnce(t, named(all, 1000), r.addr, keyed)
	r.checkMemory(budget)
	// A tag costs some 3 KB of the heap while a record of it is held, and nothing bounds how many are: at 64m the kernel
	// ends a process that holds 100,000 of them at once.
	tags, strays := harness.Pick[int64](1_000, 2_000, 2_000), int64(200)
	records += tags
	floodTags(t, r.addr, "bomb.", tags)
	floodTags(t, r.addr, "stray.", strays)
	r.checkMemory(budget)
	sent := good.end(t)
	report := r.stop()
	r.checkKills()
	if missing, _ := out.missing("good.a", sent); missing > 0 || sent == 0 {
		t.Errorf("%d of %d good records are missing", missing, sent)
	}
	if got := bombs.count(); got < records {
		t.Errorf("%d of the %d records among the bombs have arrived", got, records)
	}
	if report.Pending != 0 || report.Dropped != 0 {
		t.Errorf("%d are pending, %d dropped", report.Pending, report.Dropped)
	}
	if n := r.letters(); n != report.DeadLettered || n < strays {
		t.Errorf("%d dead letters, %d counted", n, report.DeadLettered)
	}
	got := map[string]int64{}
	for _, s := range report.Sources {
		for reason, n := range s.Detail.Server.Reasons {
			got[reason] += n
		}
	}
	for reason, n := range reasons {
		if got[reason] < n {
			t.Errorf("%d bombs are to be counted as %s, %d were", n, reason, got[reason])
		}
	}
	t.Logf("%d bombs, %d good records beside them, %d dead letters; %v", len(all), sent, report.DeadLettered, got)
}

// bombTime is how long a bomb may take, where there are many and the machine is busy.
const bombTime = 3 * time.Minute

// sendTo sends a bomb and says what becomes of it.
func (b *bomb) sendTo(to string) (got string, err error) {
	conn, err := net.Dial("tcp", to)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(bombTime)); err != nil {
		return "", err
	}
	wrote := make(chan struct{})
	go func() {
		defer close(wrote)
		// The other side may close while this is written.
		if b.write(conn) == nil && b.want == isSkipped {
			after := `["bomb.after",1,{},{"chunk":"after"}]`
			if !b.json {
				m, _ := forward.AppendMessage(nil, "bomb.after", forward.ModeForward, oneEntry, 1, forward.Option{Chunk: "after"})
				after = string(m)
			}
			io.WriteString(conn, after) //nolint:errcheck // No ack comes then.
		}
	}()
	defer func() { conn.Close(); <-wrote }()
	ack, after := forward.AppendAck(nil, b.id), forward.AppendAck(nil, "after")
	if b.json {
		ack, after = []byte(`{"ack":"`+b.id+`"}`), []byte(`{"ack":"after"}`)
	}
	var answer []byte
	for {
		part := make([]byte, 512)
		n, err := conn.Read(part)
		answer = append(answer, part[:n]...)
		switch {
		case bytes.Equal(answer, ack):
			return isAcked, nil
		case bytes.Equal(answer, after):
			return isSkipped, nil
		case errors.Is(err, context.DeadlineExceeded), isTimeout(err):
			return "", fmt.Errorf("nothing becomes of it in %v; it was answered %q", bombTime, answer)
		case err != nil:
			return isClosed, nil
		}
	}
}

func isTimeout(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}

// floodTags sends a record each of n tags, and waits until all are taken.
func floodTags(t *testing.T, to, prefix string, n int64) {
	t.Helper()
	conn, err := net.Dial("tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var b []byte
	for i := range n {
		b = append(msgp.AppendString(append(b, 0x94), fmt.Sprint(prefix, i)), 0x01, 0x80)
		if i < n-1 {
			b = append(b, 0x80)
			continue
		}
		b = append(b, ackOption...)
	}
	go conn.Write(b) //nolint:errcheck // No ack comes then.
	want := forward.AppendAck(nil, bombID)
	got := make([]byte, len(want))
	if err := conn.SetReadDeadline(time.Now().Add(bombTime)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(got, want) {
		t.Errorf("of %d tags %s the last is answered %q, %v", n, prefix, got, err)
	}
}

// atOnce throws all bombs at the same time, and returns how many records were acknowledged.
func atOnce(t *testing.T, all []bomb, to, keyed string) (records int64) {
	t.Helper()
	var mu sync.Mutex
	ends := map[string]int{}
	var thrown sync.WaitGroup
	for i := range all {
		b := &all[i]
		thrown.Go(func() {
			to := to
			if b.keyed {
				to = keyed
			}
			got, err := b.sendTo(to)
			mu.Lock()
			defer mu.Unlock()
			ends[got]++
			if err != nil {
				t.Errorf("%s: %v", b.name, err)
			}
			if got == isAcked {
				records += b.records
			}
		})
	}
	thrown.Wait()
	t.Logf("all at once: %v", ends)
	return records
}
