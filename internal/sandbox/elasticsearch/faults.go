package elasticsearch

import (
	"bytes"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/docker/go-units"
)

// Fault is something that goes wrong, and when. ParseFault makes one.
type Fault struct {
	Text    string // As ParseFault read it.
	Kind    string // Without a status: "item-429" is "item".
	Status  int    // Of "429", "item-429", "part-429" and their like.
	Type    string // Replaces the error's type.
	On      string // Which requests: "bulk", "other" or "all".
	At, For time.Duration
	Nth     int // The first request that is hit, counted from 1.
	Every   int // Of those from Nth on, each so manieth is hit.
	Times   int // How many are hit; 0 is no end.
	Over    int // Hits only bodies of more bytes than that.
	OK      int // How many items of each request are spared, from its first on.
	Share   float64
	Match   []byte // Hits only items whose document contains this.
	Index   string // Hits only items for this index.
	Stored  bool   // What is refused was stored before.
	Part    int    // How many items "part-400" and its like carry out at a time.
	Retry   int    // Retry-After, in seconds.
	Delay   time.Duration

	seen, hits int
	ended      chan struct{} // Closed when the fault is replaced.
}

// FaultKinds is the list of what may go wrong, for a usage text.
const FaultKinds = `Answers to whole requests: 400 401 403 404 413 429 500 502 503 504 (any from 400 to
599), read-only (403 cluster_block_exception).
Answers to items: item-400 item-403 item-404 item-409 item-429 item-500 item-503 (any),
mapping, closed, write-block, flood-stage, field-limit, no-type, text-error.
A node that begins with the first items while others are still to come: part-400 and
part-413 refuse the request when it comes to an item that is hit, with the parts before
stored; part-429, and part-400 with type=action_request_validation_exception or
type=task_cancelled_exception, the item's part and all behind, as items unless that is
the first part.
Spoilt answers, after all was stored: items-missing items-extra no-items swapped wrong-ids
truncated not-json empty slow.
Connections: reset (in mid-body), reset-after (stored, not answered), away (before the
body), hang (neither stored nor answered), silent (stored, not answered), slow-read.
Others: no-product (answers without X-Elastic-Product).`

var itemKinds = []string{"item", "mapping", "closed", "write-block", "flood-stage", "field-limit", "no-type", "text-error"}

var otherKinds = []string{"status", "part", "read-only", "items-missing", "items-extra", "no-items", "swapped", "wrong-ids", "truncated",
	"not-json", "empty", "slow", "reset", "reset-after", "away", "hang", "silent", "slow-read", "no-product"}

// ParseFault reads KIND[,NAME=VALUE…], such as "item-429,ok=5", "503,nth=2,times=1" or "mapping,match=poison".
//
// KIND is one of FaultKinds. When it is on: at, for (durations from the start), nth, every, times (numbers of
// requests), over (a size of bodies such as 1m), on (bulk, which is the default; other; all). Which items: ok (so many
// first ones are spared), part (so many are carried out at a time by part-400 and its like, 1 by default), share (0 to 1, spread evenly), match (a text of the document), index. How: type (of the
// error), stored (yes: what is refused was stored), retry-after (seconds), delay (of each piece, for slow and
// slow-read).
func ParseFault(text string) (*Fault, error) {
	kind, rest, _ := strings.Cut(text, ",")
	f := &Fault{Text: text, Kind: kind, On: "bulk", Part: 1, Nth: 1, Every: 1, Share: 1, Delay: 10 * time.Millisecond, ended: make(chan struct{})}
	if of, number, found := strings.Cut(kind, "-"); found && (of == "item" || of == "part") {
		if status, err := strconv.Atoi(number); err == nil {
			f.Kind, f.Status = of, status
		}
	} else if status, err := strconv.Atoi(kind); err == nil {
		f.Kind, f.Status = "status", status
	}
	statusful := f.Kind == "item" || f.Kind == "part" || f.Kind == "status"
	if !slices.Contains(itemKinds, f.Kind) && !slices.Contains(otherKinds, f.Kind) || statusful && (f.Status < 400 || f.Status > 599) {
		return nil, fmt.Errorf("fault %q: %q is none; expected one of:\n%s", text, kind, FaultKinds)
	}
	for rest != "" {
		var one string
		one, rest, _ = strings.Cut(rest, ",")
		name, value, _ := strings.Cut(one, "=")
		if err := f.set(name, value); err != nil {
			return nil, fmt.Errorf("fault %q: %w", text, err)
		}
	}
	return f, nil
}

