package forward

import (
	"bytes"
	"path/filepath"
	"testing"

	protocol "github.com/spillway/spillway/forward"
)

// TestInvalidNeighbours: a chunk of which some entries are none is not taken because
// the others are settled: where the dead letters are lost they are taken again, and
// nothing else.
func TestInvalidNeighbours(t *testing.T) {
	r := newTold()
	s := source(t, Config{Router: r})
	s.Start()
	good := append(protocol.AppendEntry(nil, 1), 0x80)
	c := &protocol.OutChunk{Tag: "t", Entries: [][]byte{append(good, "\x92\x01\xa2no"...)}, Records: 2, ID: "one"}
	acked := make(chan bool, 1)
	send := func() { go func() { acked <- deliver("tcp", s.Addrs()[0].String(), c) }() }
	send()
	invalid, valid := <-r.chunks, <-r.chunks
	s.Settled([][16]byte{valid.Origin.Key})
	valid.Done(true)
	invalid.Done(false)
	if <-acked {
		t.Error("acknowledged without its dead letter")
	}
	send()
	again := <-r.chunks
	if again.Origin.Key != invalid.Origin.Key {
		t.Errorf("%+v is handed over, not what is no entry", again)
	}
	again.Done(true)
	if !<-acked {
		t.Error("not acknowledged")
	}
	if n := s.Counts().Resends; n != 0 {
		t.Errorf("%d chunks pass for taken", n)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestPiecesAreKnown: what goes several ways, because some of it is no entry or it is too
// large for memory, is recognised piece by piece when it is sent again after a restart:
// what is settled is not handed over again, and what is held is by the same key.
func TestPiecesAreKnown(t *testing.T) {
	one := append(protocol.AppendEntry(nil, 1), 0x80)
	for _, tc := range []struct {
		name    string
		entries []byte
		count   int
		pieces  int
	}{
		{"no entries", append(bytes.Clone(one), "\x92\x01\xa2no"...), 2, 2},
		{"spooled", bytes.Repeat(one, 4<<20/len(one)), 4 << 20 / len(one), 5},
		{"spooled, and no entries", append(bytes.Repeat(one, 2<<20/len(one)), "\x92\x01\xa2no"...), 2 << 20 / len(one), 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "chunks")
			c := &protocol.OutChunk{Tag: "t", Entries: [][]byte{tc.entries}, Records: tc.count, ID: "one"}
			var r *told
			var s *Source
			acked := make(chan bool, 1)
			begin := func() {
				r = newTold()
				s = source(t, Config{Router: r, ChunksFile: file, Server: protocol.ServerConfig{
					Memory: 4 << 20, Limits: protocol.Limits{Message: 1 << 20}, Spool: protocol.NewDirSpool(t.TempDir(), 0),
				}})
				s.Start()
				go func() { acked <- deliver("tcp", s.Addrs()[0].String(), c) }()
			}
			end := func(want bool) {
				t.Helper()
				if got := <-acked; got != want {
					t.Errorf("acknowledged: %t, want %t", got, want)
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}
			begin()
			keys := make(map[[16]byte]bool)
			var settled [16]byte
			records := 0
			for i := range tc.pieces {
				piece := <-r.chunks
				keys[piece.Origin.Key] = true
				records += piece.Count
				if i == 0 {
					settled = piece.Origin.Key
					s.Settled([][16]byte{settled})
				}
				piece.Done(i == 0)
			}
			if len(keys) != tc.pieces || keys[[16]byte{}] {
				t.Fatalf("the keys are %v", keys)
			}
			end(false)
			begin()
			for range tc.pieces - 1 {
				piece := <-r.chunks
				if key := piece.Origin.Key; !keys[key] || key == settled {
					t.Errorf("%x is handed over, which is new or settled", key)
				}
				s.Settled([][16]byte{piece.Origin.Key})
				piece.Done(true)
			}
			end(true)
			begin()
			end(true)
			if len(r.chunks) > 0 {
				t.Error("what is settled is handed over again")
			}
			if n := s.Counts().Records; n != 0 {
				t.Errorf("%d records are received again, of %d", n, records)
			}
		})
	}
}
