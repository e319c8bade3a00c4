package buffer

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"

	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
)

// TestCompressedStaysInTheArena: what is compressed must find its room in what
// it leaves, whatever its size and however little it shrinks. This looks inside,
// since what is not in the arena is not counted either.
func TestCompressedStaysInTheArena(t *testing.T) {
	for _, random := range []int{30, 60, 70, 74} { // percent
		for _, size := range []int{200, 9_000, 24_400, 40_000} {
			synctest.Test(t, func(t *testing.T) {
				b := New(Config{Limit: 1 << 20, Mode: NonBlocking}, ledger.New())
				s := b.Open("stdout")
				r := rand.New(rand.NewPCG(uint64(random), uint64(size)))
				body := make([]byte, size)
				for b.Balance().Dropped == 0 {
					for i := range body[:size*random/100] {
						body[i] = byte(r.Uint32())
					}
					b.Body(s, 1, body, record.Part{})
				}
				packed := 0
				for _, blk := range b.waiting {
					for _, p := range blk.packed {
						packed += len(p.mem)
						if p.shelf == nil {
							t.Fatalf("%d%% random, bodies of %d: %d bytes of a compressed block are outside the arena", random, size, len(p.mem))
						}
					}
				}
				if packed == 0 && random < 50 {
					t.Errorf("%d%% random, bodies of %d: nothing was compressed", random, size)
				}
			})
		}
	}
}
