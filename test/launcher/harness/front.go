package harness

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Call is one request to the endpoint: an API action, or a path such as /credentials.
type Call struct {
	Action  string // PutLogEvents, CreateLogStream …; empty for paths
	Path    string
	Header  http.Header
	Arrived time.Time
}

// Front stands before the endpoint and notes the calls; their bodies are left to the endpoint. It may be used by
// several goroutines at once.
type Front struct {
	next http.Handler

	mu    sync.Mutex
	calls []Call
}

// Calls gives the calls so far.
func (f *Front) Calls() []Call {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

// Count counts the calls of one action.
func (f *Front) Count(action string) (n int) {
	for _, c := range f.Calls() {
		if c.Action == action {
			n++
		}
	}
	return n
}

// ServeHTTP implements http.Handler.
func (f *Front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, action, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	f.mu.Lock()
	f.calls = append(f.calls, Call{Action: action, Path: r.URL.Path, Header: r.Header.Clone(), Arrived: time.Now()})
	f.mu.Unlock()
	f.next.ServeHTTP(w, r)
}
