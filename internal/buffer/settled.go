package buffer

import (
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
)

// settling finds out when the last record of a chunk is settled, for whoever
// remembers chunks that may be sent again. It is the only place that can: a chunk
// may come from another process, be delivered in several requests, or have been
// vouched for long ago.
type settling struct {
	// parts counts what is settled of chunks that are not as a whole.
	parts map[[16]byte]uint32
	// keys are those that are settled since they were last told.
	keys [][16]byte
}

// maxParts bounds the chunks that are settled in part. Beyond it they are
// forgotten, and may be delivered again if they are sent again.
const maxParts = 16 << 10

// settles counts records of a batch as settled, or as lost: a chunk of which some
// are lost is not remembered.
func (b *Buffer) settles(batch *record.Batch, why ledger.Reason) {
	if b.cfg.Settled == nil || !batch.Origin.Known() || batch.Kind != record.KindRecords {
		return
	}
	s := &b.settling
	key, count := batch.Origin.Key, uint32(batch.Count)
	if why != "" && lossOf(why) {
		delete(s.parts, key)
		return
	}
	if count < batch.Origin.Count {
		if s.parts == nil || len(s.parts) >= maxParts {
			s.parts = make(map[[16]byte]uint32)
		}
		s.parts[key] += count
		if s.parts[key] < batch.Origin.Count {
			return
		}
		delete(s.parts, key)
	}
	s.keys = append(s.keys, key)
}

// tellSettled tells what is settled, before the disk forgets it.
func (b *Buffer) tellSettled() {
	if s := &b.settling; len(s.keys) > 0 {
		b.cfg.Settled(s.keys)
		s.keys = s.keys[:0]
	}
}
