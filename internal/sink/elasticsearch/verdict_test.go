package elasticsearch

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/sink"
	"github.com/spillway/spillway/internal/sink/sinktest"
)

// lines is a request of n lines.
func lines(n int) *sinktest.Request {
	events := make([]sinktest.Event, n)
	for i := range events {
		events[i] = sinktest.Event{Time: time.Unix(1_700_000_000, 0), Body: fmt.Sprintf("line %d", i)}
	}
	return sinktest.NewRequest(events...)
}

func number(o *op) int {
	n, err := strconv.Atoi(strings.TrimPrefix(fmt.Sprint(o.doc["message"]), "line "))
	if err != nil {
		return -1
	}
	return n
}

// status makes the items of lines with these numbers answer so.
func status(code int, kind, reason string, of ...int) func(*op) (int, string) {
	return func(o *op) (int, string) {
		if slices.Contains(of, number(o)) {
			return code, errorText(kind, reason)
		}
		return 0, ""
	}
}

// What an item is answered decides what becomes of its record, and of no other.
func TestItemVerdicts(t *testing.T) {
	again := []sink.Span{{First: 3, End: 4}}
	reject := func(why ledger.Reason, status int, detail string) []sink.Rejection {
		return []sink.Rejection{{First: 3, End: 4, Reason: string(why), Status: status, Detail: detail}}
	}
	for _, c := range []struct {
		name   string
		item   func(*op) (int, string)
		change func(*Options)
		want   sink.Outcome
		err    string
	}{
		{name: "mapping conflict", item: status(400, "mapper_parsing_exception", "failed to parse field [n]", 3),
			want: sink.Outcome{Rejected: reject(ledger.RejectedInvalid, 400, "400 mapper_parsing_exception: failed to parse field [n]")}},
		{name: "field explosion", item: status(400, "illegal_argument_exception", "Limit of total fields [1000] has been exceeded", 3),
			want: sink.Outcome{Rejected: reject(ledger.RejectedInvalid, 400, "400 illegal_argument_exception: Limit of total fields [1000] has been exceeded")}},
		{name: "too large", item: status(413, "too_large", "x", 3), want: sink.Outcome{Rejected: reject(ledger.RejectedTooLong, 413, "413 too_large: x")}},
		{name: "queue full", item: status(429, "es_rejected_execution_exception", "queue", 3), want: sink.Outcome{Again: again, Throttled: true}, err: "1 of 8 records"},
		{name: "unavailable", item: status(503, "unavailable_shards_exception", "primary", 3), want: sink.Outcome{Again: again, Throttled: true}, err: "503"},
		{name: "internal", item: status(500, "x", "y", 3), want: sink.Outcome{Again: again, Doubtful: again}, err: "500"},
		{name: "unknown", item: status(499, "x", "y", 3), want: sink.Outcome{Again: again}, err: "499"},
		{name: "disk full", item: status(429, "cluster_block_exception", "flood", 3), want: sink.Outcome{Again: again, Config: true}, err: "cluster_block"},
		{name: "read-only", item: status(403, "cluster_block_exception", "index read-only", 3), want: sink.Outcome{Again: again, Config: true}, err: "403"},
		{name: "no rights", item: status(403, "security_exception", "unauthorized", 3), want: sink.Outcome{Again: again, Config: true}, err: "403"},
		{name: "index missing", item: status(404, "index_not_found_exception", "no such index", 3), want: sink.Outcome{Again: again, Config: true}, err: "404"},
		{name: "index closed", item: status(400, "index_closed_exception", "closed", 3), want: sink.Outcome{Again: again, Config: true}, err: "closed"},
		{name: "pipeline missing", item: status(400, "illegal_argument_exception", "pipeline with id [x] does not exist", 3), want: sink.Outcome{Again: again, Config: true}, err: "pipeline"},
		{name: "cancelled", item: status(400, "task_cancelled_exception", "parent task was cancelled [request timed out after [500ms]]", 3),
			want: sink.Outcome{Again: again, Doubtful: again}, err: "cancelled"},
		{name: "one of these is not valid", item: status(400, "action_request_validation_exception", "Validation Failed: 1: id is too long", 3),
			want: sink.Outcome{Again: again}},
		{name: "one of these is too large", item: status(429, "es_rejected_execution_exception",
			"Request contains an operation of size [921839] bytes, which exceeds the maximum allowed limit of [512000] bytes", 3),
			want: sink.Outcome{Again: again}},
		{name: "refused, given up", item: status(403, "security_exception", "no", 3), change: func(o *Options) { o.RejectRefused = true },
			want: sink.Outcome{Rejected: reject(ledger.RejectedRefused, 403, "403 security_exception: no")}},
		{name: "there already", item: status(409, "version_conflict_engine_exception", "exists", 3), want: sink.Outcome{AlreadyThere: 1}},
		{name: "a conflict of something else", item: status(409, "status_exception", "the model of the pipeline must be deployed", 3), want: sink.Outcome{Again: again}, err: "deployed"},
		{name: "not found, in words alone", item: func(o *op) (int, string) {
			if number(o) == 3 {
				return 404, `"no such index"`
			}
			return 0, ""
		}, want: sink.Outcome{Again: again, Config: true}, err: "no such index"},
		{name: "without a type", item: func(o *op) (int, string) {
			if number(o) == 3 {
				return 400, `"the words alone"`
			}
			return 0, ""
		}, want: sink.Outcome{Rejected: reject(ledger.RejectedInvalid, 400, "400: the words alone")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t)
			s.item = c.item
			out := sinkTo(t, s, c.change).Send(t.Context(), lines(8))
			c.want.Verdict = sink.Delivered
			if c.err != "" && (out.Err == nil || !strings.Contains(out.Err.Error(), c.err)) {
				t.Errorf("the cause is %v, want one with %q", out.Err, c.err)
			}
			out.Err = nil
			if fmt.Sprintf("%+v", out) != fmt.Sprintf("%+v", c.want) {
				t.Errorf("\ngot  %+v\nwant %+v", out, c.want)
			}
		})
	}
}

