package cloudwatch

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Fault kinds of Options.Fault, SetFault and POST /sandbox/fault.
const (
	// FaultUnavailable answers HTTP 503 ServiceUnavailableException.
	FaultUnavailable = "503"
	// FaultThrottled answers HTTP 400 ThrottlingException, which is how the service throttles.
	FaultThrottled = "429"
	// FaultHang takes requests, and neither answers nor stores them until the fault ends; then it closes their
	// connections.
	FaultHang = "hang"
	// FaultReset ends connections with a TCP reset: in turn before the body was read, in its middle, and after it.
	FaultReset = "reset"
	// FaultDenied answers HTTP 400 AccessDeniedException.
	FaultDenied = "denied"
)

// Operations that the server serves, by the name that X-Amz-Target carries behind "Logs_20140328.".
func operations() []string {
	return []string{"CreateLogGroup", "CreateLogStream", "DeleteLogGroup", "DeleteLogStream", "DescribeLogGroups",
		"DescribeLogStreams", "FilterLogEvents", "GetLogEvents", "PutLogEvents"}
}

func checkFault(kind string, operationNames []string) error {
	kinds := []string{FaultUnavailable, FaultThrottled, FaultHang, FaultReset, FaultDenied}
	if !slices.Contains(kinds, kind) {
		return fmt.Errorf("fault %q: expected one of %s", kind, strings.Join(kinds, ", "))
	}
	for _, op := range operationNames {
		if !slices.Contains(operations(), op) {
			return fmt.Errorf("fault %s: operation %q: expected one of %s", kind, op, strings.Join(operations(), ", "))
		}
	}
	return nil
}

// fault is a fault that is on.
type fault struct {
	kind       string
	operations []string      // All, if empty.
	until      time.Time     // Zero for no end.
	ended      chan struct{} // Closed when the fault is switched off or replaced.
}

func (f *fault) active(op string, now time.Time) bool {
	return f != nil && (f.until.IsZero() || now.Before(f.until)) &&
		(len(f.operations) == 0 || slices.Contains(f.operations, op))
}

// faults is the switch. A fault set by hand ends the scheduled one for good. It is safe for concurrent use.
type faults struct {
	mu        sync.Mutex
	current   *fault
	planned   *fault // Not yet begun.
	plannedAt time.Time
	resets    uint64
	applied   map[string]uint64
}

// plan schedules a fault to begin at a time and last for length, or for ever if length is 0.
func (f *faults) plan(kind string, at time.Time, length time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.planned = &fault{kind: kind, ended: make(chan struct{})}
	if length > 0 {
		f.planned.until = at.Add(length)
	}
	f.plannedAt = at
}

// set switches a fault on, or the present one off if kind is empty. A length of 0 means until further notice.
func (f *faults) set(kind string, operations []string, length time.Duration, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, old := range []*fault{f.current, f.planned} {
		if old != nil {
			close(old.ended)
		}
	}
	f.current, f.planned = nil, nil
	if kind == "" {
		return
	}
	f.current = &fault{kind: kind, operations: slices.Clone(operations), ended: make(chan struct{})}
	if length > 0 {
		f.current.until = now.Add(length)
	}
}

// active returns the fault that hits a request for op, or nil.
func (f *faults) active(op string, now time.Time) *fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.beginPlannedLocked(now)
	if !f.current.active(op, now) {
		return nil
	}
	if f.applied == nil {
		f.applied = make(map[string]uint64)
	}
	f.applied[f.current.kind]++
	return f.current
}

func (f *faults) beginPlannedLocked(now time.Time) {
	if f.planned != nil && !now.Before(f.plannedAt) {
		f.current, f.planned = f.planned, nil
	}
}

// nextReset counts resets, so that they can take their turns.
func (f *faults) nextReset() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.resets++
	return f.resets - 1
}

// answer is the refusal of a fault that answers.
func (f *fault) answer() *apiError {
	switch f.kind {
	case FaultUnavailable:
		return unavailable()
	case FaultDenied:
		return denied()
	}
	return throttled()
}

// waitOut waits until the fault ends, the client has gone or the server closes.
func (f *fault) waitOut(r *http.Request, closing <-chan struct{}, now time.Time) {
	var end <-chan time.Time
	if !f.until.IsZero() {
		timer := time.NewTimer(f.until.Sub(now))
		defer timer.Stop()
		end = timer.C
	}
	select {
	case <-end:
	case <-f.ended:
	case <-r.Context().Done():
	case <-closing:
	}
}
