package run

import (
	"os"
	"time"

	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/pipeline"
)

// Report is how a run does: the balance of all legs together, under the same keys
// as everywhere, and each leg's own.
type Report struct {
	Time    time.Time `json:"time"`
	PID     int       `json:"pid"`
	Program string    `json:"program"`
	// File is the path of the run's file, and FileSince when it was read that is in use.
	File      string    `json:"file"`
	FileSince time.Time `json:"file_since,omitzero"`
	// FileRefused is why the file is not in use as it was read since, until one is.
	FileRefused *Refused `json:"file_refused,omitempty"`
	ledger.Balance
	// RecordsIn counts each record that a source took once, one that is gone
	// included; Received counts it in each leg.
	RecordsIn int64          `json:"records_in"`
	Legs      []LegReport    `json:"legs"`
	Sources   []SourceStatus `json:"sources"`
	// Ending is what is not in use any more and has not ended yet.
	Ending []Ending `json:"ending,omitempty"`
	// Unmatched is what no route takes, by tag.
	Unmatched []Stray `json:"unmatched"`
	// Orphaned are disk buffers of which the file knows neither route nor sink.
	Orphaned []Orphan `json:"orphaned"`
	// DeadLetters is what the store of dead letters holds, whoever put it there.
	DeadLetters *DeadLetters `json:"dead_letters,omitempty"`
	// FailedNotCopied are dead letters of which there was to be a copy under the tag of
	// compat.failed-tag, and was no room for it.
	FailedNotCopied int64 `json:"failed_not_copied,omitempty"`
}

// Refused is a file that was read while the run went on, and is not in use.
type Refused struct {
	Time  time.Time `json:"time"`
	Error string    `json:"error"`
}

// Refuse notes, for status, that a file was read again and why it is not in use. Reload
// does so itself.
func (r *Run) Refuse(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refused = &Refused{time.Now().UTC(), err.Error()}
}

// DeadLetters is how full the store of dead letters is.
type DeadLetters struct {
	// Letters and Bytes are those of letters and of their bodies.
	Letters int64 `json:"letters"`
	Bytes   int64 `json:"bytes"`
	// Disk is the size of the files and Max what it is bounded to, in bytes.
	Disk int64 `json:"disk_bytes"`
	Max  int64 `json:"max_bytes"`
	// SetAside are damaged files, which take no more letters.
	SetAside []string `json:"set_aside,omitempty"`
	// Error is why the store cannot say.
	Error string `json:"error,omitempty"`
}

// LegReport is how a leg does.
type LegReport struct {
	Route string `json:"route"`
	Sink  string `json:"sink"`
	// Leaving: the route is gone, and what is held is being delivered.
	Leaving bool `json:"leaving,omitempty"`
	pipeline.Report
}

// Report returns how the run does now.
func (r *Run) Report() Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	report := Report{
		Time: time.Now().UTC(), PID: os.Getpid(), Program: "spillway",
		Balance: r.gone, Legs: []LegReport{}, Sources: []SourceStatus{}, Unmatched: r.strays.list(), Orphaned: append([]Orphan{}, r.orphans...),
	}
	report.Ending = r.endings.list()
	report.FailedNotCopied = r.failed.notCopied()
	if r.file != nil {
		report.File, report.FileSince, report.FileRefused = r.file.Path, r.since, r.refused
	}
	balances := []ledger.Balance{r.gone}
	for i, l := range r.all() {
		own := l.Report(pipeline.Identity{Program: "spillway", Destination: l.to.Name, Mode: string(l.plan.Load().buffer.Mode)})
		balances = append(balances, own.Balance)
		report.Legs = append(report.Legs, LegReport{Route: l.route, Sink: l.name, Leaving: i >= len(r.legs)+len(r.rejects), Report: own})
	}
	report.RecordsIn = r.goneIn
	for _, s := range r.retiring {
		if !s.passedOn {
			status := s.Status()
			report.RecordsIn += status.RecordsIn
			balances = append(balances, status.Own)
		}
	}
	for _, s := range r.sources {
		status := s.Status()
		status.Name, status.Type = s.plan.Name, s.plan.Type
		report.RecordsIn += status.RecordsIn
		balances = append(balances, status.Own)
		report.Sources = append(report.Sources, status)
	}
	report.Balance = addUp(balances...)
	return report
}

// addUp is the balance of several legs together, stream by stream. Bytes that are no
// UTF-8 may be of no stream.
func addUp(all ...ledger.Balance) ledger.Balance {
	var sum ledger.Balance
	at := map[string]int{}
	sum.Streams = []ledger.StreamBalance{}
	invalid := int64(0)
	for _, b := range all {
		invalid += b.InvalidUTF8
		for _, s := range b.Streams {
			name := s.Stream
			i, known := at[name]
			if !known && len(sum.Streams) >= ledger.MaxNamedStreams {
				name = ledger.OtherStreams
				i, known = at[name]
			}
			if !known {
				at[name] = len(sum.Streams)
				sum.Streams = append(sum.Streams, ledger.StreamBalance{Stream: name, Sheet: s.Sheet})
				continue
			}
			sum.Streams[i].Sheet = ledger.Total([]ledger.StreamBalance{sum.Streams[i], s})
		}
	}
	sum.Sheet = ledger.Total(sum.Streams)
	sum.InvalidUTF8 = invalid
	return sum
}
