package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/run"
)

// TestForeignTextInReports: neither a tag nor a record says anything to the terminal
// of who looks at a run, nor fills it.
func TestForeignTextInReports(t *testing.T) {
	foreign := "\x1b[2J\ttag\r\n" + strings.Repeat("x", 4000)
	r := &run.Report{Unmatched: []run.Stray{{Tag: foreign, Records: 1, Sample: foreign}}}
	r.Streams = []ledger.StreamBalance{{Stream: foreign}}
	var out strings.Builder
	if err := printRun(&out, r); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(out.String(), "\x1b\r\t") || strings.Count(out.String(), `\x1b[2J\ttag`) != 3 || out.Len() > 2000 {
		t.Errorf("%q", out.String())
	}
}

// TestTroubleOfASource is red, beside the source, and says what and since when.
func TestTroubleOfASource(t *testing.T) {
	since := time.Date(2026, 11, 20, 15, 4, 5, 0, time.Local)
	r := &run.Report{Sources: []run.SourceStatus{{Name: "a", Type: "kafka", Now: "partitions: 3"}, {Name: "b", Type: "kafka", Trouble: "connect: refused\x1b", Since: since}}}
	var out strings.Builder
	if err := printRun(&out, r); err != nil {
		t.Fatal(err)
	}
	if want := "source a (kafka): 0 records, 0B; partitions: 3\n"; !strings.Contains(out.String(), want) {
		t.Errorf("%q, expected %q in it", out.String(), want)
	}
	if want := "source b (kafka): 0 records, 0B\n  RED: since 2026-11-20 15:04:05: connect: refused\\x1b\n"; !strings.Contains(out.String(), want) ||
		strings.Count(out.String(), "RED") != 1 {
		t.Errorf("%q, expected %q in it, and nothing else red", out.String(), want)
	}
}

// TestRowsAddUp: what a process took over stands in the rows, where there is any.
func TestRowsAddUp(t *testing.T) {
	var b ledger.Balance
	b.Received, b.Recovered, b.Delivered = 5, 2, 7
	var out strings.Builder
	if err := printBalance(&out, b); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out.String(), "\n")
	if got, want := strings.Fields(lines[0]), []string{"received", "recovered", "delivered", "dropped", "dead-lettered", "pending"}; !slices.Equal(got, want) {
		t.Errorf("the columns are %q, expected %q", got, want)
	}
	if got, want := strings.Fields(lines[1]), []string{"all", "5", "2", "7", "0", "0", "0"}; !slices.Equal(got, want) {
		t.Errorf("%q, expected %q", got, want)
	}
	out.Reset()
	if err := printBalance(&out, ledger.Balance{}); err != nil || strings.Contains(out.String(), "recovered") {
		t.Errorf("%q, %v; nothing was recovered", out.String(), err)
	}
}

// TestARefusedFileIsRed, with every mistake, and says which one is in use.
func TestARefusedFileIsRed(t *testing.T) {
	at := time.Date(2026, 11, 20, 15, 4, 5, 0, time.Local)
	r := &run.Report{FileSince: at, FileRefused: &run.Refused{Time: at.Add(time.Hour), Error: "f:1:2: found a\nf:2:3: found b\x1b"}}
	var out strings.Builder
	if err := printRun(&out, r); err != nil {
		t.Fatal(err)
	}
	if want := "RED: the file was read again at 2026-11-20 16:04:05, and is not in use; the one of 2026-11-20 15:04:05 still is\n" +
		"  f:1:2: found a\n  f:2:3: found b\\x1b\n"; !strings.HasPrefix(out.String(), want) {
		t.Errorf("%q, expected %q in front", out.String(), want)
	}
}
