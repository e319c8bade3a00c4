package faults

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tinylib/msgp/msgp"

	"github.com/spillway/spillway/forward"
	"github.com/spillway/spillway/test/launcher"
)

// relay is one spillway run that is started again and again in one state directory.
type relay struct {
	t    *testing.T
	dir  string
	file string
	addr string // where its source listens

	cgroup *launcher.Cgroup // where it runs; nil is that of the test
	files  string           // options of ulimit for open files, with which it is started

	cmd    *exec.Cmd
	stderr *bytes.Buffer
}

// newRelay writes a file whose %s are the addresses of the source and of each receiver.
func newRelay(t *testing.T, file string, receivers ...*receiver) *relay {
	t.Helper()
	r := &relay{t: t, dir: t.TempDir(), addr: freeAddr(t)}
	r.file = filepath.Join(r.dir, "spillway.yaml")
	r.write(file, receivers...)
	t.Cleanup(func() {
		r.kill()
		if t.Failed() && r.stderr != nil {
			t.Logf("its log ends:\n%s", logEnd(r.stderr.Bytes()))
		}
	})
	return r
}

// write writes the file for the next start.
func (r *relay) write(file string, receivers ...*receiver) {
	r.t.Helper()
	args := []any{r.addr}
	for _, to := range receivers {
		args = append(args, to.addr)
	}
	if err := os.WriteFile(r.file, fmt.Appendf(nil, file, args...), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// freeAddr is an address on loopback on which nobody listens.
func freeAddr(t *testing.T) string {
	t.Helper()
	address, err := launcher.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	return address
}

func (r *relay) start() {
	r.t.Helper()
	r.stderr = &bytes.Buffer{}
	r.cmd = exec.Command(programs.Spillway, "run", "-c", r.file, "--state-dir", filepath.Join(r.dir, "state"), "--json")
	if r.files != "" {
		r.cmd = exec.Command("/bin/sh", append([]string{"-c", "ulimit " + r.files + `; exec "$0" "$@"`}, r.cmd.Args...)...)
	}
	r.cmd.Stderr = r.stderr
	if err := r.cgroup.Start(r.cmd); err != nil {
		r.t.Fatal(err)
	}
}

// kill ends it without a word.
func (r *relay) kill() {
	if r.cmd == nil {
		return
	}
	if err := r.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		r.t.Error(err)
	}
	r.cmd.Wait() //nolint:errcheck // It was killed.
	r.cmd = nil
}

// runReport is what matters of the last report of a run.
type runReport struct {
	Received, Recovered, Delivered, Dropped, Pending, Unaccounted int64
	DeadLettered                                                  int64 `json:"dead_lettered"`
	RecordsIn                                                     int64 `json:"records_in"`
	Possible                                                      int64 `json:"possible_duplicates"`
	Sources                                                       []struct {
		Detail struct {
			Resends, Invalid, Refused int64
			Server                    struct {
				Accepted   int64
				MemoryPeak int64 `json:"memory_peak"`
				Reasons    map[string]int64
			}
		}
	}
	Unmatched []struct {
		Tag     string
		Records int64
		Sample  string
	}
}

// String is short: a balance may have a thousand streams.
func (r runReport) String() string {
	type fields runReport // Without this method.
	return string(shortened(fmt.Appendf(nil, "%+v", fields(r)), lineShown))
}

// What is shown of a log at most: of a line, and of all, in bytes.
const (
	lineShown = 1 << 10
	logShown  = 8 << 10
)

// logEnd is the end of a log, with long lines cut.
func logEnd(log []byte) []byte {
	var shown [][]byte
	size := 0
	for _, line := range slices.Backward(bytes.Split(bytes.TrimSpace(log), []byte("\n"))) {
		line = shortened(line, lineShown)
		if size += len(line); size > logShown {
			shown = append(shown, []byte("..."))
			break
		}
		shown = append(shown, line)
	}
	slices.Reverse(shown)
	return bytes.Join(shown, []byte("\n"))
}

func shortened(line []byte, most int) []byte {
	if len(line) <= most {
		return line
	}
	return fmt.Appendf(nil, "%s ... and %d bytes", line[:most], len(line)-most)
}

// stop ends it by a signal and returns its last report.
func (r *relay) stop() runReport {
	r.t.Helper()
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		r.t.Fatal(err)
	}
	err := r.cmd.Wait()
	r.cmd = nil
	var report runReport
	lines := bytes.Split(bytes.TrimSpace(r.stderr.Bytes()), []byte("\n"))
	if bad := json.Unmarshal(lines[len(lines)-1], &report); err != nil || bad != nil || report.Unaccounted != 0 {
		r.t.Fatalf("it ended with %v, and its last line is %v:\n%s", err, bad, logEnd(r.stderr.Bytes()))
	}
	return report
}

