package forward

import (
	"bytes"
	"errors"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tinylib/msgp/msgp"
)

type name string

type inner struct {
	A int `codec:"a"`
	B *int
}

type outer struct {
	Text    string `msg:"text"`
	Empty   string `msg:"empty,omitempty"`
	Left    string `msg:"-"`
	hidden  int
	Inner   inner `msg:"inner"`
	Pointer *inner
	List    []any
}

// Values of every kind come out as another library reads them.
func TestAppendRecord(t *testing.T) {
	seven := 7
	at := time.Date(2026, 11, 26, 1, 2, 3, 4, time.UTC)
	for _, tt := range []struct {
		name string
		in   any
		want map[string]any
	}{
		{"strings", map[string]string{"a": "b", "": ""}, map[string]any{"a": "b", "": ""}},
		{"empty", map[string]any{}, map[string]any{}},
		{"nil map", map[string]string(nil), map[string]any{}},
		{"no fields", (*Fields)(nil), map[string]any{}},
		{"numbers", map[string]any{
			"i": -1, "i8": int8(-8), "u": uint64(math.MaxUint64), "u16": uint16(16), "f": 1.5, "f32": float32(0.5), "d": time.Second,
		}, map[string]any{
			"i": int64(-1), "i8": int64(-8), "u": uint64(math.MaxUint64), "u16": int64(16), "f": 1.5, "f32": float32(0.5), "d": int64(1e9),
		}},
		{"others", map[string]any{
			"nil": nil, "true": true, "bin": []byte{1}, "time": at, "error": errors.New("broken"), "ip": netip.MustParseAddr("10.0.0.1"),
			"name": name("n"), "list": []string{"x", "y"}, "array": [2]int{1, 2}, "p": &seven, "pp": (*int)(nil), "m": map[name]bool{"k": true},
		}, map[string]any{
			"nil": nil, "true": true, "bin": []byte{1}, "time": "2026-11-26T01:02:03.000000004Z", "error": "broken", "ip": "10.0.0.1",
			"name": "n", "list": []any{"x", "y"}, "array": []any{int64(1), int64(2)}, "p": int64(7), "pp": nil, "m": map[string]any{"k": true},
		}},
		{"struct", outer{Text: "t", Left: "l", hidden: 1, Inner: inner{1, &seven}, List: []any{1, nil, map[string]string{"k": "v"}}}, map[string]any{
			"text": "t", "inner": map[string]any{"a": int64(1), "B": int64(7)}, "Pointer": nil,
			"List": []any{int64(1), nil, map[string]any{"k": "v"}},
		}},
		{"pointer to struct", &inner{A: 1}, map[string]any{"a": int64(1), "B": nil}},
		{"fields", new(Fields).String("s", "t").Int("i", -2).Uint("u", 3).Float("f", 2.5).Bool("b", true).Bytes("x", []byte("y")).Time("t", at), map[string]any{
			"s": "t", "i": int64(-2), "u": int64(3), "f": 2.5, "b": true, "x": []byte("y"), "t": "2026-11-26T01:02:03.000000004Z",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, err := AppendRecord([]byte("before"), tt.in)
			if err != nil {
				t.Fatal(err)
			}
			got, rest, err := msgp.ReadMapStrIntfBytes(bytes.TrimPrefix(b, []byte("before")), nil)
			if err != nil || len(rest) != 0 {
				t.Fatalf("%v, %d bytes left", err, len(rest))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Nesting is limited where servers limit it.
func TestAppendRecordDepth(t *testing.T) {
	for _, depth := range []int{MaxDepth, MaxDepth + 1} {
		var v any = map[string]any{"end": 1}
		for range depth - 1 {
			v = map[string]any{"k": v}
		}
		b, err := AppendRecord(nil, v)
		if depth > MaxDepth {
			if !errors.Is(err, ErrRecord) || len(err.Error()) > 200 {
				t.Errorf("depth %d: %v", depth, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("depth %d: %v", depth, err)
		}
		if checked := CheckEntries(append([]byte{entryHead, 1}, b...)); checked.Count != 1 || checked.InvalidCount != 0 {
			t.Errorf("depth %d: not a valid entry: %v", depth, checked.Err)
		}
	}
}

// Any of Fields adds all or nothing.
func TestFieldsAny(t *testing.T) {
	f := new(Fields).Int("n", 1)
	if err := f.Any("bad", map[string]any{"x": 1, "f": func() {}}); !errors.Is(err, ErrRecord) || !strings.Contains(err.Error(), `"bad"`) {
		t.Error(err)
	}
	if err := f.Any("good", []int{1}); err != nil {
		t.Error(err)
	}
	b, err := AppendRecord(nil, f)
	if err != nil {
		t.Fatal(err)
	}
	got, _, err := msgp.ReadMapStrIntfBytes(b, nil)
	if diff := cmp.Diff(map[string]any{"n": int64(1), "good": []any{int64(1)}}, got); err != nil || diff != "" || f.Len() != 2 {
		t.Error(err, diff)
	}
	if b, _ := AppendRecord(nil, f.Reset()); !bytes.Equal(b, []byte{0x80}) {
		t.Errorf("after Reset % x", b)
	}
}

// named is text of a type of its own.
type named string

// What is posted most allocates nothing.
func TestAppendRecordAllocates(t *testing.T) {
	buf := make([]byte, 0, 1024)
	for name, v := range map[string]any{
		"map[string]string": map[string]string{"a": "b", "c": "d"},
		"map[string]any":    map[string]any{"a": "b", "c": 1, "d": 1.5, "e": true},
		"*Fields":           new(Fields).String("a", "b"),
		"*struct": &struct {
			A string `msg:"a"`
			B int32  `msg:"b,omitempty"`
			C bool
			D float64
			E named
		}{"a", 1, true, 1.5, "e"},
	} {
		if n := testing.AllocsPerRun(100, func() {
			if _, err := AppendRecord(buf, v); err != nil {
				t.Error(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// failing cannot be text, and is no map.
type failing struct{}

func (failing) MarshalText() ([]byte, error) { return nil, errors.New("no text") }

// Values of values.
func TestAppendRecordValues(t *testing.T) {
	type bytes []byte
	for _, tt := range []struct {
		in   any
		want any // nil: an error
	}{
		{map[string]any{"v": bytes("x")}, []byte("x")},
		{map[string]any{"v": true}, true},
		{map[string]any{"v": new(Fields).Int("n", 1)}, map[string]any{"n": int64(1)}},
		{map[string]any{"v": badMarshaler("map")}, nil},
		{map[string]any{"v": badMarshaler("string")}, "no map"},
		{map[string]any{"v": badMarshaler("two")}, nil},
		{map[string]any{"v": badMarshaler("nothing")}, nil},
		{map[string]any{"v": failing{}}, nil},
		{map[string]any{"v": []any{func() {}}}, nil},
		{map[string]any{"v": map[int]int{}}, nil},
		{map[string]func(){"v": nil}, nil},
		{struct{ V func() }{}, nil},
		{struct {
			V any `msg:"v"`
		}{struct{ X uint8 }{7}}, map[string]any{"X": int64(7)}},
	} {
		before := []byte("before")
		b, err := AppendRecord(before, tt.in)
		if tt.want == nil {
			if err == nil || string(b) != "before" {
				t.Errorf("%v: %v and %q; expected an error and nothing more", tt.in, err, b)
			}
			continue
		}
		if err != nil {
			t.Errorf("%v: %v", tt.in, err)
			continue
		}
		got, _, err := msgp.ReadMapStrIntfBytes(b[len(before):], nil)
		if diff := cmp.Diff(tt.want, got["v"]); err != nil || diff != "" {
			t.Errorf("%v: %v\n%s", tt.in, err, diff)
		}
	}
}
