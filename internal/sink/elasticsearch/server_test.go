package elasticsearch

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spillway/spillway/internal/indexname"
	"github.com/spillway/spillway/internal/sink"
	"github.com/spillway/spillway/internal/sink/sinktest"
)

// op is one action of a bulk request and its document.
type op struct {
	verb string
	meta struct {
		Index    string `json:"_index"`
		ID       string `json:"_id"`
		Routing  string `json:"routing"`
		Pipeline string `json:"pipeline"`
	}
	doc  map[string]any
	text string
}

// server is a node that takes everything, unless a test says otherwise. It is as
// strict with what it reads as the real ones are.
type server struct {
	*httptest.Server
	t testing.TB

	mu    sync.Mutex
	docs  []*op
	known map[string]int // index/id to the place in docs
	bulks [][]*op
	lens  []int // of the bodies
	other []*http.Request
	// answer, if it is set, answers a bulk request in place of what is written below. It
	// returns false to leave it to the server.
	answer func(w http.ResponseWriter, ops []*op) bool
	// item, if it is set, gives the status and the error of an item; 0 leaves it to the
	// server.
	item func(o *op) (int, string)
	// before is asked before anything of the body is read.
	before func(w http.ResponseWriter, r *http.Request) bool
	rest   func(w http.ResponseWriter, r *http.Request, body []byte)
}

func newServer(t testing.TB) *server {
	s := &server{t: t, known: map[string]int{}}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.before != nil && !s.before(w, r) {
		return
	}
	var src io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			s.t.Errorf("a body that is said to be compressed: %v", err)
			return
		}
		src = z
	}
	body, err := io.ReadAll(src)
	if err != nil {
		panic(http.ErrAbortHandler) // It was cut off, which some tests want.
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !strings.HasSuffix(r.URL.Path, "/_bulk") {
		s.other = append(s.other, r)
		if s.rest != nil {
			s.rest(w, r, body)
			return
		}
		fmt.Fprint(w, "{}")
		return
	}
	s.lens = append(s.lens, len(body))
	ops, err := parseBulk(body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprintf(w, `{"error":{"type":"illegal_argument_exception","reason":%q},"status":400}`, err)
		return
	}
	s.bulks = append(s.bulks, ops)
	if s.answer != nil && s.answer(w, ops) {
		return
	}
	var items []string
	for _, o := range ops {
		items = append(items, s.do(o))
	}
	fmt.Fprintf(w, `{"errors":false,"items":[%s]}`, strings.Join(items, ","))
}

// do does what an action says and returns its item.
func (s *server) do(o *op) string {
	if s.item != nil {
		if status, text := s.item(o); status != 0 {
			return itemText(o, status, text)
		}
	}
	if o.meta.ID == "" {
		o.meta.ID = fmt.Sprint("auto", len(s.docs))
	}
	key := o.meta.Index + "/" + o.meta.ID
	at, there := s.known[key]
	switch {
	case o.verb == "delete":
		if !there {
			return itemText(o, 404, "")
		}
		s.docs[at] = nil
		delete(s.known, key)
		return itemText(o, 200, "")
	case there && o.verb == "create":
		return itemText(o, 409, errorText("version_conflict_engine_exception", "[x]: version conflict, document already exists"))
	case there:
		s.docs[at] = o
		return itemText(o, 200, "")
	}
	s.known[key] = len(s.docs)
	s.docs = append(s.docs, o)
	return itemText(o, 201, "")
}

func errorText(kind, reason string) string {
	return fmt.Sprintf(`{"type":%q,"reason":%q}`, kind, reason)
}

func itemText(o *op, status int, err string) string {
	id, _ := json.Marshal(o.meta.ID)
	if err != "" {
		return fmt.Sprintf(`{"%s":{"_id":%s,"status":%d,"error":%s}}`, o.verb, id, status, err)
	}
	return fmt.Sprintf(`{"%s":{"_id":%s,"status":%d}}`, o.verb, id, status)
}

