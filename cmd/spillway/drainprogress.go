package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/spillway/spillway/internal/pipeline"
)

// startDrainProgress shows on f, if it is a terminal, how much of a buffer that
// was left behind is delivered.
func startDrainProgress(f *os.File, name string, report func() pipeline.Report) *progress {
	p := &progress{end: make(chan struct{}), ended: make(chan struct{})}
	if !term.IsTerminal(int(f.Fd())) {
		close(p.ended)
		return p
	}
	go p.drain(f, name, report)
	return p
}

func (p *progress) drain(w io.Writer, name string, report func() pipeline.Report) {
	defer close(p.ended)
	bar := progressbar.NewOptions64(max(report().Recovered, 1), progressbar.OptionSetWriter(w), progressbar.OptionClearOnFinish(),
		progressbar.OptionShowCount(), progressbar.OptionSetItsString("records"), progressbar.OptionShowIts())
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	for {
		select {
		case <-p.end:
			// What cannot be cleared on the terminal is nobody's loss.
			_ = bar.Finish()
			return
		case <-tick.C:
			r := report()
			bar.Describe(drainText(name, r))
			_ = bar.Set64(min(r.Delivered+r.Dropped, r.Recovered))
		}
	}
}

func drainText(name string, r pipeline.Report) string {
	text := fmt.Sprintf("%s to %s", name, r.Destination)
	if r.Dropped > 0 {
		text += fmt.Sprintf(", dropped %d", r.Dropped)
	}
	if !r.Health.Up {
		text += ", destination away: " + r.Health.Error
	}
	return text
}
