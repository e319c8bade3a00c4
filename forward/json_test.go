package forward_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/tinylib/msgp/msgp"
	"pgregory.net/rapid"

	"github.com/spillway/spillway/forward"
)

func TestJSONMessages(t *testing.T) {
	record := mapOf(text("a"), []byte{1})
	for in, want := range map[string]struct {
		mode    forward.Mode
		entries []byte
		invalid int
		ack     string
	}{
		`["t",5,{"a":1}]`:                                {forward.ModeMessage, array([]byte{5}, record), 0, ""},
		"\n [ \"t\" ,\t5 , { \"a\" : 1 } , { } ]":        {forward.ModeMessage, array([]byte{5}, record), 0, ""},
		`["t",null,{"a":1}]`:                             {forward.ModeMessage, array([]byte{0xc0}, record), 0, ""},
		`["t",5,{"a":3,"b":2,"a":1}]`:                    {forward.ModeMessage, array([]byte{5}, mapOf(text("b"), []byte{2}, text("a"), []byte{1})), 0, ""},
		`["t",1.25,{"a":1}]`:                             {forward.ModeMessage, array(forward.AppendNanoseconds(nil, 1_250_000_000), record), 0, ""},
		`["t",[[5,{"a":1}],[6,{"a":1}]]]`:                {forward.ModeForward, append(array([]byte{5}, record), array([]byte{6}, record)...), 0, ""},
		`["t",[[5,{"a":1}],7,[8],["x",{}],[5,{"a":1}]]]`: {forward.ModeForward, append(array([]byte{5}, record), array([]byte{5}, record)...), 3, ""},
		`["t",[]]`: {forward.ModeForward, nil, 0, ""},
		`["t",5,{"a":1},{"chunk":"i\"d","size":1}]`:           {forward.ModeMessage, array([]byte{5}, record), 0, `{"ack":"i\"d"}`},
		`["t",5,{"a":1},{"chunk":7}]`:                         {forward.ModeMessage, array([]byte{5}, record), 0, `{"ack":7}`},
		`["t",5,{"s":"\u00e9\n\ud83d\ude00\ud800\/"}]`:        {forward.ModeMessage, array([]byte{5}, mapOf(text("s"), text("é\n😀\ufffd/"))), 0, ""},
		`["t",5,{"n":[1e2,-0.5,18446744073709551615,1e999]}]`: {forward.ModeMessage, array([]byte{5}, mapOf(text("n"), array(msgp.AppendFloat64(nil, 100), msgp.AppendFloat64(nil, -0.5), msgp.AppendUint64(nil, 1<<64-1), text("1e999")))), 0, ""},
		`["t",5,{"n":18446744073709551616}]`:                  {forward.ModeMessage, array([]byte{5}, mapOf(text("n"), text("18446744073709551616"))), 0, ""},
		`["t",5,{"n":[true,false,null]}]`:                     {forward.ModeMessage, array([]byte{5}, mapOf(text("n"), []byte{0x93, 0xc3, 0xc2, 0xc0})), 0, ""},
	} {
		var s forward.JSONScanner
		size, err := s.Scan([]byte(in + `["next"`))
		if again, err2 := s.Scan([]byte(in)); again != size || err2 != nil {
			t.Errorf("%s: asked again, its size is said to be %d, %v", in, again, err2)
		}
		if err != nil || int(size) != len(in) {
			t.Errorf("%s: its size is said to be %d, %v", in, size, err)
			continue
		}
		var m forward.Message
		out, err := forward.ParseJSON([]byte("before"), []byte(in), &m)
		if err != nil || len(out)-6 > 3*len(in) {
			t.Errorf("%s: %d bytes, %v", in, len(out), err)
			continue
		}
		m.Check()
		if m.Tag != "t" || m.Mode != want.mode || !bytes.Equal(m.Entries, want.entries) || m.InvalidCount != want.invalid {
			t.Errorf("%s: %q %v % x, %d invalid; want % x", in, m.Tag, m.Mode, m.Entries, m.InvalidCount, want.entries)
		}
		if m.WantsAck != (want.ack != "") || m.WantsAck && string(m.AppendAck(nil)) != want.ack {
			t.Errorf("%s: acknowledged by %s", in, m.AppendAck(nil))
		}
	}
}

