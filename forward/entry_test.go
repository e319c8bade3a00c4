package forward_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/tinylib/msgp/msgp"
	"pgregory.net/rapid"

	"github.com/spillway/spillway/forward"
)

func TestTimes(t *testing.T) {
	ext := []byte{0x65, 0x53, 0xf1, 0x00, 0x07, 0x5b, 0xcd, 0x15} // 1,700,000,000 s, 123,456,789 ns
	const ns = 1_700_000_000_123_456_789
	for name, c := range map[string]struct {
		b     []byte
		ns    int64
		known bool
	}{
		"EventTime, fixext 8":        {append([]byte{0xd7, 0}, ext...), ns, true},
		"EventTime, ext 8":           {append([]byte{0xc7, 8, 0}, ext...), ns, true},
		"seconds":                    {msgp.AppendInt64(nil, 1_700_000_000), 1_700_000_000e9, true},
		"seconds, 64 bits":           {[]byte{0xd3, 0, 0, 0, 0, 0x65, 0x53, 0xf1, 0}, 1_700_000_000e9, true},
		"before 1970":                {[]byte{0xff}, -1e9, true},
		"with metadata":              {append(append([]byte{0x92, 0xd7, 0}, ext...), 0x81, 0xa1, 'a', 1), ns, true},
		"seconds with metadata":      {[]byte{0x92, 5, 0x80}, 5e9, true},
		"with metadata, a long head": {[]byte{0xdc, 0, 2, 5, 0x80}, 5e9, true},
		"zero":                       {[]byte{0}, 0, false},
		"EventTime of zero":          {[]byte{0xd7, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 0, false},
		"nil":                        {[]byte{0xc0}, 0, false},
	} {
		got, known, rest, err := forward.ReadTime(append(c.b, 0x80))
		if err != nil || got != c.ns || known != c.known || !bytes.Equal(rest, []byte{0x80}) {
			t.Errorf("%s: %d, %t, % x, %v; want %d, %t", name, got, known, rest, err, c.ns, c.known)
		}
		for cut := range c.b {
			if _, _, _, err := forward.ReadTime(c.b[:cut]); err == nil {
				t.Errorf("%s, cut after %d bytes: no error", name, cut)
			}
		}
	}
	for name, b := range map[string][]byte{
		"float":                       msgp.AppendFloat64(nil, 1.5),
		"text":                        {0xa1, '1'},
		"another extension":           append([]byte{0xd7, 1}, ext...),
		"another length":              append([]byte{0xc7, 9, 0, 0}, ext...),
		"an array in an array":        {0x91, 0x91, 5},
		"an empty array":              {0x90},
		"milliseconds, year 50,000":   msgp.AppendInt64(nil, 1_700_000_000_000),
		"more than 63 bits":           {0xcf, 0xff, 0, 0, 0, 0, 0, 0, 0},
		"boolean":                     {0xc3},
		"what msgpack does not have":  {0xc1},
		"binary data":                 {0xc4, 1, 5},
		"a map, as others write time": {0x81, 0xa1, 's', 5},
	} {
		if ns, _, _, err := forward.ReadTime(b); err == nil {
			t.Errorf("%s: read as %d", name, ns)
		}
	}
}

func TestTimesSurvive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seconds := rapid.Int64Range(-1<<33, 1<<33).Draw(t, "seconds")
		nanos := rapid.Int64Range(0, 999_999_999).Draw(t, "nanoseconds")
		when := time.Unix(seconds, nanos)
		b := forward.AppendTime(nil, when)
		if !bytes.Equal(b, forward.AppendNanoseconds(nil, when.UnixNano())) {
			t.Fatalf("%v: as a time % x, as nanoseconds % x", when, b, forward.AppendNanoseconds(nil, when.UnixNano()))
		}
		want := when.UnixNano()
		if seconds < 0 || seconds > 1<<32-1 {
			want = seconds * 1e9
		}
		got, known, rest, err := forward.ReadTime(b)
		if err != nil || got != want || known != (want != 0) || len(rest) != 0 {
			t.Fatalf("%v: read %d, %t, %v; want %d", when, got, known, err, want)
		}
	})
}

// TestValidEntriesAreNotTouched also reads them one by one.
func TestValidEntriesAreNotTouched(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b []byte
		var times []int64
		for range rapid.IntRange(0, 8).Draw(t, "entries") {
			var ns int64
			b, ns = entry(t, b)
			times = append(times, ns)
		}
		kept := bytes.Clone(b)
		c := forward.CheckEntries(b)
		if c.Count != len(times) || c.InvalidCount != 0 || c.Err != nil || !bytes.Equal(c.Valid, kept) || len(c.Invalid) != 0 {
			t.Fatalf("% x: %+v; want %d", kept, c, len(times))
		}
		for rest := c.Valid; len(rest) > 0; times = times[1:] {
			e, after, err := forward.NextEntry(rest)
			if err != nil || e.Time != times[0] || !bytes.Equal(e.Raw, rest[:len(rest)-len(after)]) {
				t.Fatalf("% x: %+v, %v; want the time %d", rest, e, err, times[0])
			}
			if !bytes.HasSuffix(e.Raw, e.Record) || !bytes.Contains(e.Raw, e.Metadata) {
				t.Fatalf("% x: the parts %+v are not in it", e.Raw, e)
			}
			rest = after
		}
	})
}

