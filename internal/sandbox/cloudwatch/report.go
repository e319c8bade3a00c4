package cloudwatch

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

// maxGaps is how many ranges of missing numbers a series' report lists.
const maxGaps = 20

// Report is what a Server has seen since its start. It is consistent for each stream, not across streams.
type Report struct {
	Started time.Time `json:"started"`
	Elapsed string    `json:"elapsed"`
	// Requests of the API by operation; "(unknown)" for targets that are none.
	Requests map[string]OperationReport `json:"requests"`
	// MaxInFlight is the largest number of API requests that were in the server at once, hanging ones included.
	MaxInFlight  int64             `json:"max_in_flight"`
	Disconnected uint64            `json:"disconnected"` // Clients gone before their answer.
	Faults       map[string]uint64 `json:"faults"`       // Requests that met a fault, by its kind.
	Totals       Totals            `json:"totals"`
	KeptBytes    int               `json:"kept_bytes"`
	Forgotten    uint64            `json:"forgotten"` // Events no longer kept for GetLogEvents, for want of room.
	Streams      []StreamReport    `json:"streams"`   // By group, then name; deleted ones, too.
}

// OperationReport counts the requests of one operation: Requests = OK + the sum of Errors + those being served.
type OperationReport struct {
	Requests uint64            `json:"requests"`
	OK       uint64            `json:"ok"`
	Errors   map[string]uint64 `json:"errors,omitempty"` // By error type; "hang" and "reset" for these faults.
}

// Totals sums the streams.
type Totals struct {
	Events      uint64   `json:"events"`
	Bytes       uint64   `json:"bytes"`
	Rejected    Rejected `json:"rejected"`
	Missing     uint64   `json:"missing"`
	Duplicates  uint64   `json:"duplicates"`
	OutOfOrder  uint64   `json:"out_of_order"`
	LossMarkers Markers  `json:"loss_markers"`
}

// Markers counts messages that start with "spillway-loss {" and sums what they say was lost.
type Markers struct {
	Count      uint64 `json:"count"`
	Lost       uint64 `json:"lost"`
	Unreadable uint64 `json:"unreadable,omitempty"` // Markers without a readable count.
}

// StreamReport is the account of one stream, over all its incarnations.
// Events = EmptyLines + LossMarkers.Count + Unnumbered + OtherSeries + the sum of the series' Count.
type StreamReport struct {
	Group       string            `json:"group"`
	Stream      string            `json:"stream"`
	Exists      bool              `json:"exists"`
	Created     uint64            `json:"created"`
	Deleted     uint64            `json:"deleted"`
	Requests    uint64            `json:"requests"`   // Accepted PutLogEvents requests.
	Refused     uint64            `json:"refused"`    // Those refused as a whole for their content.
	Events      uint64            `json:"events"`     // Accepted ones.
	Bytes       uint64            `json:"bytes"`      // UTF-8 bytes of their messages.
	WireBytes   uint64            `json:"wire_bytes"` // Bytes of accepted bodies, as sent.
	Rejected    Rejected          `json:"rejected"`   // Events refused by rejectedLogEventsInfo.
	EmptyLines  uint64            `json:"empty_lines"`
	LossMarkers Markers           `json:"loss_markers"`
	Unnumbered  uint64            `json:"unnumbered"`
	OtherSeries uint64            `json:"other_series"` // Events of series beyond the first 64.
	MaxInFlight int64             `json:"max_in_flight"`
	FirstTime   int64             `json:"first_time,omitempty"` // Smallest timestamp, in milliseconds since 1970.
	LastTime    int64             `json:"last_time,omitempty"`  // Largest timestamp.
	Formats     map[string]uint64 `json:"formats,omitempty"`    // Requests by x-amzn-logs-format header.
	Series      []SeriesReport    `json:"series"`               // By name.
}

// SeriesReport is the account of one series of a stream: the events whose messages have the same text before their
// first run of decimal digits (at most 32 bytes of it), numbered by that run.
type SeriesReport struct {
	Name  string `json:"name"`
	Count uint64 `json:"count"`
	First uint64 `json:"first"` // Smallest number.
	Last  uint64 `json:"last"`  // Largest number.
	// Missing counts the numbers between First and Last that did not come; Gaps are the first 20 ranges of them.
	Missing uint64      `json:"missing"`
	Gaps    [][2]uint64 `json:"gaps,omitempty"`
	// Duplicates counts the events whose number had come before.
	Duplicates uint64 `json:"duplicates"`
	// OutOfOrder counts the places where, in the order of GetLogEvents (timestamp, then arrival), a number is
	// smaller than the one before it. Duplicates are left out of that.
	OutOfOrder uint64 `json:"out_of_order"`
	// Untracked counts the events that were too many to remember; if it is not 0, Missing and OutOfOrder are wrong.
	Untracked uint64 `json:"untracked,omitempty"`
}

