package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/docker/go-units"

	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/run"
)

// printRun tells a person how a run does: each leg in a line or two, what no route
// takes, what is orphaned, and the balance.
func printRun(w io.Writer, r *run.Report) error {
	p := &printer{w: w}
	if f := r.FileRefused; f != nil {
		p.printf("RED: the file was read again at %s, and is not in use; the one of %s still is\n", f.Time.Local().Format(time.DateTime),
			r.FileSince.Local().Format(time.DateTime))
		for line := range strings.SplitSeq(f.Error, "\n") {
			p.printf("  %s\n", shown(line, shownError))
		}
	}
	for _, s := range r.Sources {
		now, since := "", ""
		if s.Now != "" {
			now = "; " + s.Now
		}
		if !s.Since.IsZero() {
			since = "since " + s.Since.Local().Format(time.DateTime) + ": "
		}
		waiting := ""
		if s.Waiting > 0 {
			waiting = fmt.Sprintf(", and %d parts on the disk that wait for the rest of their lines", s.Waiting)
		}
		p.printf("source %s (%s): %d records, %s%s%s\n", s.Name, s.Type, s.RecordsIn, units.BytesSize(float64(s.BytesIn)), waiting, now)
		if s.Trouble != "" {
			p.printf("  RED: %s%s\n", since, shown(s.Trouble, shownSample))
		}
		if s.LastError != "" {
			p.printf("  the last error, %s: %s\n", s.LastErrorAt.Local().Format(time.DateTime), shown(s.LastError, shownSample))
		}
	}
	for i := range r.Legs {
		l := &r.Legs[i]
		leaving := ""
		if l.Leaving {
			leaving = " (not in the file any more, or left by an earlier run)"
		}
		p.printf("%s -> %s%s: %s to %s, held %s of %s%s\n  %s\n  received %d, recovered %d, delivered %d, dropped %d, dead-lettered %d, pending %d\n",
			l.Route, l.Sink, leaving, l.Mode, l.Destination, units.BytesSize(float64(l.Buffer.Held)), units.BytesSize(float64(l.Buffer.Limit)),
			diskText(l.Report), healthText(l.Report), l.Received, l.Recovered, l.Delivered, l.Dropped, l.DeadLettered, l.Pending)
	}
	for _, s := range r.Unmatched {
		p.printf("UNMATCHED: %d records of the tag \"%s\", such as %s\n", s.Records, shown(s.Tag, shownTag), shown(s.Sample, shownSample))
	}
	for _, o := range r.Orphaned {
		p.printf("ORPHANED: %s, of the route %q to the sink %q, which the file does not have\n", o.Directory, o.Route, o.Sink)
	}
	for _, e := range r.Ending {
		p.printf("ENDING since %s: %s\n", e.Since.Local().Format(time.DateTime), e.What)
	}
	p.letters(r.DeadLetters)
	if p.err != nil {
		return p.err
	}
	return printBalance(w, shortened(r.Balance))
}

// What a person is shown of a tag and of a record, in characters. Both are foreign
// text, which could say anything to a terminal.
const (
	shownTag    = 100
	shownSample = 256
	shownError  = 1024 // of a mistake in the file
)

// shownStreams is how many streams a person is shown.
const shownStreams = 20

// shortened is a balance of which all but the first streams are summed up.
func shortened(b ledger.Balance) ledger.Balance {
	if len(b.Streams) <= shownStreams {
		return b
	}
	rest := b.Streams[shownStreams-1:]
	b.Streams = append(slices.Clone(b.Streams[:shownStreams-1]),
		ledger.StreamBalance{Stream: fmt.Sprintf("%d more", len(rest)), Sheet: ledger.Total(rest)})
	return b
}

// letters tells of the dead letters, where there is something to tell.
func (p *printer) letters(d *run.DeadLetters) {
	if d == nil {
		return
	}
	if d.Letters > 0 || d.Disk > 0 {
		p.printf("dead letters: %d, %s; %s on the disk of %s\n", d.Letters,
			units.BytesSize(float64(d.Bytes)), units.BytesSize(float64(d.Disk)), units.BytesSize(float64(d.Max)))
	}
	for _, file := range d.SetAside {
		p.printf("DEAD LETTERS: %s is damaged and set aside\n", file)
	}
	if d.Error != "" {
		p.printf("DEAD LETTERS: %s\n", d.Error)
	}
}

// printer prints until something fails.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}
