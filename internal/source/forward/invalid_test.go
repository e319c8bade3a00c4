package forward

import (
	"testing"

	protocol "github.com/spillway/spillway/forward"
)

// TestInvalidNeighbours: a chunk of which some entries are none is not taken because
// the others are settled: where the dead letters are lost it is taken again.
func TestInvalidNeighbours(t *testing.T) {
	r := newTold()
	s := source(t, Config{Router: r})
	s.Start()
	good := append(protocol.AppendEntry(nil, 1), 0x80)
	c := &protocol.OutChunk{Tag: "t", Entries: [][]byte{append(good, "\x92\x01\xa2no"...)}, Records: 2, ID: "one"}
	for _, kept := range []bool{false, true} {
		acked := make(chan bool, 1)
		go func() { acked <- deliver("tcp", s.Addrs()[0].String(), c) }()
		invalid, valid := <-r.chunks, <-r.chunks
		s.Settled([][16]byte{valid.Origin.Key})
		valid.Done(true)
		invalid.Done(kept)
		if got := <-acked; got != kept {
			t.Errorf("acknowledged: %t, want %t", got, kept)
		}
	}
	if n := s.Counts().Resends; n != 0 {
		t.Errorf("%d chunks pass for taken", n)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
