package kafka

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/spillway/spillway/internal/source/kafka/wire"
)

// brokerLog is a partition's batches, of which a broker sends parts.
type brokerLog struct {
	batches [][]byte
}

// newBrokerLog makes batches of the sizes, each of one record.
func newBrokerLog(sizes []int) *brokerLog {
	l := &brokerLog{}
	for i, size := range sizes {
		b := make([]byte, size)
		binary.BigEndian.PutUint64(b, uint64(i))
		binary.BigEndian.PutUint32(b[8:], uint32(size-wire.HeadLook))
		b[16] = wire.Magic
		l.batches = append(l.batches, b)
	}
	return l
}

// answer is what a broker sends from an offset on: as many bytes as there may be, but
// nothing where that is not a whole batch, unless it is the first thing in an answer.
func (l *brokerLog) answer(from int64, most int, first bool) (out []byte) {
	for _, b := range l.batches[from:] {
		if len(out) == 0 && len(b) > most {
			if first {
				return b
			}
			return nil
		}
		out = append(out, b[:min(len(b), most-len(out))]...)
	}
	return out
}

// TestAsksForWholeBatches: little of what a broker sends is cut off and thrown away,
// whatever the sizes of batches, and each partition gets to its end.
func TestAsksForWholeBatches(t *testing.T) {
	for name, c := range map[string]struct {
		partitions int
		size       func(r *rand.Rand) int
		waste      float64 // the most, of what is sent
		each       int64   // bytes that come in an answer, at least
	}{
		"large and uneven":     {6, func(r *rand.Rand) int { return 250_000 * (1 + r.IntN(4)) }, 0.1, 1 << 20},
		"large":                {6, func(*rand.Rand) int { return 1_000_000 }, 0.02, 900_000},
		"larger than is asked": {6, func(r *rand.Rand) int { return 1_200_000 + r.IntN(1_000_000) }, 0.05, 1 << 20},
		"uneven":               {6, func(r *rand.Rand) int { return 40_000 + r.IntN(100_000) }, 0.1, 1 << 20},
		"even":                 {6, func(*rand.Rand) int { return 100_000 }, 0.02, 1 << 20},
		"small":                {6, func(r *rand.Rand) int { return 500 + r.IntN(16_000) }, 0.02, 1 << 20},
		"of one, uneven":       {1, func(r *rand.Rand) int { return 40_000 + r.IntN(400_000) }, 0.25, 600 << 10},
		"of one, even":         {1, func(*rand.Rand) int { return 300_000 }, 0.02, 800 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2))
			const total = 20 << 20
			f := &feed{Source: &Source{room: 2 << 20}}
			l := &line{Source: f.Source}
			parts := make([]*partition, c.partitions)
			logs := make(map[*partition]*brokerLog)
			for i := range parts {
				var sizes []int
				for left := total / c.partitions; left > 0; left -= sizes[len(sizes)-1] {
					sizes = append(sizes, c.size(r))
				}
				parts[i] = newPartition(place{"topic", int32(i)}, "topic")
				logs[parts[i]] = newBrokerLog(sizes)
			}
			requests, sent, whole := int64(0), int64(0), int64(0)
			for {
				var wants []want
				r.Shuffle(len(parts), func(i, k int) { parts[i], parts[k] = parts[k], parts[i] })
				for _, p := range parts {
					if w, ok, _ := p.wanted(time.Now(), 1<<20); ok && int(p.fetchAt) < len(logs[p].batches) {
						w.line = l
						wants = append(wants, w)
					}
				}
				if len(wants) == 0 {
					break
				}
				f.divide(wants)
				requests++
				left, first := f.fetch(), true
				for i := range wants {
					w := &wants[i]
					got := kmsg.NewFetchResponseTopicPartition()
					got.RecordBatches = logs[w.partition].answer(w.at, int(min(w.most, left)), first)
					got.HighWatermark = int64(len(logs[w.partition].batches))
					first = first && len(got.RecordBatches) == 0
					left = max(left-int64(len(got.RecordBatches)), 0)
					pc := newPiece(w, &got, nil)
					pc.expect()
					sent += int64(len(got.RecordBatches))
					for _, b := range logs[w.partition].batches[pc.from:pc.next] {
						whole += int64(len(b))
					}
				}
				if requests > 10_000 {
					t.Fatal("there is no end")
				}
			}
			if wasted := float64(sent-whole) / float64(sent); wasted > c.waste || whole/requests < c.each {
				t.Errorf("of %d bytes in %d answers, %.1f %% were cut off, expected at most %.1f, and at least %d in each", sent, requests, 100*wasted, 100*c.waste, c.each)
			} else {
				t.Logf("%d bytes in %d answers, %.1f %% cut off", sent, requests, 100*wasted)
			}
		})
	}
}
