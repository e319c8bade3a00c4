package entry_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"reflect"
	"strings"
	"testing"

	"github.com/spillway/spillway/internal/entry"
	"github.com/spillway/spillway/internal/jsonscan"
	"github.com/spillway/spillway/internal/record"
)

// wide is an object with n members.
func wide(n int) string {
	var members []string
	for i := range n {
		members = append(members, fmt.Sprintf(`"%d":%d`, i, i))
	}
	return "{" + strings.Join(members, ",") + "}"
}

func TestAppendObject(t *testing.T) {
	c := entry.NewConverter("message")
	for _, one := range []struct{ json, want string }{
		{`{}`, "\x80"},
		{` { "a" : 1 , "b" : [ true , false , null ] } `, "\x82\xa1a\x01\xa1b\x93\xc3\xc2\xc0"},
		{`{"a":"ä\n\u00e4\ud83d\ude00"}`, "\x81\xa1a\xa9ä\nä😀"},
		{`{"n":[0,-0,127,128,4294967296,18446744073709551615,-1,-32,-33,-2147483648,-2147483649,-9223372036854775808]}`,
			"\x81\xa1n\x9c\x00\x00\x7f\xce\x00\x00\x00\x80\xcf\x00\x00\x00\x01\x00\x00\x00\x00\xcf\xff\xff\xff\xff\xff\xff\xff\xff" +
				"\xff\xe0\xd2\xff\xff\xff\xdf\xd2\x80\x00\x00\x00\xd3\xff\xff\xff\xff\x7f\xff\xff\xff\xd3\x80\x00\x00\x00\x00\x00\x00\x00"},
		{`{"n":[1.0,-0.5,1E2]}`, "\x81\xa1n\x93\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00\xcb\xbf\xe0\x00\x00\x00\x00\x00\x00\xcb\x40\x59\x00\x00\x00\x00\x00\x00"},
		{`{"n":[18446744073709551616,-9223372036854775809,1e999]}`, "\x81\xa1n\x93\xb418446744073709551616\xb4-9223372036854775809\xa51e999"},
		{`{"a":1,"a":2}`, "\x82\xa1a\x01\xa1a\x02"},
		{"{\"a\":\"\xff\"}", "\x81\xa1a\xa3\uFFFD"},
	} {
		got, _, err := c.AppendObject([]byte("before"), []byte(one.json))
		if err != nil || string(got) != "before"+one.want {
			t.Errorf("%s has become %q, %v; expected %q", one.json, got, err, one.want)
		}
	}
	for _, bad := range []string{"", "[1]", `{"a":1}{}`, `{"a":01}`, "text"} {
		got, _, err := c.AppendObject([]byte("before"), []byte(bad))
		var typed *jsonscan.Error
		if !errors.As(err, &typed) || string(got) != "before" {
			t.Errorf("%q has become %q, %v", bad, got, err)
		}
	}
	if _, replaced, err := c.AppendObject(nil, []byte("{\"ä\xff\":\"\xfe\xfd\"}")); err != nil || replaced != 3 {
		t.Errorf("%d bytes were replaced, of 3; %v", replaced, err)
	}
}

// normal is a value as it is read back, with numbers that no 64 bits can say as text.
func normal(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, one := range v {
			v[key] = normal(one)
		}
	case []any:
		for i, one := range v {
			v[i] = normal(one)
		}
	case json.Number:
		if n, ok := new(big.Int).SetString(string(v), 10); ok {
			if n.IsInt64() || n.IsUint64() {
				return n.String()
			}
			return string(v)
		}
		f, err := v.Float64()
		if err != nil {
			return string(v)
		}
		return f
	}
	return v
}

func decodeObject(t *testing.T, text []byte) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return normal(v)
}

// checkObject makes a record of an object and JSON of the record.
func checkObject(t *testing.T, c *entry.Converter, object []byte) {
	t.Helper()
	rec, _, err := c.AppendObject(nil, object)
	if err != nil {
		return
	}
	if rest, err := entry.Skip(rec); err != nil || len(rest) > 0 {
		t.Fatalf("%q has become %q: %d bytes left, %v", object, rec, len(rest), err)
	}
	back, replaced, err := entry.AppendJSON(nil, rec)
	if err != nil || replaced != 0 {
		t.Fatalf("%q has become %q: %v, %d replaced", object, rec, err, replaced)
	}
	// Of what is deeply nested cmp would make a difference for hours.
	if !reflect.DeepEqual(decodeObject(t, object), decodeObject(t, back)) {
		t.Fatalf("%q has become %q", object, back)
	}
}