// Stream returns the account of a stream, and whether there is one.
func (r *Report) Stream(group, stream string) (StreamReport, bool) {
	for _, st := range r.Streams {
		if st.Group == group && st.Stream == stream {
			return st, true
		}
	}
	return StreamReport{}, false
}

// SeriesNamed returns the account of a series, and whether there is one.
func (r *StreamReport) SeriesNamed(name string) (SeriesReport, bool) {
	for _, s := range r.Series {
		if s.Name == name {
			return s, true
		}
	}
	return SeriesReport{}, false
}

// Report returns what has arrived so far.
func (s *Server) Report() Report {
	start := s.host.Start()
	r := Report{Streams: []StreamReport{}, Faults: s.faults.counts()}
	s.counts.report(&r)
	r.KeptBytes, r.Forgotten = s.keep.usage()
	for _, st := range s.registry.all() {
		sr := st.report()
		r.Streams = append(r.Streams, sr)
		r.Totals.add(&sr)
	}
	r.Started, r.Elapsed = start, s.now().Sub(start).Round(time.Millisecond).String()
	return r
}

func (t *Totals) add(sr *StreamReport) {
	t.Events += sr.Events
	t.Bytes += sr.Bytes
	t.Rejected.TooOld += sr.Rejected.TooOld
	t.Rejected.TooNew += sr.Rejected.TooNew
	t.Rejected.Expired += sr.Rejected.Expired
	t.LossMarkers.Count += sr.LossMarkers.Count
	t.LossMarkers.Lost += sr.LossMarkers.Lost
	t.LossMarkers.Unreadable += sr.LossMarkers.Unreadable
	for _, s := range sr.Series {
		t.Missing += s.Missing
		t.Duplicates += s.Duplicates
		t.OutOfOrder += s.OutOfOrder
	}
}

// report copies the account under the stream's lock and merges the order outside it.
func (st *stream) report() StreamReport {
	st.mu.Lock()
	r := StreamReport{
		Group: st.group, Stream: st.name, Exists: st.exists, Created: st.incarnation, Deleted: st.deleted,
		Requests: st.requests, Refused: st.refused, Events: st.events, Bytes: st.bytes, WireBytes: st.wireBytes,
		Rejected: st.rejected, EmptyLines: st.emptyLines, Unnumbered: st.unnumbered, OtherSeries: st.series.other,
		LossMarkers: Markers{st.markers, st.markersLost, st.unreadable}, MaxInFlight: st.maxInFlight,
		FirstTime: st.firstTime, LastTime: st.lastTime, Formats: maps.Clone(st.formats), Series: []SeriesReport{},
	}
	lanes := make(map[string][]lane, len(st.series.all))
	for _, s := range st.series.all {
		lanes[s.name] = s.order.snapshot(st.room)
		sr := SeriesReport{Name: s.name, Count: s.count, First: s.first, Last: s.last, Duplicates: s.duplicates,
			Untracked: s.untracked + s.order.lost, Missing: s.last - s.first + 1 - s.distinct}
		if sr.Missing > 0 {
			sr.Gaps = s.numbers.gaps(maxGaps)
		}
		r.Series = append(r.Series, sr)
	}
	st.mu.Unlock()
	for i := range r.Series {
		s := &r.Series[i]
		s.OutOfOrder = outOfOrder(lanes[s.Name])
		s.Name = strings.ToValidUTF8(s.Name, "\uFFFD") // A name may have been cut amid a rune.
	}
	slices.SortFunc(r.Series, func(a, b SeriesReport) int { return cmp.Compare(a.Name, b.Name) })
	return r
}

// all returns every stream, by group and name.
func (r *registry) all() []*stream {
	r.mu.RLock()
	defer r.mu.RUnlock()
	streams := make([]*stream, 0, r.streams)
	for _, g := range r.groups {
		streams = slices.AppendSeq(streams, maps.Values(g.streams))
	}
	slices.SortFunc(streams, func(a, b *stream) int {
		return cmp.Or(cmp.Compare(a.group, b.group), cmp.Compare(a.name, b.name))
	})
	return streams
}

func (f *faults) counts() map[string]uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	counts := make(map[string]uint64, len(f.applied))
	maps.Copy(counts, f.applied)
	return counts
}

func (c *counters) report(r *Report) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r.MaxInFlight, r.Disconnected = c.maxInFlight, c.disconnected
	r.Requests = make(map[string]OperationReport, len(c.byOp))
	for op, counts := range c.byOp {
		r.Requests[op] = OperationReport{Requests: counts.requests, OK: counts.ok, Errors: maps.Clone(counts.errors)}
	}
}