func (f *Fault) set(name, value string) error {
	var err error
	switch name {
	case "at":
		f.At, err = duration(value)
	case "for":
		f.For, err = duration(value)
	case "delay":
		f.Delay, err = duration(value)
	case "nth":
		f.Nth, err = count(value)
	case "every":
		f.Every, err = count(value)
	case "times":
		f.Times, err = count(value)
	case "part":
		f.Part, err = count(value)
	case "retry-after":
		f.Retry, err = count(value)
	case "ok":
		f.OK, err = count(value)
	case "over":
		var n int64
		n, err = units.RAMInBytes(value)
		f.Over = int(n)
	case "share":
		if f.Share, err = strconv.ParseFloat(value, 64); err == nil && !(f.Share > 0 && f.Share <= 1) {
			err = fmt.Errorf("expected a number above 0 and up to 1")
		}
	case "match":
		f.Match = []byte(value)
	case "index":
		f.Index = value
	case "type":
		f.Type = value
	case "on":
		if f.On = value; !slices.Contains([]string{"bulk", "other", "all"}, value) {
			err = fmt.Errorf("expected bulk, other or all")
		}
	case "stored":
		if f.Stored = value == "yes" || value == "true"; !f.Stored && value != "no" && value != "false" {
			err = fmt.Errorf("expected yes or no")
		}
	default:
		return fmt.Errorf("%q: expected at, for, delay, nth, every, times, retry-after, ok, part, over, share, match, index, type, on or stored", name)
	}
	if err != nil {
		return fmt.Errorf("%s=%s: %w", name, value, err)
	}
	return nil
}

func duration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err == nil && d < 0 {
		err = fmt.Errorf("expected a duration such as 20s")
	}
	return d, err
}

func count(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err == nil && n < 1 {
		err = fmt.Errorf("expected a number from 1 on")
	}
	return n, err
}

// perItem reports whether the fault is about single items of a bulk request.
func (f *Fault) perItem() bool { return slices.Contains(itemKinds, f.Kind) }

// needsItems reports whether the fault asks for a server that takes requests apart.
func (f *Fault) needsItems() bool {
	return f.perItem() || slices.Contains([]string{"part", "items-missing", "items-extra", "no-items", "swapped", "wrong-ids"}, f.Kind)
}

// hitsItem reports whether the item in that place of its request is one that the fault is about.
func (f *Fault) hitsItem(i int, it *Item) bool {
	if i < f.OK || f.Index != "" && it.Index != f.Index || f.Match != nil && !bytes.Contains(it.Document, f.Match) {
		return false
	}
	n := float64(i - f.OK)
	return math.Floor((n+1)*f.Share) > math.Floor(n*f.Share)
}

// faults is what is on. It is safe for concurrent use.
type faults struct {
	mu      sync.Mutex
	list    []*Fault
	base    time.Time
	applied map[string]uint64
}

// set replaces the faults.
func (f *faults) set(list []*Fault, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, old := range f.list {
		close(old.ended)
	}
	f.list, f.base = list, now
}

// restart makes the times of faults count from now on.
func (f *faults) restart(now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.base = now
}

// hit returns the first fault that is on for a request with a body of size bytes; a negative size is unknown.
func (f *faults) hit(isBulk bool, size int, now time.Time) *Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, one := range f.list {
		if one.Kind == "no-product" || one.On == "bulk" && !isBulk || one.On == "other" && isBulk || one.Over > 0 && size <= one.Over {
			continue
		}
		if since := now.Sub(f.base); since < one.At || one.For > 0 && since >= one.At+one.For {
			continue
		}
		one.seen++
		if one.seen < one.Nth || (one.seen-one.Nth)%one.Every != 0 || one.Times > 0 && one.hits >= one.Times {
			continue
		}
		one.hits++
		if f.applied == nil {
			f.applied = make(map[string]uint64)
		}
		f.applied[one.name()]++
		return one
	}
	return nil
}

// end is when a fault that hangs lets go.
func (f *faults) end(one *Fault) time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	if one.For == 0 {
		return time.Time{}
	}
	return f.base.Add(one.At + one.For)
}

func (f *faults) wants(kind string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.ContainsFunc(f.list, func(one *Fault) bool { return one.Kind == kind })
}

// texts returns the faults as they were written.
func (f *faults) texts() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	texts := make([]string, 0, len(f.list))
	for _, one := range f.list {
		texts = append(texts, one.Text)
	}
	return texts
}

func (f *faults) counts() map[string]uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	counts := make(map[string]uint64, len(f.applied))
	for kind, n := range f.applied {
		counts[kind] = n
	}
	return counts
}

// name is the fault's kind as it was written.
func (f *Fault) name() string {
	switch f.Kind {
	case "status":
		return strconv.Itoa(f.Status)
	case "item", "part":
		return f.Kind + "-" + strconv.Itoa(f.Status)
	}
	return f.Kind
}

// waitOut waits until the fault ends, the client has gone or the server closes.
func (s *Server) waitOut(f *Fault, r *http.Request) {
	var over <-chan time.Time
	if end := s.faults.end(f); !end.IsZero() {
		timer := time.NewTimer(end.Sub(s.now()))
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-over:
	case <-f.ended:
	case <-r.Context().Done():
	case <-s.host.Closing():
	}
}