func TestBrokenJSON(t *testing.T) {
	for _, in := range []string{
		``, `{}`, `[]`, `["t"]`, `["t",5]`, `[5,5,{}]`, `["t",5,{}`, `["t",5,{},{}]]`, `["t",5,{"a"}]`, `["t",5,{"a":}]`, `["t",5,{a:1}]`,
		`["t",05,{}]`, `["t",5,{"a":+1}]`, `["t",5,{"a":"\x"}]`, `["t",5,{"a":"\u12"}]`, "[\"t\",5,{\"a\":\"\n\"}]", `["t",5,{"a":tru}]`, `["t",5,{},{},{}]`,
		`["t",5,{"a":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}]`, `["t" 5,{}]`, `["t",5,{"a":1,}]`, `["t",5,{"a":[1,]}]`,
	} {
		var m forward.Message
		if _, err := forward.ParseJSON(nil, []byte(in), &m); err == nil {
			t.Errorf("%.60s is read as %+v", in, m)
		}
	}
	for _, in := range []string{`x`, `]`, ` }`, `5 `} {
		var s forward.JSONScanner
		if size, err := s.Scan([]byte(in)); err == nil {
			t.Errorf("%q begins a message of %d bytes", in, size)
		}
	}
	var limit *forward.LimitError
	s := forward.JSONScanner{Limit: 10}
	if _, err := s.Scan([]byte(`["t",5,{"a":1}]`)); !errors.As(err, &limit) {
		t.Error(err)
	}
}

// TestJSONAgreesWithOthers compares records with what encoding/json makes of
// them, arriving in pieces.
func TestJSONAgreesWithOthers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := `["t",5,` + jsonObject(t, 3) + `]`
		var want []any
		if err := json.Unmarshal([]byte(in), &want); err != nil {
			t.Fatal(err)
		}
		var s forward.JSONScanner
		for have := 0; have < len(in); {
			if size, err := s.Scan([]byte(in[:have])); size != 0 || err != nil {
				t.Fatalf("with %d of %d bytes it says %d, %v", have, len(in), size, err)
			}
			have += rapid.IntRange(1, len(in)).Draw(t, "piece")
		}
		if size, err := s.Scan([]byte(in)); int(size) != len(in) || err != nil {
			t.Fatalf("%d of %d, %v", size, len(in), err)
		}
		var m forward.Message
		if _, err := forward.ParseJSON(nil, []byte(in), &m); err != nil {
			t.Fatal(err)
		}
		m.Check()
		e, rest, err := forward.NextEntry(m.Entries)
		if err != nil || len(rest) > 0 {
			t.Fatal(err)
		}
		var back bytes.Buffer
		if _, err := msgp.UnmarshalAsJSON(&back, e.Record); err != nil {
			t.Fatal(err)
		}
		var got any
		if err := json.Unmarshal(back.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want[2]) {
			t.Fatalf("%s became %s", in, back.Bytes())
		}
	})
}

func jsonObject(t *rapid.T, depth int) string {
	var parts []string
	for range rapid.IntRange(0, 20).Draw(t, "pairs") {
		key, err := json.Marshal(rapid.StringN(0, 3, 9).Draw(t, "key"))
		if err != nil {
			t.Fatal(err)
		}
		kinds := 3
		if depth > 0 {
			kinds = 5
		}
		var v any
		switch rapid.IntRange(0, kinds).Draw(t, "kind") {
		case 0:
			v = rapid.String().Draw(t, "text")
		case 1:
			v = rapid.Int32().Draw(t, "integer")
		case 2:
			v = rapid.Float64Range(-1e9, 1e9).Draw(t, "float")
		case 3:
			v = rapid.Bool().Draw(t, "boolean")
		case 4:
			v = json.RawMessage(jsonObject(t, depth-1))
		case 5:
			v = []json.RawMessage{json.RawMessage(jsonObject(t, depth-1)), json.RawMessage("null")}
		}
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, string(key)+" : "+string(text))
	}
	return "{" + strings.Join(parts, ",\n") + "}"
}
