package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spillway/spillway/internal/deadletter"
	"github.com/spillway/spillway/internal/diskbuffer"
	"github.com/spillway/spillway/internal/record"
)

var ordersPartition = record.Partition{Topic: "orders", ID: [16]byte{1}, Number: 3}

// messageCases are messages, and how each is exported and shown: what stands behind its
// time, with the names that a letter gives to its value.
var messageCases = []struct {
	name           string
	m              record.Message
	exported, json string
	people         string
}{
	{
		"JSON with all that there can be beside it",
		record.Message{
			Time: 1, Offset: 41, Form: record.FormJSON, Key: []byte("k"), Value: []byte(`{"a": 1}`),
			Headers: record.AppendHeader(record.AppendHeader(record.AppendHeader(nil, []byte("h"), []byte("1")), []byte("n"), nil), []byte("b"), []byte("\xff")),
		},
		`"record":{"a":1},"topic":"orders","partition":3,"offset":41,"key":"k","headers":[{"name":"h","value":"1"},{"name":"n"},{"name":"b","value_base64":"/w=="}]`,
		`"topic":"orders","partition":3,"offset":41,"key":"k","headers":[{"name":"h","value":"1"},{"name":"n"},{"name":"b","value_base64":"/w=="}],"record":{"a":1}`,
		"topic orders partition 3 offset 41 key k header h 1 header n null header b base64 /w== { \"a\": 1 }",
	},
	{
		"what is said to be JSON and is not", record.Message{Offset: 42, Form: record.FormJSON, Key: []byte{0xff}, Value: []byte(`{"a":`)},
		`"message":"{\"a\":","topic":"orders","partition":3,"offset":42,"key_base64":"/w=="`,
		`"topic":"orders","partition":3,"offset":42,"key_base64":"/w==","body":"{\"a\":"`,
		"topic orders partition 3 offset 42 key base64 /w== {\"a\":",
	},
	{
		"a map", record.Message{Offset: 43, Form: record.FormMap, Value: []byte("\x81\xa1a\x01")},
		`"record":{"a":1},"topic":"orders","partition":3,"offset":43`, `"topic":"orders","partition":3,"offset":43,"record":{"a":1}`,
		"topic orders partition 3 offset 43 { \"a\": 1 }",
	},
	{
		"a map that JSON does not hold to the byte", record.Message{Offset: 44, Form: record.FormMap, Value: []byte("\x81\xa1a\xa1\xff")},
		`"message_base64":"gaFhof8=","topic":"orders","partition":3,"offset":44`, `"topic":"orders","partition":3,"offset":44,"body_base64":"gaFhof8="`,
		"topic orders partition 3 offset 44 00000000 81 a1 61 a1 ff |..a..|",
	},
	{
		"text that is none", record.Message{Offset: 45, Value: []byte("caf\xe9")},
		`"message_base64":"Y2Fm6Q==","topic":"orders","partition":3,"offset":45`, `"topic":"orders","partition":3,"offset":45,"body_base64":"Y2Fm6Q=="`,
		"topic orders partition 3 offset 45 00000000 63 61 66 e9 |caf.|",
	},
	{
		"a tombstone", record.Message{Offset: 46, Key: []byte{}, Null: true},
		`"topic":"orders","partition":3,"offset":46,"key":"","null":true`, `"topic":"orders","partition":3,"offset":46,"key":"","null":true`,
		"topic orders partition 3 offset 46 null",
	},
}

// TestExportMessages: a message is exported with what stood beside its value.
func TestExportMessages(t *testing.T) {
	for _, c := range messageCases {
		b := record.Batch{
			Stream: 3, Kind: record.KindRecords, Encoding: record.EncodingMessage, Count: 1, FirstSeq: 7,
			Frames: record.AppendMessage(nil, &c.m), Partition: ordersPartition.Append(nil),
		}
		b.Bytes = len(b.Frames) - record.FrameSize
		var out bytes.Buffer
		e := exporter{lines: json.NewEncoder(&out)}
		err := e.frame(diskbuffer.Frame{Payload: record.AppendBatch(nil, &b), StreamName: func(uint32) string { return "kafka.orders" }})
		if err != nil {
			t.Fatal(err)
		}
		_, got, _ := strings.Cut(strings.TrimSuffix(out.String(), "}\n"), `Z",`)
		if diff := cmp.Diff(c.exported, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

// TestLettersOfMessages: a letter shows the coordinates of its message, key and headers,
// and the value as people can read it; as raw bytes it is the value alone.
func TestLettersOfMessages(t *testing.T) {
	for _, c := range messageCases {
		e := deadletter.Entry{ID: 1, Letter: record.Letter{
			Encoding: record.EncodingMessage, Body: record.AppendMessage(nil, &c.m)[record.FrameSize:], Origin: ordersPartition.Coordinates(c.m.Offset),
		}}
		e.Size = int64(len(e.Body))
		text, err := json.Marshal(letterObject(&e))
		if err != nil {
			t.Fatal(err)
		}
		_, got, _ := strings.Cut(strings.TrimSuffix(string(text), "}"), `,"topic"`)
		if diff := cmp.Diff(c.json, `"topic"`+got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
		var out strings.Builder
		if err := printWhole(&out, &e); err != nil {
			t.Fatal(err)
		}
		_, people, _ := strings.Cut(strings.Join(strings.Fields(out.String()), " "), "attempts 0, from 1970-01-01T00:00:00Z to 1970-01-01T00:00:00Z ")
		before, size, _ := strings.Cut(people, "record message of ")
		_, value, _ := strings.Cut(size, fmt.Sprintf("bytes, of which its value has %d ", len(c.m.Value)))
		if diff := cmp.Diff(c.people, before+value); diff != "" {
			t.Errorf("%s for people (-want +got):\n%s", c.name, diff)
		}
		if raw, _ := valueOf(&e); !bytes.Equal(raw, c.m.Value) {
			t.Errorf("%s: raw is %q", c.name, raw)
		}
		// A list reads the beginning of a long letter alone.
		for ; len(e.Body) > 0; e.Body = e.Body[:len(e.Body)-1] {
			letterObject(&e)
		}
	}
}
