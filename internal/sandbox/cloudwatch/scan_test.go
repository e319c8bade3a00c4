package cloudwatch

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// plainRequest is what a PutLogEvents body says, in a form that both readers can be brought to.
type plainRequest struct {
	Group, Stream string
	Events        []plainEvent
}

type plainEvent struct {
	Time       int64
	Message    string
	HasTime    bool
	HasMessage bool
}

// scanned runs the scanner under test.
func scanned(body []byte) (plainRequest, error) {
	var p putRequest
	if err := p.scan(body); err != nil {
		return plainRequest{}, err
	}
	out := plainRequest{Group: p.group, Stream: p.stream}
	for i := range p.events {
		e := &p.events[i]
		message := ""
		if e.has&hasMessage != 0 {
			message = string(appendUnescaped(nil, p.message(e), -1))
			if len(message) != int(e.message.length) {
				return plainRequest{}, errors.New("the length counted is not that of the message " + message)
			}
		}
		out.Events = append(out.Events, plainEvent{e.time, message, e.has&hasTime != 0, e.has&hasMessage != 0})
	}
	return out, nil
}

// reference reads the same with encoding/json.
func reference(body []byte) (out plainRequest, err error) {
	if !utf8.Valid(body) {
		return out, errors.New("invalid UTF-8")
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil || members == nil {
		return out, errors.Join(err, errors.New("no object"))
	}
	// Every value of a key must be of its type, even one that a later value replaces, so they are read one by one.
	if err := eachMember(body, func(key string, value json.RawMessage) error {
		switch key {
		case "logGroupName":
			out.Group = ""
			return json.Unmarshal(value, &out.Group)
		case "logStreamName":
			out.Stream = ""
			return json.Unmarshal(value, &out.Stream)
		case "logEvents":
			out.Events = nil
			var elements []json.RawMessage
			if err := json.Unmarshal(value, &elements); err != nil {
				return err
			}
			for _, element := range elements {
				e, err := referenceEvent(element)
				if err != nil {
					return err
				}
				out.Events = append(out.Events, e)
			}
		}
		return nil
	}); err != nil {
		return plainRequest{}, err
	}
	return out, nil
}

func referenceEvent(element json.RawMessage) (e plainEvent, err error) {
	err = eachMember(element, func(key string, value json.RawMessage) error {
		switch key {
		case "timestamp":
			if e.HasTime = string(value) != "null"; e.HasTime {
				e.Time = 0
				return json.Unmarshal(value, &e.Time)
			}
		case "message":
			e.Message = ""
			e.HasMessage = string(value) != "null"
			return json.Unmarshal(value, &e.Message)
		}
		return nil
	})
	if !e.HasTime {
		e.Time = 0
	}
	return e, err
}

// eachMember walks the members of an object in their order, double ones included.
func eachMember(object json.RawMessage, visit func(key string, value json.RawMessage) error) error {
	d := json.NewDecoder(strings.NewReader(string(object)))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return errors.Join(err, errors.New("no object"))
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return err
		}
		if err := visit(key.(string), value); err != nil {
			return err
		}
	}
	return nil
}

