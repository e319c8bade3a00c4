package contract

import (
	"context"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/spillway/spillway/forward"
	records "github.com/spillway/spillway/internal/entry"
	"github.com/spillway/spillway/test/launcher"
	"github.com/spillway/spillway/test/launcher/harness"
)

// collector is a server of the forward protocol on an address that stays its own
// when the server does not.
type collector struct {
	t       *testing.T
	address string

	mu      sync.Mutex
	server  *forward.Server
	records []collected
	refuse  int           // so many messages end their connection
	first   chan struct{} // closed with the first record
}

// collected is one record.
type collected struct{ tag, id, source, log string }

func (c *collector) Receive(r *forward.Received, done func(bool)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refuse > 0 {
		c.refuse--
		done(false)
		return
	}
	field := func(rec []byte, key string) string {
		value, _ := records.Lookup(rec, key)
		text, err := records.AppendText(nil, value)
		if err != nil {
			return "none"
		}
		return string(text)
	}
	for rest := r.Entries; len(rest) > 0; {
		next, err := records.Skip(rest)
		if err == nil {
			_, rest, err = records.Split(rest)
		}
		if err != nil {
			c.t.Error(err)
			break
		}
		c.records = append(c.records, collected{r.Tag, field(rest, "container_id"), field(rest, "source"), field(rest, "log")})
		rest = next
	}
	select {
	case <-c.first:
	default:
		close(c.first)
	}
	done(true)
}

// newCollector is not there yet, but has an address.
func newCollector(t *testing.T) *collector {
	t.Helper()
	address, err := launcher.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	c := &collector{t: t, address: address, first: make(chan struct{})}
	t.Cleanup(c.stop)
	return c
}

func (c *collector) start() {
	c.t.Helper()
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", c.address)
	if err != nil {
		c.t.Fatal(err)
	}
	s, err := forward.NewServer(forward.ServerConfig{Receiver: c})
	if err != nil {
		c.t.Fatal(err)
	}
	c.mu.Lock()
	c.server = s
	c.mu.Unlock()
	go s.Serve(l) //nolint:errcheck // It ends with the server.
}

// stop closes the server at once, as one that dies.
func (c *collector) stop() {
	c.mu.Lock()
	s := c.server
	c.server = nil
	c.mu.Unlock()
	if s != nil {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = s.Close(ctx) // It says that it did not wait, which was asked for.
	}
}

// logs are the lines of one stream.
func (c *collector) logs(source string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []string
	for _, r := range c.records {
		if r.source == source {
			all = append(all, r.log)
		}
	}
	return all
}

// toFluentd is a logger to the collector.
func toFluentd(c *collector, pairs ...string) harness.Setup {
	return harness.Setup{Programs: programs, Set: set(append([]string{
		"--log-driver", "fluentd", "--fluentd-address", c.address}, pairs...)...)}
}

func numbered(from, to int) []string {
	var all []string
	for i := from; i <= to; i++ {
		all = append(all, fmt.Sprint(i))
	}
	return all
}

func TestFluentdGetsDockersRecords(t *testing.T) {
	c := newCollector(t)
	c.start()
	container := toFluentd(c, "--fluentd-tag", "docker.{{.Name}}", "--fluentd-async", "", "--fluentd-buffer-limit", "8m", "--fluentd-sub-second-precision", "true").Start(t)
	container.Shell("seq 1 1000; echo oops >&2")
	end := container.Remove()
	container.CheckEnd(end)
	if got := c.logs("stdout"); !slices.Equal(got, numbered(1, 1000)) {
		t.Errorf("%d lines: %.200q", len(got), got)
	}
	if got := c.logs("stderr"); !slices.Equal(got, []string{"oops"}) {
		t.Errorf("%q", got)
	}
	if r := c.records[0]; r.tag != "docker."+harness.ContainerName || r.id != harness.ContainerID {
		t.Errorf("%+v", r)
	}
}

// TestFluentdThatIsAwayLosesNothing: it is not there when the container starts,
// goes in the middle, refuses messages, and has all lines in the end, in order.
// Docker's driver fails the start, and drops what is queued.
func TestFluentdThatIsAwayLosesNothing(t *testing.T) {
	ours(t)
	c := newCollector(t)
	container := toFluentd(c).Start(t)
	container.Shell("seq 1 1000")
	c.start()
	c.mu.Lock()
	c.refuse = 2
	c.mu.Unlock()
	container.Shell("seq 1001 20000")
	c.stop()
	container.Shell("seq 20001 40000")
	c.start()
	end := container.Remove()
	container.CheckEnd(end)
	if end.Exit == nil || end.Exit.Dropped != 0 || end.Exit.Delivered != 40000 {
		t.Fatalf("%+v", end.Exit)
	}
	got := c.logs("stdout")
	// What was taken and not acknowledged comes again. Without that every line is there once, in order.
	seen := make(map[string]bool)
	first := slices.DeleteFunc(slices.Clone(got), func(line string) bool {
		again := seen[line]
		seen[line] = true
		return again
	})
	if !slices.Equal(first, numbered(1, 40000)) || int64(len(got)-len(first)) > end.Exit.PossibleDuplicates {
		t.Errorf("%d lines, %d of them twice, %d told as possible", len(first), len(got)-len(first), end.Exit.PossibleDuplicates)
	}
}

// TestFluentdLoggerIsSmall is what a logger needs that has seen one line.
func TestFluentdLoggerIsSmall(t *testing.T) {
	ours(t)
	c := newCollector(t)
	c.start()
	container := toFluentd(c).Start(t)
	container.Shell("echo one")
	<-c.first
	time.Sleep(harness.Pick(100*time.Millisecond, 2*time.Second, 5*time.Second)) // It gives back what it needs no more.
	m, err := container.Memory()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("resident %.1f MiB, of which anonymous %.1f", float64(m.Resident)/(1<<20), float64(m.Anonymous)/(1<<20))
	if harness.Long() && (m.Resident > 12<<20 || m.Anonymous > 5<<20) {
		t.Errorf("%+v; want at most 12 MiB resident, 5 MiB of it anonymous", m)
	}
	container.CheckEnd(container.Remove())
}

// TestFluentdLoggerIsBounded: a flood while the server is away, of lines that take many times their size as records.
func TestFluentdLoggerIsBounded(t *testing.T) {
	ours(t)
	c := newCollector(t)
	container := toFluentd(c, "--mode", "non-blocking", "--max-buffer-size", "1m").Start(t)
	container.Shell("yes '' | head -n 2000000; yes x | head -n 1000000")
	c.start()
	container.Shell("head -c 3000000 /dev/zero | tr '\\0' y; echo")
	end := container.Remove()
	container.CheckEnd(end)
	if end.Exit == nil || end.Exit.LinesRead != 3_000_001 {
		t.Error("not every line was read")
	}
	if most := int64(1+24) << 20; end.PeakRSS > most {
		t.Errorf("it took %d bytes, at most %d may be", end.PeakRSS, most)
	}
	t.Logf("at most %.1f MiB", float64(end.PeakRSS)/(1<<20))
}