// pressure is what Elasticsearch says of so many bytes where so many may be under way.
func pressure(bytes, most int) string {
	return fmt.Sprintf("rejected execution of coordinating operation [coordinating_and_primary_bytes=200, replica_bytes=0, all_bytes=200, "+
		"coordinating_operation_bytes=%d, max_coordinating_bytes=%d]", bytes, most)
}

func rejectedOf(bytes, most int) string {
	return `{"error":` + errorText("es_rejected_execution_exception", pressure(bytes, most)) + `,"status":429}`
}

// What a whole request is answered.
func TestWholeVerdicts(t *testing.T) {
	whole := []sink.Span{{First: 0, End: 4}}
	for _, c := range []struct {
		name   string
		status int
		body   string
		header string
		n      int
		change func(*Options)
		want   sink.Outcome
	}{
		{name: "400", status: 400, body: `{"error":{"type":"x","reason":"y"},"status":400}`, n: 4,
			want: sink.Outcome{Verdict: sink.Refuse, Reason: "rejected-invalid", Status: 400, Doubtful: whole}},
		{name: "400, before anything", status: 400, body: `{"error":{"type":"action_request_validation_exception","reason":"y"}}`, n: 4,
			want: sink.Outcome{Verdict: sink.Refuse, Reason: "rejected-invalid", Status: 400}},
		{name: "400, cancelled", status: 400, body: `{"error":{"type":"task_cancelled_exception","reason":"request timed out after [500ms]"}}`, n: 4,
			want: sink.Outcome{Status: 400, Doubtful: whole}},
		{name: "400, one cancelled", status: 400, body: `{"error":{"type":"task_cancelled_exception","reason":"request timed out after [500ms]"}}`, n: 1,
			want: sink.Outcome{Status: 400, Doubtful: []sink.Span{{First: 0, End: 1}}}},
		{name: "400 of one", status: 400, body: `{"error":{"type":"x","reason":"y"}}`, n: 1,
			want: sink.Outcome{Verdict: sink.Delivered, Rejected: []sink.Rejection{{First: 0, End: 1, Reason: "rejected-invalid", Status: 400, Detail: "400 x: y"}}}},
		{name: "413", status: 413, n: 4, want: sink.Outcome{Verdict: sink.Refuse, Reason: "rejected-too-long", Status: 413, Doubtful: whole}},
		{name: "413 of one", status: 413, n: 1,
			want: sink.Outcome{Verdict: sink.Delivered, Rejected: []sink.Rejection{{First: 0, End: 1, Reason: "rejected-too-long", Status: 413, Detail: "413"}}}},
		{name: "429", status: 429, header: "7", n: 4, want: sink.Outcome{Throttled: true, RetryAfter: 7 * time.Second, Status: 429}},
		{name: "429, under load", status: 429, body: rejectedOf(900, 1000), n: 4, want: sink.Outcome{Throttled: true, Status: 429}},
		{name: "429, no more than there is", status: 429, body: rejectedOf(90, 100), n: 4,
			want: sink.Outcome{Verdict: sink.Refuse, Reason: "rejected-too-long", Status: 429}},
		{name: "429, never", status: 429, body: rejectedOf(1001, 1000), n: 4, want: sink.Outcome{Verdict: sink.Refuse, Reason: "rejected-too-long", Status: 429}},
		{name: "429 of one, never", status: 429, body: rejectedOf(1001, 1000), n: 1, want: sink.Outcome{Verdict: sink.Delivered, Rejected: []sink.Rejection{
			{First: 0, End: 1, Reason: "rejected-too-long", Status: 429, Detail: "429 es_rejected_execution_exception: " + pressure(1001, 1000)}}}},
		{name: "503", status: 503, n: 4, want: sink.Outcome{Throttled: true, Status: 503, Doubtful: whole}},
		{name: "502", status: 502, body: "<html>", n: 4, want: sink.Outcome{Status: 502, Doubtful: whole}},
		{name: "500", status: 500, n: 4, want: sink.Outcome{Status: 500, Doubtful: whole}},
		{name: "202", status: 202, n: 4, want: sink.Outcome{Config: true, Status: 202, Doubtful: whole}},
		{name: "401", status: 401, n: 4, want: sink.Outcome{Config: true, Status: 401}},
		{name: "403", status: 403, n: 4, want: sink.Outcome{Config: true, Status: 403}},
		{name: "404", status: 404, n: 4, want: sink.Outcome{Config: true, Status: 404}},
		{name: "405", status: 405, n: 4, want: sink.Outcome{Config: true, Status: 405}},
		{name: "302", status: 302, n: 4, want: sink.Outcome{Config: true, Status: 302}},
		{name: "403 given up", status: 403, n: 1, change: func(o *Options) { o.RejectRefused = true },
			want: sink.Outcome{Verdict: sink.Delivered, Rejected: []sink.Rejection{{First: 0, End: 1, Reason: "rejected-refused", Status: 403, Detail: "403"}}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t)
			s.answer = func(w http.ResponseWriter, _ []*op) bool {
				if c.header != "" {
					w.Header().Set("Retry-After", c.header)
				}
				w.WriteHeader(c.status)
				fmt.Fprint(w, c.body)
				return true
			}
			out := sinkTo(t, s, c.change).Send(t.Context(), lines(c.n))
			if c.want.Verdict != sink.Delivered && out.Err == nil {
				t.Error("there is no cause")
			}
			out.Err = nil
			if fmt.Sprintf("%+v", out) != fmt.Sprintf("%+v", c.want) {
				t.Errorf("\ngot  %+v\nwant %+v", out, c.want)
			}
		})
	}
}

