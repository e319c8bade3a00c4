package elasticsearch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"pgregory.net/rapid"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/deliver"
	"github.com/spillway/spillway/internal/indexname"
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
)

// tb is what a test and a property have in common.
type tb interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// world is a node with documents by id, of which other clients write some, and records
// on their way to it. It is the model of what may become of records whose ids come from
// a field: what it does to each is known, whatever it answers.
type world struct {
	tb
	buf     *buffer.Buffer
	deliver *deliver.Deliverer
	ended   chan struct{}
	offset  int64

	mu      sync.Mutex
	docs    map[string]string // by id, the value of the record, or "foreign"
	arrived []string          // the values that were written, in order
	// doubt are the records that may have arrived by what an attempt was answered.
	doubt   map[string]bool
	dead    map[string]string // records among the dead letters, and why
	answers []answered
	others  []foreign
	flight  map[string]int // documents in requests that are under way
	shared  string         // a document that two of them had
	breaks  string         // the value with which the connection ends
	parts   *parts         // how it carries out a body in parts, if it does
	change  func(*Options)
	// spread: of the documents some have one id, and stand in two indices.
	spread bool
	most   int // of requests under way
	active int
}

// parts is a node that begins with the first records of a body while the others are
// still to come.
type parts struct {
	size int // of a part, in records
	// poison are the values of the records that spoil what they are in, and how the node
	// refuses it: the request, or the part and all behind it, as the request where it is
	// the first.
	poison    []string
	times     int // how many requests are spoilt; 0 is all
	whole     bool
	status    int
	kind, why string
}

// answered is how the node answers one attempt: what it does to the first of the
// items, and what it says.
type answered struct {
	how   string
	items []string // what becomes of the items, over and over
	// applied is how many of the items are carried out where the answer is no answer.
	applied int
	pause   time.Duration
}

// foreign is a document of another client, written before the n-th attempt.
type foreign struct {
	attempt int
	id      string
}

var (
	wholeAnswers = []string{"items", "items", "items", "items", "reset", "cut", "429", "503", "500", "400"}
	itemAnswers  = []string{"ok", "ok", "429", "503", "500", "500 and done"}
	someIDs      = []string{"a", "b", "c", "d", "e", "f"}
)

// anyWorld draws a node and what happens there; after that it takes everything.
func anyWorld(t *rapid.T, operation Operation) *world {
	w := newWorld(t)
	for range rapid.IntRange(0, 12).Draw(t, "bad answers") {
		whole := wholeAnswers
		if operation != Create {
			whole = wholeAnswers[:len(wholeAnswers)-1] // What a 400 gives up may be there, and then is not the last.
		}
		a := answered{how: rapid.SampledFrom(whole).Draw(t, "answer"), pause: time.Duration(rapid.IntRange(0, 300).Draw(t, "ms")) * time.Millisecond}
		if a.how == "items" {
			a.items = rapid.SliceOfN(rapid.SampledFrom(itemAnswers), 1, 6).Draw(t, "items")
		} else {
			a.applied = rapid.IntRange(0, 4).Draw(t, "applied")
		}
		w.answers = append(w.answers, a)
	}
	if operation == Create {
		for range rapid.IntRange(0, 2).Draw(t, "foreign documents") {
			w.others = append(w.others, foreign{rapid.IntRange(0, 6).Draw(t, "before attempt"), rapid.SampledFrom(someIDs).Draw(t, "foreign id")})
		}
	}
	w.spread = rapid.Bool().Draw(t, "two indices")
	w.start(operation, rapid.IntRange(1, 6).Draw(t, "events"), rapid.IntRange(1, 4).Draw(t, "in flight"))
	return w
}

func newWorld(t tb) *world {
	return &world{
		tb: t, docs: map[string]string{}, doubt: map[string]bool{}, dead: map[string]string{},
		ended: make(chan struct{}), flight: map[string]int{},
	}
}

