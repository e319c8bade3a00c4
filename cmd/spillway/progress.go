package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/docker/go-units"
	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/pipeline"
)

// progressEvery is how often the progress is shown.
const progressEvery = 200 * time.Millisecond

// progress shows on a terminal how a pipeline does.
type progress struct {
	end, ended chan struct{}
}

// startProgress shows progress on f, if it is a terminal.
func startProgress(f *os.File, report func() pipeline.Report) *progress {
	p := &progress{end: make(chan struct{}), ended: make(chan struct{})}
	if !term.IsTerminal(int(f.Fd())) {
		close(p.ended)
		return p
	}
	go p.run(f, report)
	return p
}

func (p *progress) stop() {
	close(p.end)
	<-p.ended
}

func (p *progress) run(w io.Writer, report func() pipeline.Report) {
	defer close(p.ended)
	bar := progressbar.NewOptions64(-1, progressbar.OptionSetWriter(w), progressbar.OptionSpinnerType(14),
		progressbar.OptionClearOnFinish(), progressbar.OptionSetElapsedTime(false))
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	last, at := int64(0), time.Now()
	for {
		select {
		case <-p.end:
			// What cannot be cleared on the terminal is nobody's loss.
			_ = bar.Finish()
			return
		case now := <-tick.C:
			r := report()
			rate := float64(r.Received-last) / now.Sub(at).Seconds()
			last, at = r.Received, now
			bar.Describe(progressText(r, rate))
			_ = bar.Add(1)
		}
	}
}

func progressText(r pipeline.Report, rate float64) string {
	text := fmt.Sprintf("%s records, %s/s, held %s of %s, dropped %d", count(float64(r.Received)), count(rate),
		units.BytesSize(float64(r.Buffer.Held)), units.BytesSize(float64(r.Buffer.Limit)), r.Dropped)
	if !r.Health.Up {
		text += ", destination away: " + r.Health.Error
	}
	return text
}

// count is n in few characters, such as 1.2M.
func count(n float64) string {
	return units.CustomSize("%.3g%s", n, 1000, []string{"", "k", "M", "G", "T"})
}

// printBalance tells a balance to a person.
func printBalance(w io.Writer, b ledger.Balance) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	// What was recovered has a column where there is any: without it the rows that have
	// it do not add up.
	recovered := func(string, ...any) string { return "" }
	if b.Recovered != 0 {
		recovered = fmt.Sprintf
	}
	fmt.Fprintln(t, "\treceived\t"+recovered("recovered\t")+"delivered\tdropped\tdead-lettered\tpending\t")
	row := func(name string, n ledger.Numbers) {
		fmt.Fprintf(t, "%s\t%d\t%s%d\t%d\t%d\t%d\t\n", name, n.Received, recovered("%d\t", n.Recovered), n.Delivered, n.Dropped, n.DeadLettered, n.Pending)
	}
	for _, s := range b.Streams {
		row(shown(s.Stream, shownTag), s.Numbers)
	}
	row("all", b.Numbers)
	row("bytes", b.Bytes)
	if err := t.Flush(); err != nil {
		return err
	}
	return printExceptions(w, b.Sheet)
}

// printExceptions tells what a balance without loss does not have.
func printExceptions(w io.Writer, s ledger.Sheet) error {
	for _, why := range slices.Sorted(maps.Keys(s.ByReason)) {
		if _, err := fmt.Fprintf(w, "dropped %d: %s\n", s.ByReason[why], why); err != nil {
			return err
		}
	}
	for _, line := range []struct {
		n    int64
		text string
	}{
		{s.Unaccounted, "UNACCOUNTED %d: this is a defect of spillway\n"},
		{s.Recovered, "recovered from an earlier process: %d\n"},
		{s.PossibleDuplicates, "delivered perhaps twice: %d\n"},
		{s.Markers.Pending, "loss markers not delivered: %d\n"},
		{s.Markers.Refused, "loss markers that the destination refused: %d\n"},
		{s.Split, "lines cut into parts: %d\n"},
		{s.InvalidUTF8, "bytes that are not UTF-8: %d\n"},
	} {
		if line.n == 0 {
			continue
		}
		if _, err := fmt.Fprintf(w, line.text, line.n); err != nil {
			return err
		}
	}
	return nil
}
