package forward_test

import (
	"errors"
	"testing"

	"github.com/tinylib/msgp/msgp"
	"pgregory.net/rapid"

	"github.com/spillway/spillway/forward"
)

// TestSkipAgreesWithOthers compares with the library's own way, for every value
// and every place where it can be cut off.
func TestSkipAgreesWithOthers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := value(t, nil, 4)
		n, err := forward.Skip(append(b, 0xc1))
		if err != nil || n != len(b) {
			t.Fatalf("skip % x: %d, %v; want %d", b, n, err, len(b))
		}
		rest, err := msgp.Skip(b)
		if err != nil || len(rest) != 0 {
			t.Fatalf("the library skips % x with %d bytes left, %v", b, len(rest), err)
		}
		cut := rapid.IntRange(0, len(b)-1).Draw(t, "cut")
		if n, err := forward.Skip(b[:cut]); !errors.Is(err, forward.ErrIncomplete) {
			t.Fatalf("skip % x: %d, %v; want that it is incomplete", b[:cut], n, err)
		}
	})
}

func TestSkipRefuses(t *testing.T) {
	deep := func(n int, last byte) []byte {
		b := make([]byte, n, n+1)
		for i := range b {
			b[i] = 0x91
		}
		return append(b, last)
	}
	var syntax *forward.SyntaxError
	var limit *forward.LimitError
	for name, c := range map[string]struct {
		b  []byte
		as any
	}{
		"a byte that msgpack does not use": {[]byte{0x92, 1, 0xc1}, &syntax},
		"too deep":                         {deep(forward.MaxDepth+1, 0xc0), &limit},
		"a million deep":                   {deep(1_000_000, 0xc0), &limit},
	} {
		if n, err := forward.Skip(c.b); !errors.As(err, c.as) {
			t.Errorf("%s: %d, %v", name, n, err)
		}
	}
	if n, err := forward.Skip(deep(forward.MaxDepth, 0xc0)); err != nil || n != forward.MaxDepth+1 {
		t.Errorf("as deep as may be: %d, %v", n, err)
	}
}

// TestLengthsAreNotBelieved gives heads that promise 4 billion bytes or values.
func TestLengthsAreNotBelieved(t *testing.T) {
	for _, c := range []byte{0xc6, 0xc9, 0xdb, 0xdd, 0xdf} {
		b := []byte{c, 0xff, 0xff, 0xff, 0xff, 0, 0, 0}
		allocs := testing.AllocsPerRun(1, func() {
			if n, err := forward.Skip(b); !errors.Is(err, forward.ErrIncomplete) {
				t.Errorf("skip % x: %d, %v", b, n, err)
			}
			if c := forward.CheckEntries(b); c.Count != 0 || c.InvalidCount != 1 || len(c.Invalid) != len(b) {
				t.Errorf("check % x: %+v", b, c)
			}
		})
		if allocs > 8 {
			t.Errorf("% x: %v allocations", b, allocs)
		}
	}
}
