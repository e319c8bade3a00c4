package real

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/deliver"
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink/elasticsearch"
	"github.com/spillway/spillway/test/launcher/harness"
	"github.com/spillway/spillway/test/real/parts"
)

// A node of Elasticsearch that begins with the first records of a body while the others are still to
// come refuses what it has carried out in part: with a line that it cannot read, with too many bytes,
// with one record that is not valid or too large for it, with a connection that ends. Each record is
// there once, but where the node makes the ids, and the bad ones are dead letters, and they alone.
func TestSearchBodiesInParts(t *testing.T) {
	nodes := []string{parts.Elasticsearch8}
	if harness.Long() {
		nodes = append(nodes, parts.Elasticsearch9)
	}
	for _, name := range nodes {
		t.Run(name, func(t *testing.T) {
			parts.Need(t, name)
			settings := map[string]string{"indexing_pressure.memory.limit": "1mb", "http.max_content_length": "2mb", "rest.incremental_bulk": "true"}
			for _, mark := range []string{"low", "low.bulk_size", "high", "high.bulk_size"} {
				settings["indexing_pressure.memory.split_bulk.watermark."+mark] = "1kb"
			}
			if name == parts.Elasticsearch9 {
				settings["indexing_pressure.memory.max_operation_size"] = "500kb"
			}
			node := parts.StartSearch(t, name, parts.SearchOptions{Settings: settings})
			node.Must(t, http.MethodPut, "/_index_template/parts", `{"index_patterns":["parts-*"],"template":{"settings":{"number_of_replicas":0,"refresh_interval":"-1"}}}`)
			node.Must(t, http.MethodPut, "/_index_template/partstreams",
				`{"index_patterns":["partstream-*"],"data_stream":{},"priority":500,"template":{"settings":{"number_of_replicas":0,"refresh_interval":"-1"}}}`)
			trySearchParts(t, node)
		})
	}
}

// inPartsIDs are where ids of documents come from.
func inPartsIDs() map[string]func(*elasticsearch.Options) {
	all := map[string]func(*elasticsearch.Options){
		"field": func(o *elasticsearch.Options) { o.ID, o.IDFieldName = elasticsearch.IDField, "id" },
		"none":  func(o *elasticsearch.Options) { o.ID = elasticsearch.IDNone },
	}
	if harness.Long() {
		all["origin"] = func(*elasticsearch.Options) {}
		all["hash"] = func(o *elasticsearch.Options) { o.ID = elasticsearch.IDHash }
		all["data stream"] = func(o *elasticsearch.Options) { o.DataStream = true }
		all["index"] = func(o *elasticsearch.Options) {
			o.ID, o.IDFieldName, o.Operation = elasticsearch.IDField, "id", elasticsearch.Index
		}
	}
	return all
}

func trySearchParts(t *testing.T, node *parts.SearchNode) {
	nonsense := func([]byte) []byte { return []byte(`{"nonsense":{}}`) }
	notValid := func(action []byte) []byte {
		return bytes.Replace(action, []byte("}}"), []byte(`,"if_seq_no":1}}`), 1) // Without a term.
	}
	for _, c := range []struct {
		name   string
		status int // which is among the answers, 0 for a connection that ends
		why    ledger.Reason
		poison []int
		size   int // of a poisoned record
		pad    int // of every record
		spoil  func(action []byte) []byte
		cut    bool
	}{
		{name: "unreadable", status: 400, why: ledger.RejectedInvalid, poison: []int{450, 451, 800}, spoil: nonsense},
		{name: "invalid", status: 200, why: ledger.RejectedInvalid, poison: []int{450, 451, 800}, spoil: notValid},
		{name: "large", status: 429, why: ledger.RejectedTooLong, poison: []int{0, 600}, size: 1500 << 10},
		{name: "body", status: 413, pad: 8000},
		{name: "cut", status: 0, cut: true},
	} {
		if c.status == 413 && node.Name != parts.Elasticsearch9 {
			continue // Version 8 takes bodies of any size then.
		}
		for id, change := range inPartsIDs() {
			t.Run(c.name+", "+id, func(t *testing.T) {
				index := "parts-" + c.name + "-" + id
				if id == "data stream" {
					index = "partstream-" + c.name
				}
				spoiler := &spoiling{spoil: c.spoil, cut: c.cut}
				told := &answers{RoundTripper: spoiler}
				s := searchSink(t, node, index, func(o *elasticsearch.Options) {
					spoiler.RoundTripper = o.Transport
					o.Transport, o.RequestSize, o.InFlight = told, 8<<20, 2
					change(o)
				})
				run := partsRun{records: 1000, poison: c.poison, size: c.size, pad: max(c.pad, 400), why: c.why, node: node, index: index, twice: id == "none"}
				run.try(t, s)
				if told.statuses[c.status] == 0 {
					t.Errorf("the answers by status are %v, none is %d, so that nothing is shown", told.statuses, c.status)
				}
			})
		}
	}
}

