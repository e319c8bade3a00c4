package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// straight is the sender that sends into the receiver, with nothing between them.
const straight peer = "straight"

// relayWork says how "spillway run" stands between a sender of the forward protocol and a receiver; nil for rows without
// one.
type relayWork struct {
	route string // what the route says beside its match and its sink
	to    receiver
}

// relayRows measure spillway run: acks on both sides, 250-byte records, 1,000 in a chunk, 2 connections, a receiver that
// answers at once, a budget of 64 MiB.
func relayRows(s scale) (rows []row) {
	type kind struct {
		name, title, route string
		rate               float64
		processor          bar
	}
	const kernel, power = "max-buffer-size: 64m, mode: spill, durability: kernel, max-disk-size: 4g", "max-buffer-size: 64m, mode: spill, durability: power, max-disk-size: 4g"
	add := func(k kind, to receiver, title string, volume int64) {
		rows = append(rows, row{
			name: k.name, title: title + k.title, other: straight, relay: &relayWork{k.route, to}, volume: volume,
			figures: []figure{
				rate(timesStraight(k.rate)), processor(k.processor),
				{name: "peak RSS", unit: "MiB", of: func(m *measurement) float64 { return mib(m.PeakRSS) }, bar: atMost(64 + 24), worst: true},
			},
		})
	}
	for _, k := range []kind{
		{"forward", "in memory", "max-buffer-size: 64m", 0.25, atMost(1.5)},
		{"forward-kernel", "written before the ack", kernel, 0.16, bar{}},
		{"forward-power", "synced before the ack", power, 0.08, bar{}},
	} {
		add(k, forwardReceiver{}, "`spillway run`, forward to forward with acks on both sides, ", 8*s.volume)
	}
	for _, k := range []kind{
		{"forward-elasticsearch", "in memory", "max-buffer-size: 64m", 0.45, atMost(4)},
		{"forward-elasticsearch-kernel", "written before the ack", kernel, 0.38, bar{}},
		{"forward-elasticsearch-power", "synced before the ack", power, 0.2, bar{}},
	} {
		add(k, searchReceiver{}, "`spillway run`, forward with acks to Elasticsearch, ", 2*s.volume)
	}
	return rows
}

// runRelay is one run of both peers of such a row.
func (b *bench) runRelay(ctx context.Context, r row, run int) ([]measurement, error) {
	var all []measurement
	peers := []peer{spillway, straight}
	for i := range peers {
		p := peers[(i+run)%len(peers)]
		m, err := b.relay(ctx, r, p)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p, err)
		}
		m.Peer, m.Run = p, run
		m.print(b.progress, r)
		all = append(all, m)
	}
	return all, nil
}

// relayed is what both ends of a run say.
type relayed struct {
	Chunks, Records, Bytes int64
	Begin                  time.Time
	Seconds                float64
}

// relay is one run: receiver, relay if it is ours, sender, and what came of it.
func (b *bench) relay(ctx context.Context, r row, p peer) (m measurement, err error) {
	to, err := r.relay.to.start(ctx, b.binaries)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, to.kill()) }()
	sender, args := r.relay.to.straight(to.addr)
	var between *end
	if p == spillway {
		var addr string
		if between, addr, err = b.startRelay(ctx, r, to.addr); err != nil {
			return m, err
		}
		defer func() { err = errors.Join(err, between.kill()) }()
		sender, args = forwardReceiver{}.straight(addr)
	}
	out, err := exec.CommandContext(ctx, filepath.Join(b.binaries, sender), append(args, "--bytes", strconv.FormatInt(r.volume, 10))...).Output()
	var sent, received relayed
	if err = errors.Join(err, unmarshal(out, &sent)); err != nil {
		return m, fmt.Errorf("send: %w", err)
	}
	m.Lines, m.Seconds = sent.Records, sent.Seconds
	m.MBPerSecond = float64(sent.Bytes) / 1e6 / sent.Seconds
	if between != nil {
		if err := between.stop(&m, sent); err != nil {
			return m, err
		}
	}
	if err := to.stop(nil, relayed{}); err != nil {
		return m, err
	}
	if received, err = r.relay.to.received(to.stdout.Bytes()); err != nil {
		return m, fmt.Errorf("read what was received: %w", err)
	}
	if received.Records != sent.Records || received.Bytes != sent.Bytes && received.Bytes > 0 {
		m.problem("%d records of %d bytes were sent, %d of %d bytes arrived", sent.Records, sent.Bytes, received.Records, received.Bytes)
	}
	return m, nil
}