// TestInvalidEntriesAreKeptApart mixes both kinds.
func TestInvalidEntriesAreKeptApart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b, valid, wrong []byte
		count, wrongs := 0, 0
		for range rapid.IntRange(0, 40).Draw(t, "entries") {
			switch rapid.IntRange(0, 3).Draw(t, "kind") {
			case 0:
				one := invalid(t, nil)
				b, wrong = append(b, one...), append(wrong, one...)
				wrongs++
			case 1: // valid, in a long form
				one, _ := entry(t, nil)
				b = append(append(b, 0xdc, 0, 2), one[1:]...)
				valid = append(valid, one...)
				count++
			default:
				one, _ := entry(t, nil)
				b, valid = append(b, one...), append(valid, one...)
				count++
			}
		}
		if rapid.Bool().Draw(t, "cut off") {
			one, _ := entry(t, nil)
			one = one[:rapid.IntRange(1, len(one)-1).Draw(t, "at")]
			b, wrong = append(b, one...), append(wrong, one...)
			wrongs++
		}
		size := len(b)
		c := forward.CheckEntries(b)
		if c.Count != count || !bytes.Equal(c.Valid, valid) {
			t.Fatalf("%d valid % x; want %d % x", c.Count, c.Valid, count, valid)
		}
		if got := without(c.Invalid); c.InvalidCount != wrongs || !bytes.Equal(got, wrong) {
			t.Fatalf("%d invalid % x; want %d % x", c.InvalidCount, got, wrongs, wrong)
		}
		if (c.Err != nil) != (wrongs > 0) || len(c.Valid)+len(c.Invalid) != size {
			t.Fatalf("%v with %d invalid, %d of %d bytes", c.Err, wrongs, len(c.Valid)+len(c.Invalid), size)
		}
		if again := forward.CheckEntries(c.Valid); again.Count != count || again.InvalidCount != 0 {
			t.Fatalf("checked again: %+v", again)
		}
	})
}

// without leaves out the bytes that mean nothing between invalid entries.
func without(b []byte) (out []byte) {
	for len(b) > 0 {
		if b[0] == 0xc1 {
			b = b[1:]
			continue
		}
		rest, err := msgp.Skip(b)
		if err != nil {
			return append(out, b...)
		}
		out = append(out, b[:len(b)-len(rest)]...)
		b = rest
	}
	return out
}

func TestInvalidEntriesAreNamed(t *testing.T) {
	good := append(forward.AppendEntry(nil, 1), 0x80)
	deep := append(forward.AppendEntry(nil, 1), 0x81, 0xa1, 'k')
	deep = append(append(deep, bytes.Repeat([]byte{0x91}, 1_000_000)...), 0xc0)
	for want, bad := range map[string][]byte{
		"expected an entry: an array of a time and a record at byte 12, found a string": {0xa1, 'x'},
		"expected a time: an integer of seconds or an EventTime at byte 13, found a float": append(
			msgp.AppendFloat64([]byte{0x92}, 1), 0x80),
		"expected a record: a map at byte 14, found nil": {0x92, 1, 0xc0},
		"expected a time: an integer of seconds or an EventTime at byte 13, found an extension": {
			0x92, 0xd7, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0x80},
		"nesting of at least 65 bytes exceeds the limit": deep,
	} {
		b := append(append(bytes.Clone(good), bad...), good...)
		c := forward.CheckEntries(b)
		if c.Count != 2 || c.InvalidCount != 1 || c.Err == nil || !strings.Contains(c.Err.Error(), want) {
			t.Errorf("%d valid, %d invalid, %v; want %q", c.Count, c.InvalidCount, c.Err, want)
		}
		if !bytes.Equal(c.Invalid, bad) {
			t.Errorf("%q: %d bytes are kept apart, want %d", want, len(c.Invalid), len(bad))
		}
	}
}

// TestManyInvalidEntries holds the sorting to a time that grows no faster than
// it must: 2 million runs would take hours if each moved all others.
func TestManyInvalidEntries(t *testing.T) {
	const n = 1 << 20
	b := bytes.Repeat([]byte{0x92, 1, 0x80, 0xc0}, n)
	c := forward.CheckEntries(b)
	if c.Count != n || c.InvalidCount != n || !bytes.Equal(c.Valid, bytes.Repeat([]byte{0x92, 1, 0x80}, n)) ||
		!bytes.Equal(c.Invalid, bytes.Repeat([]byte{0xc0}, n)) {
		t.Errorf("%d valid, %d invalid", c.Count, c.InvalidCount)
	}
}
