package run

import (
	"testing"

	"github.com/spillway/spillway/internal/ledger"
)

// TestAddUp: bytes that are no UTF-8 are in the sum though they are of no stream, and once.
func TestAddUp(t *testing.T) {
	one := ledger.Balance{Streams: []ledger.StreamBalance{{Stream: "a"}}}
	one.Streams[0].InvalidUTF8, one.InvalidUTF8 = 2, 5
	two := ledger.Balance{}
	two.InvalidUTF8 = 4
	if got := addUp(one, two).InvalidUTF8; got != 9 {
		t.Errorf("the sum is %d, want 9", got)
	}
}
