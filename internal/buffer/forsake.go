package buffer

import (
	"slices"

	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
)

// Forsake settles what is in flight in the place of senders that do not come back, as
// given up because of the end: what the disk has stays there, what a source still waits
// for is returned to it, and the rest is dropped under the reason shutdown. All of it may
// have been delivered. The buffer must be abandoned before.
//
// A sender may come back after all, so the memory behind what it sends is never given
// back, and what it then says is not heard. Forsake returns what Settle does.
func (b *Buffer) Forsake() (untold []record.Loss) {
	b.mu.Lock()
	defer b.unlock()
	for _, w := range slices.Clone(b.underWay) {
		w.forsaken = true
		for _, part := range slices.Clone(w.parts) {
			untold = append(untold, b.settle(part, Fate{Dropped: ledger.Shutdown, Repeated: true})...)
		}
	}
	return untold
}