// An answer that is not whole, or not about what was sent, says nothing: all is
// tried again.
func TestBadAnswers(t *testing.T) {
	items := func(ops []*op) string {
		var all []string
		for _, o := range ops {
			all = append(all, itemText(o, 201, ""))
		}
		return strings.Join(all, ",")
	}
	for name, answer := range map[string]func(ops []*op) string{
		"too few":   func(ops []*op) string { return `{"errors":false,"items":[` + items(ops[1:]) + `]}` },
		"too many":  func(ops []*op) string { return `{"errors":false,"items":[` + items(append(ops, ops[0])) + `]}` },
		"swapped":   func(ops []*op) string { ops[1], ops[2] = ops[2], ops[1]; return `{"items":[` + items(ops) + `]}` },
		"other ids": func(ops []*op) string { ops[1].meta.ID += "x"; return `{"items":[` + items(ops) + `]}` },
		"no ids": func(ops []*op) string {
			return `{"items":[` + strings.Repeat(`{"create":{"status":201}},`, len(ops)-1) + `{"create":{"status":201}}]}`
		},
		"none":         func(ops []*op) string { return `{"errors":false,"items":[]}` },
		"no items":     func(ops []*op) string { return `{"errors":false}` },
		"an error":     func(ops []*op) string { return `{"error":{"type":"x"},"status":500}` },
		"empty":        func(ops []*op) string { return "" },
		"not JSON":     func(ops []*op) string { return "<html>proxy</html>" },
		"cut in items": func(ops []*op) string { s := `{"items":[` + items(ops); return s[:len(s)-20] },
		"cut at end":   func(ops []*op) string { return `{"items":[` + items(ops) + `]` },
		"more behind":  func(ops []*op) string { return `{"items":[` + items(ops) + `]}{` },
		"no status": func(ops []*op) string {
			return `{"items":[` + strings.ReplaceAll(items(ops), `"status":201`, `"status":"x"`) + `]}`
		},
		"item no object": func(ops []*op) string {
			return `{"items":[` + strings.Repeat("1,", len(ops)-1) + `1]}`
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			s.answer = func(w http.ResponseWriter, ops []*op) bool {
				fmt.Fprint(w, answer(ops))
				return true
			}
			out := sinkTo(t, s, nil).Send(t.Context(), lines(8))
			if out.Verdict != sink.Retry || out.Err == nil || !slices.Equal(out.Doubtful, []sink.Span{{First: 0, End: 8}}) || len(out.Rejected) > 0 {
				t.Errorf("the outcome is %+v, want that all is tried again", out)
			}
		})
	}
}

