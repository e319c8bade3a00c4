package entry_test

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/spillway/spillway/internal/entry"
)

func TestSplit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at, rec := draw(t, 1), drawMap(t, 2)
		whole := append([]byte{0x92}, at.packed...)
		whole = append(append(whole, rec.packed...), 0xc0)
		head, body, err := entry.Split(whole)
		if err != nil || string(head) != string(at.packed) || string(body) != string(rec.packed)+"\xc0" {
			t.Fatalf("%x was split into %x and %x, %v", whole, head, body, err)
		}
	})
	for _, bad := range []string{"", "\x80", "\x91\x01", "\x92", "\x92\xd7\x00", "\xa2hi"} {
		if _, _, err := entry.Split([]byte(bad)); err == nil {
			t.Errorf("%x is no entry and was split", bad)
		}
	}
}

func TestTime(t *testing.T) {
	const fallback = 42
	second := int64(time.Second)
	for _, c := range []struct {
		name, packed string
		want         int64
	}{
		{"whole seconds", "\xce\x65\x53\xf1\x00", 1_700_000_000 * second},
		{"a small number", "\x07", 7 * second},
		{"64 bits", "\xcf\x00\x00\x00\x00\x65\x53\xf1\x00", 1_700_000_000 * second},
		{"before 1970", "\xff", -second},
		{"signed", "\xd2\xff\xff\xff\xfe", -2 * second},
		{"EventTime", "\xd7\x00\x65\x53\xf1\x00\x00\x00\x00\x09", 1_700_000_000*second + 9},
		{"EventTime as ext 8", "\xc7\x08\x00\x65\x53\xf1\x00\x3b\x9a\xc9\xff", 1_700_000_000*second + 999_999_999},
		{"EventTime as ext 16", "\xc8\x00\x08\x00\x65\x53\xf1\x00\x00\x00\x00\x01", 1_700_000_000*second + 1},
		{"EventTime after 2038", "\xd7\x00\xff\xff\xff\xff\x00\x00\x00\x01", (1<<32-1)*second + 1},
		{"timestamp 32", "\xd6\xff\x65\x53\xf1\x00", 1_700_000_000 * second},
		{"timestamp 64", "\xd7\xff\x00\x00\x00\x08\x00\x00\x00\x03", 3*second + 2},
		{"timestamp 96", "\xc7\x0c\xff\x00\x00\x00\x05\xff\xff\xff\xff\xff\xff\xff\xff", -second + 5},
		{"float", "\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00", 3 * second / 2},
		{"short float", "\xca\x40\x20\x00\x00", 5 * second / 2},
		{"with metadata", "\x92\xd7\x00\x00\x00\x00\x01\x00\x00\x00\x02\x80", second + 2},
		{"with metadata, whole seconds", "\x92\x05\x81\xa1a\xa1b", 5 * second},
		{"zero", "\x00", fallback},
		{"EventTime of zero", "\xd7\x00\x00\x00\x00\x00\x00\x00\x00\x00", fallback},
		{"nil", "\xc0", fallback},
		{"text", "\xa3now", fallback},
		{"not a number", "\xcb\x7f\xf8\x00\x00\x00\x00\x00\x01", fallback},
		{"infinite", "\xca\x7f\x80\x00\x00", fallback},
		{"beyond 2262", "\xcf\x00\x00\x00\x02\x65\x53\xf1\x00", fallback},
		{"beyond all", "\xcf\xff\xff\xff\xff\xff\xff\xff\xff", fallback},
		{"long ago", "\xd3\x80\x00\x00\x00\x00\x00\x00\x00", fallback},
		{"an extension that is no time", "\xd4\x07\x00", fallback},
		{"EventTime of another length", "\xd6\x00\x00\x00\x00\x01", fallback},
		{"an empty array", "\x90", fallback},
		{"an array in an array", "\x91\x91\x05", fallback},
	} {
		if got := entry.Time([]byte("\x92"+c.packed+"\x80"), fallback); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
	for _, none := range []string{"", "\x90", "\x05", "\x92", "\x92\xd7\x00\x00"} {
		if got := entry.Time([]byte(none), fallback); got != fallback {
			t.Errorf("%x has the time %d", none, got)
		}
	}
	for _, edge := range []int64{math.MaxInt64 / second, math.MinInt64 / second} {
		packed := be.AppendUint64([]byte{0x92, 0xd3}, uint64(edge))
		if got := entry.Time(packed, fallback); got != fallback {
			t.Errorf("%d seconds became %d", edge, got)
		}
	}
}

func TestLookup(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := drawMap(t, 2)
		for key := range v.json.(map[string]any) {
			if _, found := entry.Lookup(v.packed, key+" not"); found {
				t.Fatalf("%q is found", key+" not")
			}
		}
	})
	rec := "\x85\xa1a\x01\xc4\x01b\x92\x02\x03\xa1a\x04\x05\x06\xa0\xc3"
	for key, want := range map[string]string{"a": "\x01", "b": "\x92\x02\x03", "": "\xc3"} {
		if got, found := entry.Lookup([]byte(rec), key); !found || string(got) != want {
			t.Errorf("%q has %x, %t; want %x", key, got, found, want)
		}
	}
	for _, bad := range []string{"", "\x05", "\x81", "\x81\xa1", "\x81\xa1a", "\x81\xa1a\xd9", "\xdf\xff\xff\xff\xff\xa1b\x01"} {
		if _, found := entry.Lookup([]byte(bad), "a"); found {
			t.Errorf("found in %x", bad)
		}
	}
}

func TestAppendText(t *testing.T) {
	for packed, want := range map[string]string{
		"\xa3a\xffb": "a\xffb", "\xc4\x02\xff\xfe": "\xff\xfe", "\x07": "7", "\xa0": "", "\x81\xa1a\xc3": `{"a":true}`,
	} {
		if got, err := entry.AppendText([]byte("kept"), []byte(packed)); err != nil || string(got) != "kept"+want {
			t.Errorf("%x is the text %q, %v; want %q", packed, got, err, want)
		}
	}
	for _, bad := range []string{"", "\xa3a", "\xd9", "\x91", "\xc1"} {
		if got, err := entry.AppendText([]byte("kept"), []byte(bad)); err == nil || string(got) != "kept" {
			t.Errorf("%x is the text %q, %v", bad, got, err)
		}
	}
}
