package kafka

import (
	"slices"
	"sync"

	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink"
)

// maxPending is how many requests may be waited for by attempts to come: more than are
// ever in flight. Beyond it are those that were divided, and do not come again.
const maxPending = 64

// pending are the requests that the library has and no attempt waits for, those of the
// last attempts at the end. It may be used by several goroutines.
type pending struct {
	mu  sync.Mutex
	all []pendingFlight
}

type pendingFlight struct {
	requestKey
	*flight
}

// take removes a request and returns it, or nil.
func (p *pending) take(key requestKey) *flight {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.IndexFunc(p.all, func(one pendingFlight) bool { return one.requestKey == key })
	if i < 0 {
		return nil
	}
	f := p.all[i].flight
	p.all = slices.Delete(p.all, i, i+1)
	return f
}

// put adds a request, and forgets the one of which nobody has asked for longest where
// there are too many.
func (p *pending) put(key requestKey, f *flight) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.all) == maxPending {
		p.all = slices.Delete(p.all, 0, 1)
	}
	p.all = append(p.all, pendingFlight{key, f})
}

// requestKey tells a request from others: by its first event, and how many it has.
type requestKey struct {
	incarnation [12]byte
	index       uint32
	seq         uint64
	events      int
}

func keyOf(req sink.Request) requestKey {
	k := requestKey{events: req.Events()}
	for _, b := range req.Batches() {
		k.index, k.seq, k.incarnation = b.Stream, b.FirstSeq, req.Stream(b.Stream).Incarnation
		if b.Kind == record.KindLoss {
			k.seq |= 1 << 63 // A marker has the number of what it stands for.
		}
		break
	}
	return k
}