// Answers that are well made but look otherwise than those that are read quickly.
func TestUnusualAnswers(t *testing.T) {
	for name, form := range map[string]string{
		"all members": `{"took":30,"items":[%s],"errors":false,"ingest_took":{"x":["]}"]}}`,
		"spaces":      "{ \"errors\" : false , \"items\" : [ %s ] }\n",
	} {
		for kind, item := range map[string]string{
			"other order": `{"create":{"_index":"logs","status":201,"_seq_no":7,"_shards":{"total":2},"_id":"%s"}}`,
			"spaced":      `{ "create" : { "_id" : "%s" , "status" : 201 } }`,
		} {
			t.Run(name+", "+kind, func(t *testing.T) {
				s := newServer(t)
				s.answer = func(w http.ResponseWriter, ops []*op) bool {
					var all []string
					for _, o := range ops {
						all = append(all, fmt.Sprintf(item, o.meta.ID))
					}
					fmt.Fprintf(w, form, strings.Join(all, ","))
					return true
				}
				out := sinkTo(t, s, nil).Send(t.Context(), lines(2000))
				if out.Verdict != sink.Delivered || out.Err != nil {
					t.Errorf("the outcome is %+v", out)
				}
			})
		}
	}
}

// A body that is refused for its size makes smaller ones; the rest of a request
// leaves at once, and nothing is rejected.
func TestSmallerBodies(t *testing.T) {
	s := newServer(t)
	const most = 100 << 10
	s.before = func(w http.ResponseWriter, r *http.Request) bool {
		r.Body = http.MaxBytesReader(w, r.Body, most)
		return true
	}
	s.answer = nil
	tooLarge := 0
	handler := s.Server.Config.Handler
	s.Server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength > most {
			tooLarge++
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			return
		}
		handler.ServeHTTP(w, r)
	})
	made := sinkTo(t, s, nil)
	events := make([]sinktest.Event, 40)
	for i := range events {
		events[i] = sinktest.Event{Time: time.Unix(1_700_000_000, int64(i)), Body: fmt.Sprintf("%d %s", i, strings.Repeat("x", 10<<10))}
	}
	// The server cuts a body off that is too large, which looks like a reset, or
	// answers 413: it takes two of the former, or one of the latter, to learn.
	rest := sinktest.NewRequest(events...)
	delivered, attempts := 0, 0
	for len(events) > 0 {
		if attempts++; attempts > 20 {
			t.Fatal("it goes on for ever")
		}
		out := made.Send(t.Context(), rest)
		switch out.Verdict {
		case sink.Retry, sink.Refuse:
			continue
		}
		if len(out.Rejected) > 0 {
			t.Fatalf("records are rejected: %+v", out)
		}
		left := 0
		for _, a := range out.Again {
			left += a.End - a.First
			if a.End != len(events) || out.Err != nil {
				t.Fatalf("what is to be sent again: %+v", out)
			}
		}
		delivered += len(events) - left
		events = events[len(events)-left:]
		if len(events) > 0 {
			for i := range events {
				events[i].Seq = uint64(40 - len(events) + i + 1)
			}
			rest = sinktest.NewRequest(events...)
		}
	}
	if delivered != 40 || len(s.docs) != 40 {
		t.Errorf("%d delivered, %d documents; want 40 of each", delivered, len(s.docs))
	}
	if slices.Max(s.lens) > most {
		t.Errorf("a body has %d bytes, more than the %d that are taken", slices.Max(s.lens), most)
	}
}