// start begins to deliver, so many records in a request and so many requests at once.
func (w *world) start(operation Operation, events, inFlight int) {
	w.Helper()
	index, err := indexname.Parse("logs", nil)
	if err != nil {
		w.Fatal(err)
	}
	o := Options{
		Hosts: []*url.URL{{Scheme: "http", Host: "node"}}, Transport: w, Index: index, Operation: operation, ID: IDField, IDFieldName: "id",
		RequestSize: 8 << 10, Events: events, InFlight: inFlight,
	}
	if w.spread {
		o.IndexField = "ix"
	}
	if w.change != nil {
		w.change(&o)
	}
	s, err := New(o)
	if err != nil {
		w.Fatal(err)
	}
	w.buf = buffer.New(buffer.Config{Limit: 1 << 20, Mode: buffer.Blocking, Sink: s.Limits(), NoLossMarkers: true}, ledger.New())
	w.deliver = deliver.New(deliver.Config{Name: "node", DeadLetters: w, Log: slog.New(slog.NewTextHandler(io.Discard, nil))}, w.buf, s)
	go func() {
		defer close(w.ended)
		w.deliver.Run(context.Background())
	}()
}

// Put implements deliver.DeadLetters.
func (w *world) Put(_ context.Context, letters []record.Letter) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range letters {
		_, value, _ := strings.Cut(string(l.Body), `"v":"`)
		value, _, _ = strings.Cut(value, `"`)
		w.dead[value] = l.Reason
	}
	return nil
}

// hand hands over records with these ids; their values say which they are.
func (w *world) hand(ids ...string) {
	chunk := record.Chunk{
		Tag: "orders", Time: time.Now().UnixNano(), Encoding: record.EncodingMessage, Count: len(ids),
		Partition: record.Partition{Topic: "orders", ID: [16]byte{1}, Number: 3},
	}
	for _, id := range ids {
		index := "logs"
		if at := strings.Index(spreadIDs, id); w.spread && at >= len(spreadIDs)/2 {
			index, id = "others", spreadIDs[at-len(spreadIDs)/2:][:1]
		}
		m := jsonMessage(fmt.Sprintf(`{"id":%q,"v":"%d","ix":%q}`, id, w.offset, index))
		m.Offset, m.Time = w.offset, time.Now().UnixNano()
		chunk.Bodies = record.AppendMessage(chunk.Bodies, &m)
		w.offset++
	}
	w.buf.Admit(w.buf.Open("orders"), &chunk)
}

// spreadIDs are those of which the second half are the first, in another index.
const spreadIDs = "abcdef"

// document tells which document an operation is of: its id, where it is in the usual index.
func document(o *op) string {
	if at := strings.Index(spreadIDs, o.meta.ID); o.meta.Index == "others" {
		return spreadIDs[at+len(spreadIDs)/2:][:1]
	}
	return o.meta.ID
}

// RoundTrip implements http.RoundTripper: it is the node.
func (w *world) RoundTrip(r *http.Request) (*http.Response, error) {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	ops, err := parseBulk(text)
	if err != nil {
		return nil, fmt.Errorf("BUG: the body is no bulk: %w", err)
	}
	a := w.begin(ops)
	if w.breaks != "" && slices.ContainsFunc(ops, func(o *op) bool { return valueOf(o) == w.breaks }) {
		a = answered{how: "reset"}
	}
	time.Sleep(a.pause)
	status, answer := w.carryOut(a, ops)
	if status == 0 {
		return nil, errors.New("read tcp: connection reset by peer")
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(answer)), Request: r}, nil
}

// begin notes which ids are under way, and says how the attempt is answered.
func (w *world) begin(ops []*op) (a answered) {
	w.mu.Lock()
	defer w.mu.Unlock()
	a = answered{how: "items", items: []string{"ok"}, pause: time.Millisecond}
	if len(w.answers) > 0 {
		a, w.answers = w.answers[0], w.answers[1:]
	}
	w.active++
	w.most = max(w.most, w.active)
	mine := map[string]bool{}
	for _, o := range ops {
		if mine[document(o)] = o.meta.ID != ""; w.flight[document(o)] > 0 {
			w.shared = document(o)
		}
	}
	for id := range mine {
		w.flight[id]++
	}
	for i := range w.others {
		f := &w.others[i]
		if f.attempt--; f.attempt < 0 && w.docs[f.id] == "" {
			w.docs[f.id] = "foreign"
		}
	}
	return a
}

