package kafka

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tinylib/msgp/msgp"

	"github.com/spillway/spillway/internal/entry"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/timepattern"
)

// converted is what becomes of a value, maps as JSON.
func converted(t *testing.T, how Convert, value string) (text string, at time.Time, err error) {
	t.Helper()
	c, err := newConverter(&Config{Convert: how})
	if err != nil {
		t.Fatal(err)
	}
	p := newPartition(place{"orders", 3}, "tag")
	m := record.Message{Time: time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC).UnixNano(), Offset: 42, Value: []byte(value), Key: []byte("k\"1")}
	m.Headers = record.AppendHeader(record.AppendHeader(nil, []byte("trace"), []byte("\xff")), []byte("none"), nil)
	c.now = 5e9
	if err := c.convert(&m, p); err != nil {
		return "", time.Time{}, err
	}
	text = string(m.Value)
	if m.Form == record.FormMap {
		json, _, err := entry.AppendJSON(nil, m.Value)
		if err != nil {
			t.Fatalf("%v: %x", err, m.Value)
		}
		text = "map " + string(json)
	}
	return text, time.Unix(0, m.Time).UTC(), nil
}

func TestConvert(t *testing.T) {
	pattern := func(text string) *timepattern.Pattern {
		p, err := timepattern.New(text, nil)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	all := Fields{Key: "key", Headers: "headers", Topic: "topic", Partition: "partition", Offset: "offset", Timestamp: "ts"}
	packed := string(msgp.AppendString(msgp.AppendString(msgp.AppendInt64(msgp.AppendString(msgp.AppendMapHeader(nil, 2), "topic"), 1), "t"), "20/Nov/2026:09:00:00 +0100"))
	stamp := time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)
	line := regexp.MustCompile(`(?P<level>[A-Z]+) (?P<text>.*)(?P<rest>;.*)?$`)
	for _, c := range []struct {
		name  string
		how   Convert
		value string
		want  string
		at    time.Time
		err   string
	}{
		{"json as it is", Convert{}, "[not looked at", "[not looked at", stamp, ""},
		{"json with fields", Convert{Fields: all}, `{"a":1, "topic":"own"}`,
			`{"a":1,"key":"k\"1","headers":{"trace":"/w==","none":null},"topic":"orders","partition":3,"offset":42,"ts":1795161600000}`, stamp, ""},
		{"an empty object with a field", Convert{Fields: Fields{Offset: "o"}}, `{}`, `{"o":42}`, stamp, ""},
		{"no object with fields", Convert{Fields: all}, `[1]`, `[1]`, stamp, ""},
		{"now", Convert{Clock: ClockNow}, `{}`, `{}`, time.Unix(5, 0).UTC(), ""},
		{"the time of a field", Convert{Clock: ClockField, TimeKey: "t", TimePattern: pattern("yyyy-MM-dd'T'HH:mm:ssX")}, `{"t":"2020-01-02T03:04:05+01:00"}`,
			`{"t":"2020-01-02T03:04:05+01:00"}`, time.Date(2020, 1, 2, 2, 4, 5, 0, time.UTC), ""},
		{"a number for a time", Convert{Clock: ClockField, TimeKey: "t", TimePattern: pattern("epoch-millis")}, `{"t":1500}`, `{"t":1500}`, time.Unix(1, 5e8).UTC(), ""},
		{"no time in the field", Convert{Clock: ClockField, TimeKey: "t", TimePattern: pattern("epoch")}, `{"t":"soon"}`, `{"t":"soon"}`, stamp, ""},
		{"text", Convert{Format: FormatText}, "a\nb", "a\nb", stamp, ""},
		{"text with a field", Convert{Format: FormatText, TextKey: "message", Fields: Fields{Partition: "p"}}, "a\nb", `map {"message":"a\nb","p":3}`, stamp, ""},
		{"regexp", Convert{Format: FormatRegexp, Pattern: line}, "at INFO it works", `map {"level":"INFO","text":"it works"}`, stamp, ""},
		{"regexp with a field in the place of a group", Convert{Format: FormatRegexp, Pattern: line, Fields: Fields{Topic: "text"}}, "INFO x", `map {"level":"INFO","text":"orders"}`, stamp, ""},
		{"no match", Convert{Format: FormatRegexp, Pattern: line}, "nothing", "", stamp, "does not match"},
		{"msgpack", Convert{Format: FormatMsgpack, Clock: ClockField, TimeKey: "t", TimePattern: pattern("%d/%b/%Y:%H:%M:%S %z"), Fields: Fields{Topic: "topic"}}, packed,
			`map {"t":"20/Nov/2026:09:00:00 +0100","topic":"orders"}`, stamp, ""},
		{"no map", Convert{Format: FormatMsgpack}, "\x92\x01\x02", "", stamp, "no msgpack map"},
		{"half a map", Convert{Format: FormatMsgpack}, packed[:9], "", stamp, "no msgpack map"},
		{"more than a map", Convert{Format: FormatMsgpack}, packed + "\x01", "", stamp, "1 bytes behind"},
	} {
		got, at, err := converted(t, c.how, c.value)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v, want %s", c.name, err, c.err)
			}
			continue
		}
		if diff := cmp.Diff(c.want, got); err != nil || diff != "" || !at.Equal(c.at) {
			t.Errorf("%s: %v, at %s, %s", c.name, err, at, diff)
		}
	}
}

// FuzzConvert: no value of any format makes anything but a message whose map is one.
func FuzzConvert(f *testing.F) {
	f.Add("\x81\xa1a\x01", true)
	f.Add(`{"a":[1,{"b":"\u0000"}]}`, false)
	f.Fuzz(func(t *testing.T, value string, packed bool) {
		how := Convert{Fields: Fields{Key: "k", Headers: "h", Topic: "t"}, TextKey: "message"}
		if packed {
			how.Format = FormatMsgpack
		}
		c, err := newConverter(&Config{Convert: how})
		if err != nil {
			t.Fatal(err)
		}
		m := record.Message{Value: []byte(value), Key: []byte(value)}
		if c.convert(&m, newPartition(place{"t", 0}, "t")) != nil {
			return
		}
		if body := record.AppendMessage(nil, &m)[record.FrameSize:]; !record.CheckMessage(body) {
			t.Errorf("%q becomes %x", value, m.Value)
		}
	})
}