// A conflict on an id of a field is a success only where an earlier attempt may have
// arrived.
func TestConflicts(t *testing.T) {
	request := func() *sinktest.Request {
		return sinktest.NewRequest(sinktest.Event{Time: time.Unix(1_700_000_000, 0), Packed: "\x92\x01\x81\xa2id\xa1x"})
	}
	for _, c := range []struct {
		name     string
		change   func(*Options)
		repeated []sink.Span
		want     string
	}{
		{"field", func(o *Options) { o.ID, o.IDFieldName = IDField, "id" }, nil, "rejected-conflict false"},
		{"field, dropped", func(o *Options) { o.ID, o.IDFieldName, o.DropConflicts = IDField, "id", true }, nil, "rejected-conflict true"},
		{"field, repeated", func(o *Options) { o.ID, o.IDFieldName = IDField, "id" }, []sink.Span{{End: 1}}, "already there"},
		{"hash", func(o *Options) { o.ID = IDHash }, nil, "duplicate true"},
		{"hash, repeated", func(o *Options) { o.ID = IDHash }, []sink.Span{{End: 1}}, "already there"},
		{"field, upsert", func(o *Options) { o.ID, o.IDFieldName, o.Operation = IDField, "id", Upsert }, nil, "again"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t)
			s.item = func(*op) (int, string) { return 409, errorText("version_conflict_engine_exception", "exists") }
			r := request()
			r.Again = c.repeated
			out := sinkTo(t, s, c.change).Send(t.Context(), r)
			got := "again"
			switch {
			case len(out.Rejected) == 1:
				got = fmt.Sprint(out.Rejected[0].Reason, " ", out.Rejected[0].Drop)
			case out.AlreadyThere == 1:
				got = "already there"
			}
			if got != c.want {
				t.Errorf("got %s (%+v), want %s", got, out, c.want)
			}
		})
	}
}