func parseBulk(body []byte) ([]*op, error) {
	if len(body) == 0 || body[len(body)-1] != '\n' {
		return nil, fmt.Errorf("the bulk request must be terminated by a newline [\\n]")
	}
	var ops []*op
	lines := bufio.NewReader(bytes.NewReader(body))
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return ops, nil
		} else if err != nil {
			return nil, err
		}
		var action map[string]json.RawMessage
		if err := json.Unmarshal(line, &action); err != nil || len(action) != 1 {
			return nil, fmt.Errorf("Malformed action/metadata line: %q", line)
		}
		o := &op{}
		for verb, meta := range action {
			o.verb = verb
			if err := json.Unmarshal(meta, &o.meta); err != nil {
				return nil, err
			}
		}
		if len(o.meta.ID) > MaxID {
			return nil, fmt.Errorf("id [%s] is too long", o.meta.ID)
		}
		ops = append(ops, o)
		if o.verb == "delete" {
			continue
		}
		if line, err = lines.ReadBytes('\n'); err != nil {
			return nil, err
		}
		o.text = string(line)
		if err := json.Unmarshal(line, &o.doc); err != nil {
			return nil, fmt.Errorf("a document: %w: %q", err, line)
		}
	}
}

// sinkTo makes a sink to the server.
func sinkTo(t testing.TB, s *server, change func(*Options)) *Sink {
	t.Helper()
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	name, err := indexname.Parse("logs", nil)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Hosts: []*url.URL{u}, Transport: &http.Transport{DisableCompression: true}, Index: name, TimeKey: "@timestamp"}
	if change != nil {
		change(&o)
	}
	made, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.Transport.(*http.Transport).CloseIdleConnections() })
	return made
}

func name(t testing.TB, text string) *indexname.Name {
	t.Helper()
	n, err := indexname.Parse(text, nil)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestConformance(t *testing.T) {
	for _, form := range []struct {
		name   string
		run    func(*testing.T, func(*testing.T) sinktest.Destination)
		change func(*Options)
	}{
		{"lines", sinktest.Run, nil},
		{"entries", sinktest.RunEntries, nil},
		{"entries compressed", sinktest.RunEntries, func(o *Options) { o.Gzip = true }},
		{"messages", sinktest.RunMessages, nil},
		{"lines in small requests", sinktest.Run, func(o *Options) { o.RequestSize = 100 << 10 }},
	} {
		t.Run(form.name, func(t *testing.T) {
			form.run(t, func(t *testing.T) sinktest.Destination { return openNode(t, form.change) })
		})
	}
}

func openNode(t *testing.T, change func(*Options)) sinktest.Destination {
	s := newServer(t)
	made := sinkTo(t, s, func(o *Options) {
		o.TagKey = "tag"
		if change != nil {
			change(o)
		}
	})
	return sinktest.Destination{
		Sink: made,
		Read: s.entries,
		Fail: func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.answer = func(w http.ResponseWriter, ops []*op) bool {
				s.answer = nil
				for _, o := range ops[:len(ops)/2] {
					s.do(o)
				}
				panic(http.ErrAbortHandler)
			}
		},
	}
}

// entries returns the documents in the order in which they came.
func (s *server) entries() ([]sinktest.Entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []sinktest.Entry
	for _, o := range s.docs {
		if o == nil {
			continue
		}
		text, ok := o.doc["log"].(string)
		if !ok {
			text, _ = o.doc["message"].(string)
		}
		stamp, _ := o.doc["@timestamp"].(string)
		at, err := time.Parse(time.RFC3339Nano, stamp)
		if err != nil {
			return nil, err
		}
		all = append(all, sinktest.Entry{Stream: fmt.Sprint(o.doc["tag"]), Time: at, Text: text})
	}
	// Readers sort by time.
	slices.SortStableFunc(all, func(a, b sinktest.Entry) int { return a.Time.Compare(b.Time) })
	return all, nil
}

var _ sink.Sink = (*Sink)(nil)
