package forward

import (
	"slices"
	"sync"

	protocol "github.com/spillway/spillway/forward"
)

// lineage is what the sources have in common that took each other's place, one after
// the other: their numbers go on over a change of the file. The one before the last may
// still be answering.
type lineage struct {
	counts counts

	mu      sync.Mutex
	sources []*Source // that have not ended
	server  protocol.ServerCounters
	parts   PartCounts
}

// join makes a source one of the lineage.
func (l *lineage) join(s *Source) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sources = append(l.sources, s)
}

// leave keeps the numbers of a source that has ended.
func (l *lineage) leave(s *Source) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.Index(l.sources, s); i >= 0 {
		l.sources = slices.Delete(l.sources, i, i+1)
		addServer(&l.server, s.server.Stats())
		l.server.Memory, l.server.Connections = 0, 0
		l.parts.add(s.partCounts())
		l.parts.Waiting = 0
	}
}

// heir is the parts of the newest source but s, or nil where there is none.
func (l *lineage) heir(s *Source) *keptParts {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, other := range slices.Backward(l.sources) {
		if other == s {
			return nil // It is the newest.
		}
		if other.kept != nil {
			return other.kept
		}
	}
	return nil
}

// state adds up the numbers of all.
func (l *lineage) state() (server protocol.ServerCounters, parts PartCounts) {
	l.mu.Lock()
	defer l.mu.Unlock()
	addServer(&server, l.server)
	parts = l.parts
	for _, s := range l.sources {
		addServer(&server, s.server.Stats())
		parts.add(s.partCounts())
	}
	return server, parts
}

// partCounts are what the source has seen of parts that ask for an ack.
func (s *Source) partCounts() (p PartCounts) {
	if s.kept != nil {
		p = s.kept.state()
	}
	return p
}

// add adds the numbers of one source. What is wrong is its own.
func (p *PartCounts) add(more PartCounts) {
	p.Parts += more.Parts
	p.Lines += more.Lines
	p.Marked += more.Marked
	p.Passed += more.Passed
	p.Waiting += more.Waiting
}

// addServer adds the numbers of one server to those of others.
func addServer(to *protocol.ServerCounters, more protocol.ServerCounters) {
	to.Connections += more.Connections
	to.Accepted += more.Accepted
	to.Heartbeats += more.Heartbeats
	to.Messages += more.Messages
	to.Bytes += more.Bytes
	to.Entries += more.Entries
	to.Invalid += more.Invalid
	to.Taken += more.Taken
	to.NotTaken += more.NotTaken
	to.Due += more.Due
	to.Acks += more.Acks
	to.Discarded += more.Discarded
	to.Memory += more.Memory
	to.MemoryPeak = max(to.MemoryPeak, more.MemoryPeak)
	if to.Reasons == nil {
		to.Reasons = make(map[string]int64)
	}
	for reason, n := range more.Reasons {
		to.Reasons[reason] += n
	}
}
