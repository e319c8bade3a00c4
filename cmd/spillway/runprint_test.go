package main

import (
	"strings"
	"testing"

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