// spoiling changes the actions of records with the word poison, and cuts the first bodies off.
type spoiling struct {
	http.RoundTripper
	spoil func(action []byte) []byte
	cut   bool
	sent  atomic.Int32
}

func (s *spoiling) RoundTrip(r *http.Request) (*http.Response, error) {
	if s.cut && s.sent.Add(1) <= 3 {
		r = r.Clone(r.Context())
		r.Body, r.GetBody, r.ContentLength = &broken{ReadCloser: r.Body, left: 200 << 10}, nil, -1
	}
	if s.spoil == nil {
		return s.RoundTripper.RoundTrip(r)
	}
	text, err := io.ReadAll(r.Body)
	if err := errors.Join(err, r.Body.Close()); err != nil {
		return nil, err
	}
	lines := bytes.SplitAfter(text, []byte("\n"))
	for i, line := range lines {
		if bytes.Contains(line, []byte("poison")) {
			lines[i-1] = append(s.spoil(bytes.TrimSpace(lines[i-1])), '\n')
		}
	}
	r = r.Clone(r.Context())
	// Of a length that is not known it goes piece by piece.
	r.Body, r.GetBody, r.ContentLength = io.NopCloser(bytes.NewReader(bytes.Join(lines, nil))), nil, -1
	return s.RoundTripper.RoundTrip(r)
}

// partsRun delivers records of which some are poison.
type partsRun struct {
	records   int
	poison    []int
	size, pad int
	why       ledger.Reason
	node      *parts.SearchNode
	index     string
	twice     bool // a record may be there twice, which is told
}

func (p *partsRun) try(t *testing.T, s *elasticsearch.Sink) {
	dead := &letters{}
	buf := buffer.New(buffer.Config{Limit: 64 << 20, Mode: buffer.Blocking, Sink: s.Limits()}, ledger.New())
	d := deliver.New(deliver.Config{
		Name: p.node.Name, DeadLetters: dead, AttemptTimeout: 20 * time.Second, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}, buf, s)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	p.hand(buf)
	d.Drain()
	d.Run(ctx)
	b := buf.Balance()
	if b.Received != int64(p.records) || b.DeadLettered != int64(len(p.poison)) || b.Delivered != b.Received-b.DeadLettered || b.Unaccounted != 0 {
		t.Errorf("%+v, expected all delivered but for %d dead letters; health %+v", b.Sheet, len(p.poison), d.Health())
	}
	var gone []int
	for _, l := range dead.all {
		var n int
		if _, err := fmt.Sscanf(l.Origin, "kafka:parts/0/%d@", &n); err != nil || l.Reason != string(p.why) {
			t.Errorf("a dead letter of %s with the reason %s (%s), expected %s (%v)", l.Origin, l.Reason, l.Detail, p.why, err)
		}
		gone = append(gone, n)
	}
	if slices.Sort(gone); !slices.Equal(gone, p.poison) {
		t.Errorf("the dead letters are records %v, expected %v", gone, p.poison)
	}
	found := make([]int, p.records)
	if err := p.node.EachNumber(ctx, p.index, "n", func(_ string, n int64) { found[n]++ }); err != nil {
		t.Fatal(err)
	}
	twice := int64(0)
	for n, times := range found {
		switch wanted := !slices.Contains(p.poison, n); {
		case wanted && times == 0:
			t.Errorf("record %d is lost", n)
		case !wanted && times > 0:
			t.Errorf("record %d is a dead letter, and there", n)
		case times > 1:
			twice++
		}
	}
	if twice > 0 && (!p.twice || twice > b.PossibleDuplicates) {
		t.Errorf("%d records are there more than once, with %d possible duplicates", twice, b.PossibleDuplicates)
	}
	t.Logf("%d records more than once, %d possible duplicates, %d there already, %d possible conflicts", twice, b.PossibleDuplicates, d.Health().AlreadyThere,
		d.Health().PossibleConflicts)
}

// hand hands over the records, all before the first request.
func (p *partsRun) hand(buf *buffer.Buffer) {
	const each = 50
	stream := buf.Open("parts")
	for first := 0; first < p.records; first += each {
		chunk := record.Chunk{
			Tag: "parts", Time: time.Now().UnixNano(), Encoding: record.EncodingMessage, Count: each, Partition: record.Partition{Topic: "parts", ID: [16]byte{1}},
		}
		for n := first; n < first+each; n++ {
			word, size := "good", p.pad
			if slices.Contains(p.poison, n) {
				word, size = "poison", max(p.size, p.pad)
			}
			chunk.Bodies = record.AppendMessage(chunk.Bodies, &record.Message{
				Form: record.FormJSON, Offset: int64(n), Time: time.Now().UnixNano(),
				Value: fmt.Appendf(nil, `{"n":%d,"id":"id%d","word":"%s","text":"%s"}`, n, n, word, strings.Repeat("x ", size/2)),
			})
		}
		buf.Admit(stream, &chunk)
	}
}
