package entry_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tinylib/msgp/msgp"
	"pgregory.net/rapid"

	"github.com/spillway/spillway/internal/entry"
)

// decode reads JSON, of which there must be one value and nothing after it.
func decode(text []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the value")
	}
	return v, nil
}

// sameValue compares floats by what they are, not by how they are written; only
// they must not look like whole numbers.
var sameValue = cmp.FilterValues(func(a, b any) bool {
	_, first := a.(float)
	_, second := b.(float)
	return first || second
}, cmp.Comparer(func(a, b any) bool {
	want, ok := a.(float)
	got, number := b.(json.Number)
	if !ok {
		want, ok = b.(float)
		got, number = a.(json.Number)
	}
	f, err := strconv.ParseFloat(string(got), want.bits)
	return ok && number && err == nil && f == want.f && strings.ContainsAny(string(got), ".e")
}))

func TestAppendJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := draw(t, 3)
		text, bad, err := entry.AppendJSON([]byte("kept"), append(v.packed, "what follows"...))
		if err != nil {
			t.Fatalf("%x: %v", v.packed, err)
		}
		got, err := decode(bytes.TrimPrefix(text, []byte("kept")))
		if err != nil {
			t.Fatalf("%x became %q, which is no JSON: %v", v.packed, text, err)
		}
		if diff := cmp.Diff(v.json, got, sameValue); diff != "" {
			t.Fatalf("%x became %q (-want +got):\n%s", v.packed, text, diff)
		}
		if bad != v.replaced {
			t.Fatalf("%x: %d bytes were replaced, want %d", v.packed, bad, v.replaced)
		}
		rest, err := entry.Skip(append(v.packed, "what follows"...))
		if err != nil || string(rest) != "what follows" {
			t.Fatalf("skipping %x leaves %q, %v", v.packed, rest, err)
		}
		for n := range v.packed {
			if text, _, err := entry.AppendJSON([]byte("kept"), v.packed[:n]); err == nil || string(text) != "kept" {
				t.Fatalf("the first %d bytes of %x become %q, %v", n, v.packed, text, err)
			}
			if _, err := entry.Skip(v.packed[:n]); err == nil {
				t.Fatalf("the first %d bytes of %x are skipped", n, v.packed)
			}
		}
	})
}

func TestAppendJSONCases(t *testing.T) {
	for packed, want := range map[string]string{
		"\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00":     "1.0",
		"\xca\x3d\xcc\xcc\xcd":                     "0.1",
		"\xcf\xff\xff\xff\xff\xff\xff\xff\xff":     "18446744073709551615",
		"\xd3\x80\x00\x00\x00\x00\x00\x00\x00":     "-9223372036854775808",
		"\xc4\x02\xff\xfe":                         `"//4="`,
		"\xc4\x02hi":                               `"hi"`,
		"\xa3a\xffb":                               `"a` + "\ufffd" + `b"`,
		"\x81\x81\xa1a\x01\xc0":                    `{"{\"a\":1}":null}`,
		"\x82\xc0\x01\xc2\x02":                     `{"null":1,"false":2}`,
		"\xd4\x07\xff":                             `{"type":7,"data":"/w=="}`,
		"\xd7\x00\x00\x00\x00\x01\x00\x00\x00\x02": `"1970-01-01T00:00:01.000000002Z"`,
		"\xc7\x00\x05":                             `{"type":5,"data":""}`,
		"\xc7\x0c\xff\x00\x00\x00\x00\x7f\xff\xff\xff\xff\xff\xff\xff": `{"type":-1,"data":"AAAAAH//////////"}`,
	} {
		got, _, err := entry.AppendJSON(nil, []byte(packed))
		if err != nil || string(got) != want {
			t.Errorf("%x becomes %q, %v; want %q", packed, got, err, want)
		}
	}
}

func TestDepthIsBounded(t *testing.T) {
	nested := func(n int) []byte { return append(bytes.Repeat([]byte{0x91}, n), 0xc0) }
	if _, _, err := entry.AppendJSON(nil, nested(entry.MaxDepth)); err != nil {
		t.Errorf("as deep as may be: %v", err)
	}
	for _, n := range []int{entry.MaxDepth + 1, 1_000_000} {
		text, _, err := entry.AppendJSON([]byte("kept"), nested(n))
		if err == nil || string(text) != "kept" {
			t.Errorf("%d deep: %q, %v", n, text, err)
		}
	}
	keys := append(bytes.Repeat([]byte{0x81}, 1_000_000), 0xc0)
	if _, _, err := entry.AppendJSON(nil, keys); err == nil {
		t.Error("keys of keys are not bounded")
	}
	if rest, err := entry.Skip(nested(1_000_000)); err != nil || len(rest) > 0 {
		t.Errorf("skipping a million levels: %v", err)
	}
}

func FuzzAppendJSON(f *testing.F) {
	f.Add([]byte("\x82\xa3log\xa5hello\x01\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00"))
	f.Add([]byte("\x92\xd7\x00\x00\x00\x00\x01\x00\x00\x00\x02\x81\xc4\x01\xff\xc1"))
	f.Add([]byte("\xdf\xff\xff\xff\xff"))
	f.Add([]byte("\xc6\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, src []byte) {
		text, _, err := entry.AppendJSON(nil, src)
		rest, skipErr := entry.Skip(src)
		if err == nil {
			if _, decodeErr := decode(text); decodeErr != nil {
				t.Fatalf("%x became %q: %v", src, text, decodeErr)
			}
			if skipErr != nil {
				t.Fatalf("%x is written and not skipped: %v", src, skipErr)
			}
		}
		if theirs, err := msgp.Skip(src); (err == nil) != (skipErr == nil) || err == nil && len(theirs) != len(rest) {
			t.Fatalf("of %x %d bytes are left, %v; msgp leaves %d, %v", src, len(rest), skipErr, len(theirs), err)
		}
		if skipErr == nil && len(rest) >= len(src) {
			t.Fatalf("nothing of %x was skipped", src)
		}
		if at, record, err := entry.Split(src); err == nil {
			if len(at) == 0 {
				t.Fatalf("%x was split into %x and %x", src, at, record)
			}
			entry.Lookup(record, "log")
		}
		entry.Lookup(src, "log")
		entry.Time(src, 0)
		if _, err := entry.AppendText(nil, src); err == nil && skipErr != nil {
			t.Fatalf("%x is text and not skipped: %v", src, skipErr)
		}
	})
}