// drained waits until nothing is pending: at the end of a run what a slow destination has not taken stays on the disk.
func (r *relay) drained() {
	r.t.Helper()
	over := time.After(4 * time.Minute)
	for {
		out, err := exec.Command(programs.Spillway, "status", "--json", "--state-dir", filepath.Join(r.dir, "state")).Output()
		var status struct {
			Pending   int64
			Processes []json.RawMessage
		}
		if err == nil {
			err = json.Unmarshal(out, &status)
		}
		if err == nil && len(status.Processes) == 1 && status.Pending == 0 {
			return
		}
		select {
		case <-over:
			r.t.Fatalf("%d records are still pending, %v", status.Pending, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// receiver is a destination of the forward protocol. It knows a chunk that is sent again by its id.
type receiver struct {
	t      *testing.T
	addr   string
	server *forward.Server

	mu      sync.Mutex
	hangs   bool
	held    []func(bool)
	ids     map[string]bool
	records map[string]map[int64]int // by tag and number: how often
	again   int                      // chunks that were known
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	return newReceiverOf(t, nil)
}

// newReceiverOf is newReceiver with another way to receive; nil means its own.
func newReceiverOf(t *testing.T, receive forward.ReceiverFunc) *receiver {
	t.Helper()
	r := &receiver{t: t, ids: make(map[string]bool), records: make(map[string]map[int64]int)}
	if receive == nil {
		receive = r.receive
	}
	var err error
	if r.server, err = forward.NewServer(forward.ServerConfig{Receiver: receive}); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.addr = l.Addr().String()
	served := make(chan error, 1)
	go func() { served <- r.server.Serve(l) }()
	t.Cleanup(func() {
		r.hang(false)
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := errors.Join(r.server.Close(ctx), <-served); !errors.Is(err, forward.ErrServerClosed) {
			t.Error(err)
		}
	})
	return r
}

func (r *receiver) receive(m *forward.Received, done func(bool)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ids[m.Chunk] && m.WantsAck {
		r.again++
	} else {
		r.ids[m.Chunk] = true
		r.note(m)
	}
	if r.hangs {
		r.held = append(r.held, done)
		return
	}
	done(true)
}

// note notes the numbers of a message's records.
func (r *receiver) note(m *forward.Received) {
	of := r.records[m.Tag]
	if of == nil {
		of = make(map[int64]int)
		r.records[m.Tag] = of
	}
	for rest := m.Entries; len(rest) > 0; {
		e, next, err := forward.NextEntry(rest)
		if err != nil {
			r.t.Error(err)
			return
		}
		rest = next
		if bytes.Contains(e.Record, []byte("spillway_loss")) {
			continue // A marker, in the place of what was refused.
		}
		_, body, err := msgp.ReadMapHeaderBytes(e.Record)
		if err == nil {
			_, body, err = msgp.ReadStringZC(body)
		}
		n, _, bad := msgp.ReadInt64Bytes(body)
		if err != nil || bad != nil {
			r.t.Errorf("a record came that nobody sent: % x", e.Record)
			return
		}
		of[n]++
	}
}

// hang makes it take chunks and say nothing, or answer all that it has.
func (r *receiver) hang(hangs bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hangs = hangs
	if !hangs {
		for _, done := range r.held {
			done(true)
		}
		r.held = nil
	}
}

// missing and doubled are how many of the first n records of a tag are not there, and are there twice.
func (r *receiver) missing(tag string, n int64) (missing, doubled int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range n {
		switch c := r.records[tag][i]; {
		case c == 0:
			missing++
		case c > 1:
			doubled++
		}
	}
	return missing, doubled
}

// sender sends numbered records to a run, whatever becomes of that, until each chunk is acknowledged.
type sender struct {
	to, tag string
	perRow  int

	acked int64 // records
	stop  chan struct{}
	done  chan error
}

func startSender(to, tag string, perChunk int) *sender {
	s := &sender{to: to, tag: tag, perRow: perChunk, stop: make(chan struct{}), done: make(chan error, 1)}
	go func() { s.done <- s.run() }()
	return s
}

// end makes it send nothing new, and returns when all is acknowledged: how many records that are.
func (s *sender) end(t *testing.T) int64 {
	t.Helper()
	close(s.stop)
	select {
	case err := <-s.done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(3 * time.Minute):
		t.Fatal("the sender gets no acks")
	}
	return s.acked
}

// window is how many chunks are under way.
const window = 8

func (s *sender) run() error {
	var unacked []*forward.OutChunk
	next := int64(0)
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		conn, err := forward.Dial(ctx, forward.DialOptions{Address: s.to, Window: window, AckTimeout: 20 * time.Second})
		cancel()
		if err != nil {
			select {
			case <-time.After(5 * time.Millisecond):
			case <-s.stop:
			}
			continue
		}
		over := s.sendOn(conn, &unacked, &next)
		if err := conn.Close(); over {
			return err
		}
	}
}

// sendOn sends what has no ack, and then what is new, until the connection fails or all is over.
func (s *sender) sendOn(conn *forward.Conn, unacked *[]*forward.OutChunk, next *int64) (over bool) {
	var pending []*forward.Pending
	sent := 0
	for {
		for sent < len(*unacked) {
			p, err := conn.Write(context.Background(), (*unacked)[sent])
			if err != nil {
				return false
			}
			pending = append(pending, p)
			sent++
		}
		ending := false
		select {
		case <-s.stop:
			ending = true
		default:
		}
		if len(*unacked) < window && !ending {
			*unacked = append(*unacked, s.chunk(*next))
			*next += int64(s.perRow)
			continue
		}
		if len(pending) == 0 {
			return true
		}
		<-pending[0].Done()
		if pending[0].Err() != nil {
			return false
		}
		s.acked += int64(s.perRow)
		pending, *unacked = pending[1:], (*unacked)[1:]
		sent--
	}
}

// chunk makes a chunk of records from the given number on, which its id names.
func (s *sender) chunk(first int64) *forward.OutChunk {
	c := &forward.OutChunk{Tag: s.tag, Records: s.perRow, ID: fmt.Sprintf("%s/%d", s.tag, first)}
	var b []byte
	for i := range s.perRow {
		b = forward.AppendEntry(b, time.Now().UnixNano())
		b = msgp.AppendInt64(msgp.AppendString(msgp.AppendMapHeader(b, 1), "n"), first+int64(i))
	}
	c.Entries = [][]byte{b}
	return c
}
