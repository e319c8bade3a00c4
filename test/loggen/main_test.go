package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestMain lets the test binary be loggen itself, so that a run over a real pipe is tested without a build.
func TestMain(m *testing.M) {
	if os.Getenv("LOGGEN_TEST_RUN") == "1" {
		main()
	}
	os.Exit(m.Run())
}

func TestOptions(t *testing.T) {
	for _, c := range []struct {
		args  string
		lines int64
		fails string
	}{
		{args: "--lines 7", lines: 7},
		{args: "--bytes 1GB", lines: 4_000_000},
		{args: "--bytes 1g --size 1024", lines: 1 << 20},
		{args: "--rate 2MB/s --duration 45s --size 1000", lines: 90_000},
		{args: "--rate 12MB/s --burst --duration 20s", lines: 960_000},
		{args: "--duration 1s --start 10", lines: maxNumber - 10},
		{args: "--rate 1MB/s", fails: "no end"},
		{args: "--lines 1 --bytes 1k", fails: "same thing"},
		{args: "--lines 1 --burst", fails: "needs --rate"},
		{args: "--lines 1 --fd 3", fails: "1 or 2"},
		{args: "--lines 1 --size 15", fails: "at least 16"},
		{args: "--lines 1 --size 16 --prefix stdout-", fails: "at least 19"},
		{args: "--lines 2 --start 999999999999", fails: "numbers must stay"},
		{args: "--bytes -1", fails: "positive amount"},
		{args: "--bytes 3furlongs", fails: "positive amount"},
		{args: "--lines 1 surplus", fails: "surplus"},
	} {
		o, err := parseOptions(strings.Fields(c.args), io.Discard)
		switch {
		case c.fails == "" && err != nil:
			t.Errorf("%s: %v", c.args, err)
		case c.fails == "" && o.plan.lines != c.lines:
			t.Errorf("%s: %d lines, expected %d", c.args, o.plan.lines, c.lines)
		case c.fails != "" && (err == nil || !strings.Contains(err.Error(), c.fails)):
			t.Errorf("%s: error %v, expected one with %q", c.args, err, c.fails)
		}
	}
}

// TestTimetable checks that every line is due exactly once, in the right second, and that a burst is due at once.
func TestTimetable(t *testing.T) {
	for _, c := range []struct {
		rate  int64
		size  int
		burst bool
	}{
		{12e6, 250, true}, {2e6, 250, true}, {1e6, 333, true}, {100, 1000, true}, {1e6, 1000, false}, {999, 250, false},
	} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			p := plan{rate: c.rate, size: c.size, burst: c.burst, linesPerWrite: 262, lines: math.MaxInt64}
			exact := func(line int64) float64 { return float64(line*int64(c.size)) / float64(c.rate) }
			writes := 0
			for done := int64(0); exact(done) < 20; writes++ {
				n, due := p.next(done)
				if n < 1 || n > p.linesPerWrite {
					t.Fatalf("a write of %d lines", n)
				}
				want := exact(done)
				if c.burst {
					want = math.Floor(want)
					if last := done + int64(n) - 1; math.Floor(exact(last)) != want {
						t.Fatalf("line %d is in the burst of second %g, it is due at %g s", last, want, exact(last))
					}
				}
				if math.Abs(due.Seconds()-want) > 1e-6 {
					t.Fatalf("line %d is due %v after the start, expected %g s", done, due, want)
				}
				done += int64(n)
			}
			if most := int(c.rate)*20/c.size/p.linesPerWrite + 21; writes > most {
				t.Errorf("%d writes for 20 s, expected at most %d", writes, most)
			}
		})
	}
}

// TestWholeRun writes to a real pipe, and checks the lines and the report against each other.
func TestWholeRun(t *testing.T) {
	for _, args := range []string{
		"--lines 100000 --write-size 64k", "--lines 5000", "--lines 3000 --fd 2 --prefix err- --start 7 --write-size 4k",
		"--rate 10MB/s --duration 200ms --write-size 16k", "--rate 10MB/s --burst --duration 200ms --size 16",
	} {
		report := filepath.Join(t.TempDir(), "report.json")
		cmd := exec.Command(os.Args[0], append(strings.Fields(args), "--report", report)...)
		cmd.Env = append(os.Environ(), "LOGGEN_TEST_RUN=1")
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Run(); err != nil {
			t.Fatalf("%s: %v: %s", args, err, out.Bytes())
		}
		var res result
		text, err := os.ReadFile(report)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &res); err != nil {
			t.Fatal(err)
		}
		o, err := parseOptions(strings.Fields(args), io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		lines := bytes.SplitAfter(out.Bytes(), []byte("\n"))
		lines = lines[:len(lines)-1]
		if int64(len(lines)) != o.plan.lines || res.Lines != o.plan.lines || res.Bytes != res.Lines*int64(o.plan.size) {
			t.Errorf("%s: wrote %d lines, reports %d and %d bytes, expected %d lines", args, len(lines), res.Lines, res.Bytes, o.plan.lines)
		}
		for i, line := range lines {
			want := fmt.Sprintf("%s%012d", o.plan.prefix, o.plan.start+int64(i))
			if !bytes.HasPrefix(line, []byte(want)) || len(line) != o.plan.size+1 {
				t.Fatalf("%s: line %d is %q", args, i, line)
			}
		}
		if res.LongestWriteMS <= 0 || res.WriteSecondsTotal*1000 < res.LongestWriteMS || res.LongestDelayMS < res.LongestWriteMS {
			t.Errorf("%s: times do not add up: %+v", args, res)
		}
	}
}

// TestBrokenPipe: what was written before the reader went away is reported, and the run fails.
func TestBrokenPipe(t *testing.T) {
	p := plan{size: 99, lines: 100, linesPerWrite: 10}
	calls, broken := 0, errors.New("broken pipe")
	res, err := run(p, newRing(p), func(b []byte) (int, error) {
		if calls++; calls == 3 {
			return 250, broken
		}
		return len(b), nil
	})
	if !errors.Is(err, broken) || res.Lines != 22 || res.Bytes != 22*99 {
		t.Errorf("got %v after %d lines of %d bytes, expected 22 lines", err, res.Lines, res.Bytes)
	}
}
