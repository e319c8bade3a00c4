package run_test

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spillway/spillway/internal/entry"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/run"
)

// message is a chunk of one message that no JSON sink takes.
func message(topic, value string) record.Chunk {
	return record.Chunk{
		Tag: "kafka." + topic, Time: time.Now().UnixNano(), Encoding: record.EncodingMessage, Count: 1,
		Partition: record.Partition{Topic: topic, ID: [16]byte{1}, Number: 3},
		Bodies:    record.AppendMessage(nil, &record.Message{Time: 1_700_000_000_000_000_000, Offset: 41, Form: record.FormJSON, Key: []byte("k\xff"), Value: []byte(value)}),
	}
}

// TestFailedTag: what was a message and becomes a dead letter is sent as a record of a
// tag of its own as well, in the form of before and with more; copies of what was no
// message are not made, nor copies of copies.
func TestFailedTag(t *testing.T) {
	r := newRig(t)
	r.places["one"].refuses(true)
	f := r.file(1<<20, "kafka.**: one", "failed: one two", "app: one")
	f.FailedTag = "failed"
	s := r.start(f)
	r.expect(s.handChunk(message("orders", "not JSON \xff")), true)
	r.expect(s.hand("app", "a line"), true)
	r.await("the copy is delivered", func(p run.Report) bool { return p.Delivered == 1 && p.DeadLettered == 3 })
	report := r.stop(time.Minute)
	if report.Received != 4 || report.FailedNotCopied != 0 {
		t.Errorf("%+v, %d not copied", report.Sheet, report.FailedNotCopied)
	}
	got := r.places["two"].has()
	if len(got) != 1 || !strings.HasPrefix(got[0], "failed ") {
		t.Fatalf("got %q, want one record of the tag failed", got)
	}
	_, body, err := entry.Split([]byte(got[0][len("failed "):]))
	if err != nil {
		t.Fatal(err)
	}
	text, _, err := entry.AppendJSON(nil, body)
	if err != nil {
		t.Fatal(err)
	}
	var have map[string]any
	if err := json.Unmarshal(text, &have); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"message": "not JSON \uFFFD", "error": "", "reason": "rejected-invalid", "destination": "one", "tag": "kafka.orders",
		"topic": "orders", "partition": 3.0, "offset": 41.0, "key": "k\uFFFD",
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Error(diff)
	}
}

// TestFailedTagBound: the bound of copies that wait is one of the copies, which are larger
// than what they are of where that is no UTF-8.
func TestFailedTagBound(t *testing.T) {
	r := newRig(t)
	r.places["one"].refuses(true)
	f := r.file(8<<20, "kafka.**: one", "failed: two")
	f.FailedTag = "failed"
	s := r.start(f)
	r.expect(s.handChunk(message("orders", strings.Repeat("a\xff", 300<<10))), true)
	r.await("the letter is kept", func(p run.Report) bool { return p.DeadLettered == 1 })
	if report := r.stop(time.Minute); report.Received != 1 || report.FailedNotCopied != 1 {
		t.Errorf("%+v, %d not copied; want the message alone, and 1", report.Sheet, report.FailedNotCopied)
	}
}

// TestFailedTagOfMany: letters wait for their copies while a route takes them.
func TestFailedTagOfMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // How long letters wait is a time.
		r := newRig(t)
		r.places["one"].refuses(true)
		f := r.file(8<<20, "kafka.**: one", "failed: two")
		f.FailedTag = "failed"
		s := r.start(f)
		const all = 5000
		chunk := message("orders", "not JSON")
		m := record.Message{Time: 1, Form: record.FormJSON, Value: []byte("not JSON")}
		chunk.Bodies, chunk.Count = nil, all
		for m.Offset = range int64(all) {
			chunk.Bodies = record.AppendMessage(chunk.Bodies, &m)
		}
		r.expect(s.handChunk(chunk), true)
		r.await("the copies are delivered", func(p run.Report) bool { return p.DeadLettered == all && p.Delivered+p.FailedNotCopied == all })
		if report := r.stop(time.Minute); report.FailedNotCopied != 0 || len(r.places["two"].has()) != all {
			t.Errorf("%+v, %d not copied", report.Sheet, report.FailedNotCopied)
		}
	})
}

// TestFailedTagOff: without the option nothing is copied.
func TestFailedTagOff(t *testing.T) {
	r := newRig(t)
	r.places["one"].refuses(true)
	s := r.start(r.file(1<<20, "kafka.**: one", "failed: two"))
	r.expect(s.handChunk(message("orders", "x")), true)
	if report := r.stop(time.Minute); report.Received != 1 || report.DeadLettered != 1 {
		t.Errorf("%+v", report.Sheet)
	}
}
