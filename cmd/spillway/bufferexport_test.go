package main

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spillway/spillway/internal/diskbuffer"
	"github.com/spillway/spillway/internal/record"
)

// TestExportEntries: an entry is exported with its own time and as an object, and
// where JSON would change it as it came.
func TestExportEntries(t *testing.T) {
	entries := "\x92\xd7\x00\x6b\x00\x00\x00\x00\x00\x00\x01\x81\xa7message\xa5hello" + "\x92\x00\x81\xa1k\xa2\xff\xfe"
	payload := record.AppendBatch(nil, &record.Batch{
		Stream: 3, Kind: record.KindRecords, Encoding: record.EncodingEntry, Count: 2, Time: fillTime.UnixNano(), FirstSeq: 7,
		Bytes: len(entries), Frames: []byte(entries), Origin: record.Origin{Key: [16]byte{1}, Count: 2},
	})
	var out bytes.Buffer
	e := exporter{lines: json.NewEncoder(&out)}
	if err := e.frame(diskbuffer.Frame{Payload: payload, StreamName: func(uint32) string { return "app.web" }}); err != nil {
		t.Fatal(err)
	}
	want := `{"stream":"app.web","seq":7,"time":"2026-11-20T08:08:32.000000001Z","record":{"message":"hello"}}
{"stream":"app.web","seq":8,"time":"` + fillTime.UTC().Format("2006-01-02T15:04:05.999999999Z07:00") + `","entry_base64":"kgCBoWui//4="}
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("exported (-want +got):\n%s", diff)
	}
}