func TestObjectsThereAndBack(t *testing.T) {
	c := entry.NewConverter("message")
	for _, n := range []int{0, 15, 16, 17, 65535, 65536} {
		checkObject(t, c, []byte(`{"in":[`+wide(n)+`]}`))
	}
	checkObject(t, c, []byte(`{"long":"`+strings.Repeat("x", 70000)+`","next":{"mid":"`+strings.Repeat("ä", 200)+`"}}`))
	checkObject(t, c, []byte(strings.Repeat(`{"a":[`, 32)+"1"+strings.Repeat("]}", 32)))
}

func FuzzAppendObject(f *testing.F) {
	f.Add([]byte(`{"a":[1,-2.5e3,"\u00e4",{"b":null}],"c":18446744073709551616}`))
	c := entry.NewConverter("message")
	f.Fuzz(func(t *testing.T, object []byte) { checkObject(t, c, object) })
}

func TestAppendMessage(t *testing.T) {
	c := entry.NewConverter("message")
	for _, one := range []struct {
		m   record.Message
		rec string // or a dash where it is an error
	}{
		{record.Message{Form: record.FormText, Value: []byte("a \"ä\xff")}, "\x81\xa7message\xa6a \"ä\xff"},
		{record.Message{Form: record.FormMap, Value: []byte("\x81\xa1a\x01"), Key: []byte("key")}, "\x81\xa1a\x01"},
		{record.Message{Form: record.FormJSON, Value: []byte("{ \"a\" :\n1}")}, "\x81\xa1a\x01"},
		{record.Message{Form: record.FormJSON, Value: []byte(`{"a":12345678901234567890123}`)}, "\x81\xa1a\xb712345678901234567890123"},
		{record.Message{Form: record.FormMap, Value: []byte(strings.Repeat("\x81\xa1a", 64) + "\x01")}, strings.Repeat("\x81\xa1a", 64) + "\x01"},
		{record.Message{Form: record.FormMap, Value: []byte(strings.Repeat("\x81\xa1a", 65) + "\x01")}, "-"},
		{record.Message{Form: record.FormMap, Value: []byte("\x81\xa1a\x01\x01")}, "-"},
		{record.Message{Form: record.FormMap, Value: []byte("\x81\xa1a")}, "-"},
		{record.Message{Form: record.FormMap, Value: []byte("\x91\x01")}, "-"},
		{record.Message{Form: record.FormMap}, "-"},
		{record.Message{Form: record.FormJSON, Value: []byte("[1]")}, "-"},
		{record.Message{Form: record.FormJSON, Null: true}, "-"},
	} {
		one.m.Time = 1_700_000_000_000_000_001
		want := "\x92\xd7\x00\x65\x53\xf1\x00\x00\x00\x00\x01" + one.rec
		if one.rec == "-" {
			want = ""
		}
		got, err := c.AppendMessageEntry([]byte("before"), &one.m)
		if string(got) != "before"+want || (err == nil) != (want != "") {
			t.Errorf("%q has become the entry %q, %v; expected %q", one.m.Value, got, err, want)
		}
	}
}

func BenchmarkAppendObject(b *testing.B) {
	for name, all := range kinds {
		b.Run(name, func(b *testing.B) {
			var objects [][]byte
			total := 0
			for _, rec := range records(b, all) {
				object, _, err := entry.AppendJSON(nil, rec)
				if err != nil {
					b.Fatal(err)
				}
				objects = append(objects, object)
				total += len(object)
			}
			c := entry.NewConverter("message")
			dst := make([]byte, 0, 1<<20)
			b.SetBytes(int64(total))
			b.ReportAllocs()
			for b.Loop() {
				dst = dst[:0]
				for _, object := range objects {
					var err error
					if dst, _, err = c.AppendObject(dst, object); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

func BenchmarkAppendString(b *testing.B) {
	for name, line := range map[string]string{"access": plainLine, "umlauts": strings.Repeat("Größe der Tür ", 14), "clean": strings.Repeat("plain text ", 20)} {
		b.Run(name, func(b *testing.B) {
			dst := make([]byte, 0, 1<<20)
			text := []byte(line)
			b.SetBytes(int64(1000 * len(text)))
			b.ReportAllocs()
			for b.Loop() {
				dst = dst[:0]
				for range 1000 {
					dst = append(entry.AppendString(append(dst, `{"message":`...), text), '}')
				}
			}
		})
	}
}