// check compares the two readers on one body.
func check(t *testing.T, body []byte) {
	t.Helper()
	want, wantErr := reference(body)
	if wantErr == nil && len(want.Events) > MaxBatchEvents {
		return
	}
	got, gotErr := scanned(body)
	if (gotErr == nil) != (wantErr == nil) {
		t.Fatalf("body %q: error %v, encoding/json has %v", body, gotErr, wantErr)
	}
	if wantErr != nil {
		return
	}
	for i := range got.Events { // A time before a null is left over in both; only has counts.
		if !got.Events[i].HasTime {
			got.Events[i].Time = 0
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("body %q: the scanner reads (+) what encoding/json does not (-):\n%s", body, diff)
	}
}

func bodies() []string {
	long := strings.Repeat("0123456789abcdef", 40)
	events := func(s string) string { return `{"logEvents":[` + s + `],"logGroupName":"g","logStreamName":"s"}` }
	return []string{
		events(`{"timestamp":1732100000123,"message":"plain"}`),
		events(`{"message":"other order","timestamp":1}`),
		events(`{"timestamp": 1, "message": "with spaces"}, {"message" : "x" , "timestamp" : 2 }`),
		events(`{"timestamp":1,"message":"` + long + `"},{"timestamp":1,"message":"` + long + `é"}`),
		events(`{"timestamp":1,"message":"\"\\\/\b\f\n\r\t\u0041\u00e9\u20ac\ud83d\ude00"}`),
		events(`{"timestamp":1,"message":"lone \ud800 and \udc00\ud83d\u0041"}`),
		events(`{"timestamp":1,"message":"twice","message":"counts last","timestamp":2}`),
		events(`{"timestamp":1,"message":"x","message":null}`),
		events(`{"timestamp":null,"message":"x"}`),
		events(`{"timesta\u006dp":5,"mess\u0061ge":"escaped keys"}`),
		events(`{"timestamp":-5,"message":""}`), events(`{}`), events(``), events(`{"extra":[1,{"a":"]}"}],"timestamp":1}`),
		` { "logGroupName" : "é\u00e9" , "logStreamName":null, "logEvents": null, "entity":{"a":{"b":[true,false,null,1e5]}} } `,
		`{"logEvents":[{"timestamp":1}],"logEvents":[{"timestamp":2}]}`,
		`{}`, `{"sequenceToken":"]}","x":-0.5e+3}`,
		// What must be refused.
		``, `null`, `[]`, `"x"`, `{`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{"a":1}x`, `{"a":tru}`, `{"a":"b""c"}`, `{"a":[}]}`, `{"a":01}`,
		`{"logEvents":{}}`, `{"logEvents":[1]}`, `{"logEvents":[null]}`, `{"logGroupName":5}`, `{"logGroupName":nullx}`,
		events(`{"timestamp":1.5,"message":"x"}`), events(`{"timestamp":1e3,"message":"x"}`), events(`{"timestamp":"1","message":"x"}`),
		events(`{"timestamp":01,"message":"x"}`), events(`{"timestamp":9223372036854775808,"message":"x"}`), events(`{"timestamp":-,"message":"x"}`),
		events(`{"timestamp":18446744073709551617,"message":"x"}`), events(`{"timestamp":-9223372036854775808,"message":"x"}`),
		events(`{"timestamp":1,"message":5}`), events(`{"timestamp":1,"message":"x",}`), events(`{"timestamp":1 "message":"x"}`),
		events(`{,"timestamp":1}`), events(`{"timestamp":1},`), events(`{"timestamp":1}{}`),
		events("{\"timestamp\":1,\"message\":\"raw\ttab\"}"), events("{\"timestamp\":1,\"message\":\"" + long + "\x00\"}"),
		events("{\"timestamp\":1,\"message\":\"bad \xff byte\"}"), events("{\"timestamp\":1,\"message\":\"" + long + "\xc3\"}"),
		events(`{"timestamp":1,"message":"\x"}`), events(`{"timestamp":1,"message":"\u12G4"}`), events(`{"timestamp":1,"message":"\u12`),
		events(`{"timestamp":1,"message":"open`), "{\"a\xff\":1}", "{\"a\":\"\xff\"}",
	}
}

// TestScan compares the scanner with encoding/json on forms that encoders write and on damaged ones.
func TestScan(t *testing.T) {
	for _, body := range bodies() {
		check(t, []byte(body))
	}
}

// TestScanLengths puts each special character at each place of the words that the scanner reads at a time.
func TestScanLengths(t *testing.T) {
	for length := range 80 {
		for _, special := range []string{`\n`, `\u0031`, "é", "\xff", "\x1f", `"`, `\`, "\x7f"} {
			plain := strings.Repeat("a", length)
			check(t, []byte(`{"logEvents":[{"timestamp":1,"message":"`+plain+special+plain+`"}]}`))
		}
	}
}

func FuzzScan(f *testing.F) {
	for _, body := range bodies() {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) { check(t, body) })
}