// Of two records of one id in a request that may have arrived, the destination has the
// first alone.
func TestConflictsOfOneID(t *testing.T) {
	s := newServer(t)
	s.item = func(*op) (int, string) { return 409, errorText("version_conflict_engine_exception", "exists") }
	event := func(v string) sinktest.Event {
		return sinktest.Event{Time: time.Unix(1_700_000_000, 0), Packed: "\x92\x01\x82\xa2id\xa1x\xa1v\xa1" + v}
	}
	r := sinktest.NewRequest(event("1"), event("2"))
	r.Again = []sink.Span{{End: 2}}
	out := sinkTo(t, s, func(o *Options) { o.ID, o.IDFieldName = IDField, "id" }).Send(t.Context(), r)
	if out.AlreadyThere != 1 || len(out.Rejected) != 1 || out.Rejected[0].First != 1 || out.Rejected[0].Reason != "rejected-conflict" {
		t.Errorf("%+v, want the first to be there already and the second to be rejected", out)
	}
}

// Ids that no destination takes are found before anything is sent, and so are
// records that have none; their neighbours are delivered.
func TestBadIDs(t *testing.T) {
	s := newServer(t)
	packed := func(id string) sinktest.Event {
		return sinktest.Event{Time: time.Unix(1_700_000_000, 0),
			Packed: "\x92\x01\x81\xa2id\xda" + string([]byte{byte(len(id) >> 8), byte(len(id))}) + id}
	}
	made := sinkTo(t, s, func(o *Options) { o.ID, o.IDFieldName = IDField, "id" })
	out := made.Send(t.Context(), sinktest.NewRequest(
		packed("good"), packed(strings.Repeat("x", 513)), packed(strings.Repeat("y", 512)), packed(""), packed("\xff"),
		sinktest.Event{Time: time.Unix(1, 0), Packed: "\x92\x01\x80"}, packed(`with "quotes" and \`)))
	var bad []int
	for _, r := range out.Rejected {
		bad = append(bad, r.First)
	}
	if out.Verdict != sink.Delivered || !slices.Equal(bad, []int{1, 3, 4, 5}) || len(s.docs) != 3 {
		t.Errorf("rejected %v with %d documents (%+v), want 1, 3, 4, 5 and 3", bad, len(s.docs), out)
	}
}

// A node that breaks off may have taken what it got, though one that was tried before it
// could not be reached.
func TestBrokenOffBehindANodeThatIsGone(t *testing.T) {
	gone := newServer(t)
	gone.Close()
	s := newServer(t)
	s.answer = func(http.ResponseWriter, []*op) bool { panic(http.ErrAbortHandler) }
	made := sinkTo(t, s, func(o *Options) { o.Hosts = append(sinkTo(t, gone, nil).o.Hosts, o.Hosts...) })
	if out := made.Send(t.Context(), lines(3)); out.Verdict != sink.Retry || out.Err == nil || !slices.Equal(out.Doubtful, []sink.Span{{First: 0, End: 3}}) {
		t.Errorf("%+v, want that the records may have arrived", out)
	}
}

// What nobody can be reached for is no answer; a node that refuses connections is
// passed over within the attempt.
func TestNodes(t *testing.T) {
	gone := newServer(t)
	gone.Close()
	s := newServer(t)
	both := func(o *Options) { o.Hosts = append(sinkTo(t, gone, nil).o.Hosts, o.Hosts...) }
	made := sinkTo(t, s, both)
	for range 4 {
		if out := made.Send(t.Context(), lines(3)); out.Verdict != sink.Delivered {
			t.Fatalf("with one node of two: %+v", out)
		}
	}
	alone := sinkTo(t, gone, nil)
	if out := alone.Send(t.Context(), lines(3)); out.Verdict != sink.Retry || out.Doubtful != nil || out.Err == nil {
		t.Errorf("with no node: %+v", out)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if out := made.Send(ctx, lines(3)); out.Verdict != sink.Retry || !errors.Is(out.Err, context.Canceled) {
		t.Errorf("with a context that is over: %+v", out)
	}
}
