package forward_test

import (
	"bytes"
	"errors"
	"testing"

	"pgregory.net/rapid"

	"github.com/spillway/spillway/forward"
)

// TestMessagesArriveInPieces cuts a stream of messages anywhere.
func TestMessagesArriveInPieces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var stream []byte
		var ends []int
		for range rapid.IntRange(1, 4).Draw(t, "messages") {
			stream = value(t, stream, 4)
			ends = append(ends, len(stream))
		}
		var s forward.Scanner
		begin, put := 0, 0 // of the present message; what of it was put away
		for have := 0; begin < len(stream); {
			size, need, err := s.Scan(stream[begin+put : have])
			if err != nil {
				t.Fatal(err)
			}
			want := int64(ends[0] - begin)
			if need > want {
				t.Fatalf("it says that %d bytes are needed, of %d", need, want)
			}
			if whole := have-begin >= int(want); whole != (size > 0) || whole && size != want {
				t.Fatalf("with %d of %d bytes it says %d", have-begin, want, size)
			}
			if size > 0 {
				begin, put, ends = ends[0], 0, ends[1:]
				s.Reset()
				continue
			}
			if int(need) <= have-begin {
				t.Fatalf("it needs %d bytes and has %d", need, have-begin)
			}
			if kept := int(s.Kept()); rapid.Bool().Draw(t, "discard") && kept > put && begin+kept <= have {
				s.Discard(kept - put)
				put = kept
			}
			have = rapid.IntRange(have+1, len(stream)).Draw(t, "have")
		}
	})
}

// TestNeedIsKnownEarly reads no further than the length of the entries.
func TestNeedIsKnownEarly(t *testing.T) {
	packed, err := forward.AppendMessage(nil, "tag", forward.ModePackedForward, make([]byte, 1<<20), 0, forward.Option{Size: 1})
	if err != nil {
		t.Fatal(err)
	}
	var s forward.Scanner
	head := len(forward.AppendHead(nil, "tag", 1<<20))
	size, need, err := s.Scan(packed[:head])
	if size != 0 || err != nil || need < 1<<20 || need > int64(len(packed)) {
		t.Errorf("after %d bytes of %d: size %d, need %d, %v", head, len(packed), size, need, err)
	}
	for name, b := range map[string][]byte{
		"a string of 4 GB":         {0x92, 0xa1, 't', 0xdb, 0xff, 0xff, 0xff, 0xff},
		"4 billion entries":        {0x92, 0xa1, 't', 0xdd, 0xff, 0xff, 0xff, 0xff},
		"a map of 4 billion pairs": {0x93, 0xa1, 't', 0, 0xdf, 0xff, 0xff, 0xff, 0xff},
		"4 billion elements":       {0xdd, 0xff, 0xff, 0xff, 0xff},
	} {
		var s forward.Scanner
		var limit *forward.LimitError
		if _, _, err := s.Scan(b); !errors.As(err, &limit) || limit.Bytes < 1<<32-1 {
			t.Errorf("%s: %v", name, err)
		}
	}
	s = forward.Scanner{Limit: 100}
	if size, _, err := s.Scan(append(bytes.Repeat([]byte{0x91}, 99), 0xc0)); size != 100 || err != nil {
		t.Errorf("exactly the limit: %d, %v", size, err)
	}
}

// TestScanIsLinear would take hours if a message were walked again for each
// piece: it is a million entries, byte by byte.
func TestScanIsLinear(t *testing.T) {
	const n = 1 << 20
	b := []byte{0x92, 0xa1, 't', 0xdd, 0, n >> 16, 0, 0}
	b = append(b, bytes.Repeat([]byte{0x92, 1, 0x80}, n)...)
	var s forward.Scanner
	for have := range b {
		if size, _, err := s.Scan(b[:have]); size != 0 || err != nil {
			t.Fatalf("with %d bytes: %d, %v", have, size, err)
		}
	}
	if size, _, err := s.Scan(b); size != int64(len(b)) || err != nil {
		t.Errorf("%d, %v", size, err)
	}
	var m forward.Message
	if err := s.Parse(b, &m); err != nil {
		t.Fatal(err)
	}
	if m.Check(); m.Count != n {
		t.Errorf("%d entries", m.Count)
	}
}

func TestDepthOfAMillionCostsNothing(t *testing.T) {
	b := []byte{0x92, 0xa1, 't', 0x92, 0x92, 1, 0x81, 0xa1, 'k'}
	b = append(append(b, bytes.Repeat([]byte{0x91}, 1_000_000)...), 0xc0, 0x92, 2, 0x80)
	var m forward.Message
	allocs := testing.AllocsPerRun(1, func() {
		if err := forward.Parse(b, &m); err != nil {
			t.Fatal(err)
		}
		m.Check()
	})
	if m.Count != 1 || m.InvalidCount != 1 || allocs > 100 { // of a million levels; the race detector adds some
		t.Errorf("%d valid, %d invalid, %v allocations", m.Count, m.InvalidCount, allocs)
	}
}