func unmarshal(text []byte, to any) error {
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return json.Unmarshal(lines[len(lines)-1], to)
}

// end is a process of a run.
type end struct {
	cmd    *exec.Cmd
	stdout bytes.Buffer
	stderr bytes.Buffer
	addr   string
	read   chan struct{}
	ended  bool
}

// startEnd starts a process whose first line on standard error is where it listens.
func startEnd(ctx context.Context, program string, args ...string) (*end, error) {
	e := &end{cmd: exec.CommandContext(ctx, program, args...), read: make(chan struct{})}
	e.cmd.Stdout = &e.stdout
	stderr, err := e.cmd.StderrPipe()
	if err == nil {
		err = e.cmd.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	lines := bufio.NewReader(stderr)
	line, err := lines.ReadString('\n')
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: read where it listens: %w", program, err), e.kill())
	}
	e.addr = addressIn(line)
	go func() {
		defer close(e.read)
		_, _ = lines.WriteTo(&e.stderr) // What it says is shown where something goes wrong.
	}()
	return e, nil
}

// addressIn is the host and port in a line, alone or in a URL.
func addressIn(line string) string {
	for _, word := range strings.Fields(line) {
		word = strings.TrimSuffix(strings.TrimPrefix(word, "http://"), ",")
		if _, _, err := net.SplitHostPort(word); err == nil {
			return word
		}
	}
	return ""
}

// startRelay starts spillway run towards addr, and returns where it listens.
func (b *bench) startRelay(ctx context.Context, r row, addr string) (*end, string, error) {
	dir, err := os.MkdirTemp(b.dir, "relay-")
	if err != nil {
		return nil, "", err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	own := l.Addr().String()
	if err := l.Close(); err != nil {
		return nil, "", err
	}
	e, err := b.startRun(ctx, dir, fmt.Sprintf("sources: {in: {type: forward, listen: %q}}\nsinks: {out: {%s}}\nroutes:\n  - {match: \"**\", to: out, %s}\n",
		own, r.relay.to.sink(addr), r.relay.route))
	if err != nil {
		return nil, "", err
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		conn, err := net.Dial("tcp", own)
		if err == nil {
			return e, own, conn.Close()
		}
		if time.Now().After(deadline) {
			return nil, "", errors.Join(fmt.Errorf("spillway run does not listen: %w", err), e.kill())
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// startRun starts spillway run with a file of the given text, and everything of it in dir.
func (b *bench) startRun(ctx context.Context, dir, text string) (*end, error) {
	file := filepath.Join(dir, "spillway.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	e := &end{cmd: exec.CommandContext(ctx, filepath.Join(b.binaries, "spillway"), "run", "-c", file, "--state-dir", filepath.Join(dir, "state"), "--json"), read: make(chan struct{})}
	close(e.read)
	e.cmd.Stderr = &e.stderr
	return e, e.cmd.Start()
}

// stop ends a process and, where m is given, fills in what it took and holds it to what it says of itself.
func (e *end) stop(m *measurement, sent relayed) error {
	if err := e.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	<-e.read
	err := e.cmd.Wait()
	e.ended = true
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", e.cmd.Path, err, tail(e.stderr.String()))
	}
	if m == nil {
		return nil
	}
	state := e.cmd.ProcessState
	m.CPUSeconds = (state.UserTime() + state.SystemTime()).Seconds()
	m.CPUSecondsPerGB = m.CPUSeconds / (float64(sent.Bytes) / 1e9)
	if usage, ok := state.SysUsage().(*syscall.Rusage); ok {
		m.PeakRSS = usage.Maxrss << 10
	}
	var report struct{ Received, Delivered, Dropped, Pending, Unaccounted int64 }
	if err := unmarshal(e.stderr.Bytes(), &report); err != nil {
		return fmt.Errorf("read the last report: %w", err)
	}
	if report.Received != sent.Records || report.Delivered != sent.Records || report.Unaccounted != 0 {
		m.problem("%d records were sent, the last report is %+v", sent.Records, report)
	}
	return nil
}

// kill ends a process that is still there.
func (e *end) kill() error {
	if e.ended {
		return nil
	}
	e.ended = true
	err := e.cmd.Process.Kill()
	<-e.read
	_ = e.cmd.Wait() // It was killed.
	return err
}
