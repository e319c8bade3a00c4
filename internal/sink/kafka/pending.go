package kafka

import (
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink"
)

// maxPending is how many requests may be waited for by attempts to come.
const maxPending = 64

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
