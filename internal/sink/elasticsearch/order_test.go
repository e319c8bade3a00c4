package elasticsearch

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink"
	"github.com/spillway/spillway/internal/sink/sinktest"
)

// Of an id that comes from a field the last record must be the last that the
// destination hears of: those that were taken behind one that was not are sent again.
func TestOrderOfAnID(t *testing.T) {
	s := newServer(t)
	packed := func(id, value string) sinktest.Event {
		return sinktest.Event{Time: time.Unix(1_700_000_000, 0), Packed: "\x92\x01\x82\xa2id\xa1" + id + "\xa1v\xa1" + value}
	}
	first := true
	s.item = func(o *op) (int, string) {
		if first && o.doc["v"] == "1" {
			first = false
			return 429, errorText("es_rejected_execution_exception", "queue")
		}
		return 0, ""
	}
	made := sinkTo(t, s, func(o *Options) { o.ID, o.IDFieldName, o.Operation = IDField, "id", Index })
	if !made.Limits().Keyed {
		t.Error("requests of one id may be in flight together")
	}
	out := made.Send(t.Context(), sinktest.NewRequest(packed("a", "1"), packed("b", "2"), packed("a", "3"), packed("b", "4")))
	want := []sink.Span{{First: 0, End: 1}, {First: 2, End: 3}}
	if !slices.Equal(out.Again, want) {
		t.Errorf("to be sent again: %v, want %v", out.Again, want)
	}
}

// What is created first stays, so a record that was taken behind one of the same id that
// was not is there, and is not sent again: its own document would refuse it.
func TestOvertakenByCreate(t *testing.T) {
	s := newServer(t)
	packed := func(value string) sinktest.Event {
		return sinktest.Event{Time: time.Unix(1_700_000_000, 0), Packed: "\x92\x01\x82\xa2id\xa1x\xa1v\xa1" + value}
	}
	s.item = func(o *op) (int, string) {
		if o.doc["v"] == "1" {
			return 429, errorText("es_rejected_execution_exception", "queue")
		}
		return 0, ""
	}
	made := sinkTo(t, s, func(o *Options) { o.ID, o.IDFieldName = IDField, "id" })
	out := made.Send(t.Context(), sinktest.NewRequest(packed("1"), packed("2")))
	if want := []sink.Span{{First: 0, End: 1}}; !slices.Equal(out.Again, want) {
		t.Errorf("to be sent again: %v, want %v", out.Again, want)
	}
}

// What a key has last is what is there in the end, whichever of its records a destination
// took first; a null value deletes.
func TestOrderOfDeletions(t *testing.T) {
	const deleted = ""
	for _, c := range []struct {
		name      string
		operation Operation
		there     bool     // something is there before
		values    []string // of the key, one after the other
		late      int      // the one of these that is not taken at first
	}{
		{"written late", Index, false, []string{"1", deleted}, 0},
		{"written late over another", Index, true, []string{"1", deleted}, 0},
		{"created late", Create, false, []string{"1", deleted}, 0},
		{"created late, and again", Create, false, []string{"1", deleted, "3"}, 0},
		{"deleted late", Index, true, []string{deleted, "2"}, 0},
		{"deleted late, then created", Create, false, []string{deleted, "2"}, 0},
		{"deleted late, over another", Create, true, []string{deleted, "2"}, 0},
		{"deleted twice", Create, true, []string{deleted, "2", deleted}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t)
			made := sinkTo(t, s, func(o *Options) { o.ID, o.Operation, o.TimeKey = IDKey, c.operation, "" })
			message := func(key, value string) record.Message {
				m := record.Message{Form: record.FormJSON, Key: []byte(key), Value: []byte(value), Null: value == deleted}
				if !m.Null {
					m.Value = fmt.Appendf(nil, `{"v":%q}`, value)
				}
				return m
			}
			if c.there {
				if out := made.Send(t.Context(), messages(message("k", "0"))); out.Verdict != sink.Delivered {
					t.Fatalf("%+v", out)
				}
			}
			all := []record.Message{message("other", deleted), message("other", "1")}
			for _, v := range c.values {
				all = append(all, message("k", v))
			}
			seen := 0
			s.item = func(o *op) (int, string) {
				if o.meta.ID == "k" {
					if seen++; seen == c.late+1 {
						return 429, errorText("es_rejected_execution_exception", "queue")
					}
				}
				return 0, ""
			}
			for attempts := 0; len(all) > 0; attempts++ {
				out := made.Send(t.Context(), messages(all...))
				if out.Verdict != sink.Delivered || attempts > 3 {
					t.Fatalf("attempt %d: %+v", attempts, out)
				}
				var left []record.Message
				for _, a := range out.Again {
					left = append(left, all[a.First:a.End]...)
				}
				all = left
			}
			var want []string
			if last := c.values[len(c.values)-1]; last != deleted {
				want = []string{last}
			}
			var got []string
			for _, o := range s.docs {
				if o != nil && o.meta.ID == "k" {
					got = append(got, fmt.Sprint(o.doc["v"]))
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("there is %q in the end, want %q", got, want)
			}
		})
	}
}

// An item that was not found, of something else than a deletion, is tried again: it is not
// there.
func TestNothingFound(t *testing.T) {
	s := newServer(t)
	s.item = func(o *op) (int, string) {
		if o.verb == "index" {
			return 404, ""
		}
		return 0, ""
	}
	made := sinkTo(t, s, func(o *Options) { o.ID, o.Operation = IDKey, Index })
	key := func(k string) record.Message {
		return record.Message{Form: record.FormJSON, Key: []byte(k), Value: []byte("{}")}
	}
	gone := key("b")
	gone.Null = true
	out := made.Send(t.Context(), messages(key("a"), gone))
	if want := []sink.Span{{First: 0, End: 1}}; !slices.Equal(out.Again, want) || len(out.Rejected) > 0 {
		t.Errorf("%+v, want the first to be sent again", out)
	}
}
