package faults

import (
	"testing"
	"time"

	"github.com/spillway/spillway/internal/sandbox/cloudwatch"
	"github.com/spillway/spillway/test/launcher"
	"github.com/spillway/spillway/test/launcher/harness"
)

// programs are set once, before any test runs.
var programs *harness.Programs

func TestMain(m *testing.M) { harness.Main(m, &programs) }

// cloud starts an endpoint that keeps what the test reads back, at most about 2 GiB.
func cloud(t *testing.T) *harness.Cloud {
	t.Helper()
	return harness.NewCloud(t, cloudwatch.Options{KeepBytes: 2 << 30})
}

// start starts a logger that delivers to c, with further arguments as key, value, key, value.
func start(t *testing.T, c *harness.Cloud, pairs ...string) *harness.Container {
	t.Helper()
	return startWith(t, c, nil, pairs...)
}

// startWith is start with a change to the start itself.
func startWith(t *testing.T, c *harness.Cloud, change func(*launcher.Spec), pairs ...string) *harness.Container {
	t.Helper()
	set := make(map[string]string)
	for i := 0; i+1 < len(pairs); i += 2 {
		set[pairs[i]] = pairs[i+1]
	}
	return harness.Setup{Programs: programs, Cloud: c, Set: set, Change: change}.Start(t)
}

// checkAll compares every account of the lines of stdout, which must be the only ones, and gives what readers found.
func checkAll(t *testing.T, c *harness.Cloud, lines *harness.Lines, end launcher.Result) harness.Reading {
	t.Helper()
	r := harness.Read(t, c.Messages(harness.Group, harness.Stream), lines.Prefix, lines.Written())
	r.CheckAccounted(t, lines.Written(), end)
	c.CheckReport(harness.Stream, lines.Prefix, r)
	return r
}

// checkComplete is checkAll where nothing may be missing.
func checkComplete(t *testing.T, c *harness.Cloud, lines *harness.Lines, end launcher.Result) {
	t.Helper()
	if r := checkAll(t, c, lines, end); r.Distinct != lines.Written() {
		t.Errorf("%d of %d lines arrived", r.Distinct, lines.Written())
	}
}

// write writes n lines to the container's stdout.
func write(t *testing.T, c *harness.Container, lines *harness.Lines, n int64) {
	t.Helper()
	if err := lines.Write(c.Stdout, n); err != nil {
		t.Fatal(err)
	}
}

// waitFor polls until something outside this process has happened. Limit is what a machine needs that does nothing else;
// one that is busy is given minutes.
func waitFor(t *testing.T, what string, limit time.Duration, happened func() bool) {
	t.Helper()
	limit = max(limit, 3*time.Minute)
	for deadline := time.Now().Add(limit); !happened(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v in vain for %s", limit, what)
		}
	}
}

// arrived counts the events that the endpoint has taken into the stream of the tests.
func arrived(c *harness.Cloud) int64 {
	report := c.Sandbox.Report()
	account, _ := report.Stream(harness.Group, harness.Stream)
	return int64(account.Events)
}