func (w *world) carryOut(a answered, ops []*op) (status int, answer []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.active--
	mine := map[string]bool{}
	for _, o := range ops {
		mine[document(o)] = o.meta.ID != ""
	}
	for id := range mine {
		w.flight[id]--
	}
	if a.how == "items" && w.parts != nil {
		return w.inParts(ops)
	}
	if a.how == "items" {
		var items []string
		for i, o := range ops {
			items = append(items, w.item(a.items[i%len(a.items)], o))
		}
		return http.StatusOK, fmt.Appendf(nil, `{"errors":true,"items":[%s]}`, strings.Join(items, ","))
	}
	if a.how != "429" {
		for i, o := range ops {
			if a.how == "400" && len(ops) == 1 {
				break // It is refused, not carried out in part.
			}
			w.doubt[valueOf(o)] = true
			if i < a.applied {
				w.item("ok", o)
			}
		}
	}
	switch a.how {
	case "reset":
		return 0, nil
	case "cut":
		return http.StatusOK, []byte(`{"errors":false,"items":[`)
	}
	status, err := strconv.Atoi(a.how)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return status, []byte(`{"error":{"type":"x","reason":"y"}}`)
}

// inParts carries out one part after the other.
func (w *world) inParts(ops []*op) (status int, answer []byte) {
	p := w.parts
	var items []string
	spoilt, poison := false, p.poison
	if p.times--; p.times == 0 {
		p.poison = nil
	}
	for start := 0; start < len(ops); start += p.size {
		part := ops[start:min(start+p.size, len(ops))]
		spoilt = spoilt || slices.ContainsFunc(part, func(o *op) bool { return slices.Contains(poison, valueOf(o)) })
		if spoilt && (p.whole || start == 0) {
			return p.status, fmt.Appendf(nil, `{"error":%s,"status":%d}`, errorText(p.kind, p.why), p.status)
		}
		for _, o := range part {
			if spoilt {
				items = append(items, itemText(o, p.status, errorText(p.kind, p.why)))
			} else {
				items = append(items, w.item("ok", o))
			}
		}
	}
	return http.StatusOK, fmt.Appendf(nil, `{"errors":true,"items":[%s]}`, strings.Join(items, ","))
}

// valueOf is the value of the record that an operation brings, which says which it is.
func valueOf(o *op) string {
	if inner, ok := o.doc["doc"].(map[string]any); ok {
		return fmt.Sprint(inner["v"])
	}
	return fmt.Sprint(o.doc["v"])
}

// item carries out one action, or does not, and returns what the answer says of it.
func (w *world) item(how string, o *op) string {
	id, value := document(o), valueOf(o)
	switch how {
	case "429", "503":
		return itemText(o, map[string]int{"429": 429, "503": 503}[how], errorText("es_rejected_execution_exception", "queue"))
	case "500":
		w.doubt[value] = true
		return itemText(o, 500, errorText("x", "y"))
	}
	if w.docs[id] != "" && o.verb == "create" {
		return itemText(o, 409, errorText("version_conflict_engine_exception", "exists"))
	}
	if id == "" {
		id = fmt.Sprint("auto", len(w.arrived))
	}
	w.docs[id] = value
	w.arrived = append(w.arrived, value)
	if how == "500 and done" {
		w.doubt[value] = true
		return itemText(o, 500, errorText("x", "y"))
	}
	return itemText(o, 201, "")
}

// end waits until all is delivered, and holds the balance.
func (w *world) end() {
	w.deliver.Drain()
	<-w.ended
	b := w.buf.Balance()
	if b.Received != w.offset || b.Delivered+b.DeadLettered != b.Received || b.DeadLettered != int64(len(w.dead)) || b.Pending != 0 || b.Unaccounted != 0 {
		w.Fatalf("the balance is %+v; want %d received, %d dead letters and the rest delivered", b.Sheet, w.offset, len(w.dead))
	}
	if w.shared != "" {
		w.Fatalf("two requests under way are of the document %s", w.shared)
	}
}
