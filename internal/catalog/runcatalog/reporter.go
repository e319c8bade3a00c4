package runcatalog

import (
	"log/slog"
	"sync"
	"time"

	protocol "github.com/spillway/spillway/forward"
)

// reporter tells the log what goes wrong with the connections of a source: of
// each kind at most one line in ten seconds, with how many there were.
type reporter struct {
	log    *slog.Logger
	source string

	mu   sync.Mutex
	told map[string]*kind
	last protocol.Event // the last one, and when it was
	at   time.Time
}

// kind is one reason. There are few, and the server names them.
type kind struct {
	at    time.Time
	since int
}

const tellEvery = 10 * time.Second

func newReporter(log *slog.Logger, source string) *reporter {
	return &reporter{log: log, source: source, told: make(map[string]*kind)}
}

func (r *reporter) report(e protocol.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last, r.at = e, time.Now().UTC()
	k := r.told[e.Reason]
	if k == nil {
		k = &kind{}
		r.told[e.Reason] = k
	}
	k.since++
	if time.Since(k.at) < tellEvery {
		return
	}
	peer := ""
	if e.Peer != nil {
		peer = e.Peer.String()
	}
	told := []any{"source", r.source, "reason", e.Reason, "times", k.since, "peer", peer}
	if e.Tag != "" {
		told = append(told, "tag", e.Tag)
	}
	if e.Err != nil {
		told = append(told, "error", e.Err)
	}
	r.log.Warn("trouble with a connection", told...)
	k.at, k.since = time.Now(), 0
}

// lastError is what went wrong last, in words, and when; empty where nothing has.
func (r *reporter) lastError() (text string, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.at.IsZero() {
		return "", at
	}
	text = r.last.Reason
	if r.last.Peer != nil && r.last.Peer.String() != "" {
		text += ", " + r.last.Peer.String()
	}
	if r.last.Err != nil {
		text += ": " + r.last.Err.Error()
	}
	return text, r.at
}
