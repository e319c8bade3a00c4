package elasticsearch

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/deliver"
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
	sandbox "github.com/spillway/spillway/internal/sandbox/elasticsearch"
)

// chain is a buffer, a deliverer, the sink and a node, as a run has them.
type chain struct {
	t       *testing.T
	node    *sandbox.Server
	buf     *buffer.Buffer
	deliver *deliver.Deliverer
	ended   chan struct{}
	cancel  context.CancelFunc

	mu      sync.Mutex
	letters []record.Letter
}

// Put implements deliver.DeadLetters.
func (c *chain) Put(_ context.Context, letters []record.Letter) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range letters {
		l.Body = slices.Clone(l.Body)
		c.letters = append(c.letters, l)
	}
	return nil
}

func newChain(t *testing.T, faults []string, change func(*Options)) *chain {
	t.Helper()
	n, err := sandbox.New(sandbox.Options{Faults: faults})
	if err != nil {
		t.Fatal(err)
	}
	host := httptest.NewServer(n.Handler())
	t.Cleanup(func() { host.Close(); n.Close() })
	s := sinkTo(t, &server{Server: host}, change)
	c := &chain{t: t, node: n, ended: make(chan struct{})}
	c.buf = buffer.New(buffer.Config{Limit: 4 << 20, Mode: buffer.Blocking, Sink: s.Limits()}, ledger.New())
	c.deliver = deliver.New(deliver.Config{Name: "node", DeadLetters: c, AttemptTimeout: 2 * time.Second, Log: slog.New(slog.NewTextHandler(io.Discard, nil))}, c.buf, s)
	ctx, cancel := context.WithCancel(context.Background())
	c.cancel = cancel
	go func() {
		defer close(c.ended)
		c.deliver.Run(ctx)
	}()
	return c
}

// chunk hands messages over as one.
func (c *chain) chunk(all []record.Message) {
	chunk := record.Chunk{
		Tag: "orders", Time: time.Now().UnixNano(), Encoding: record.EncodingMessage, Count: len(all),
		Partition: record.Partition{Topic: "orders", ID: [16]byte{1}, Number: 3},
	}
	for i := range all {
		all[i].Offset, all[i].Time = int64(i), time.Now().UnixNano()
		chunk.Bodies = record.AppendMessage(chunk.Bodies, &all[i])
	}
	c.buf.Admit(c.buf.Open("orders"), &chunk)
}

// end waits until all is delivered, and holds the balance.
func (c *chain) end(received, dead int) ledger.Balance {
	c.t.Helper()
	c.deliver.Drain()
	select {
	case <-c.ended:
	case <-time.After(2 * time.Minute):
		c.t.Error("it does not end")
		c.cancel()
		<-c.ended
	}
	c.cancel()
	b := c.buf.Balance()
	if b.Received != int64(received) || b.Delivered != int64(received-dead) || b.DeadLettered != int64(dead) || b.Dropped != 0 || b.Pending != 0 ||
		b.Unaccounted != 0 || b.PossibleDuplicates != 0 {
		c.t.Errorf("the balance is %+v, want %d received, %d dead letters and the rest delivered", b.Sheet, received, dead)
	}
	if report := c.node.Report(); report.Totals.Documents != uint64(received-dead) {
		c.t.Errorf("the node has %d documents, want %d", report.Totals.Documents, received-dead)
	}
	return b
}

// held holds the node to what it should have: the ids of all records but the dead ones,
// none of them written twice, and faults that were met, without which nothing is shown.
func (c *chain) held(records int, dead []int, faults []string, items map[string]uint64) {
	c.t.Helper()
	var id originID
	p := record.Partition{Topic: "orders", ID: [16]byte{1}, Number: 3}
	id.begin(p.Key())
	want := uint64(0)
	for n := range records {
		if !slices.Contains(dead, n) {
			want += sandbox.HashID(string(id.of(uint64(n))))
		}
	}
	report := c.node.Report()
	if report.Totals.Checksum != want || report.Totals.Updated != 0 {
		c.t.Errorf("the node has %+v, want the checksum %d and nothing written twice", report.Totals, want)
	}
	for _, fault := range faults {
		if kind, _, _ := strings.Cut(fault, ","); report.Faults[kind] == 0 {
			c.t.Errorf("the fault %s was never met: %v", fault, report.Faults)
		}
	}
	for status, n := range items {
		if report.Bulk.Statuses[status] != n {
			c.t.Errorf("items were answered %v, want %d times %s", report.Bulk.Statuses, n, status)
		}
	}
}

func numbered(n int) []record.Message {
	all := make([]record.Message, n)
	for i := range all {
		all[i] = jsonMessage(fmt.Sprintf(`{"n":%d,"message":"record number %d.","pad":"%s"}`, i, i, strings.Repeat("x", 150)))
	}
	return all
}

// The losses that fluent-plugin-elasticsearch and Fluent Bit have been measured with:
// 500 records in one chunk, of which a node takes some, or takes them not at once.
func TestMeasuredLosses(t *testing.T) {
	small := func(o *Options) { o.RequestSize = 16 << 10 } // so that the chunk is split
	stream := func(o *Options) {
		o.DataStream, o.Index = true, name(t, "events")
		o.Setup.Templates = []Document{{Name: "events", Body: []byte(`{"index_patterns":["events"],"data_stream":{}}`)}}
	}
	for _, c := range []struct {
		name   string
		faults []string
		change func(*Options)
		dead   []int             // numbers of records
		items  map[string]uint64 // how many items must have been answered so
	}{
		{"one 503 in a split chunk", []string{"503,nth=2,times=1"}, small, nil, map[string]uint64{"201": 500}},
		{"one 400 in a split chunk", []string{"item-400,match=number 200."}, small, []int{200}, map[string]uint64{"201": 499, "400": 1}},
		{"a whole 400 in a split chunk", []string{"400,nth=3,times=1"}, small, nil, map[string]uint64{"201": 500}},
		{"495 times 429", []string{"item-429,ok=5,times=1"}, nil, nil, map[string]uint64{"201": 500, "429": 495}},
		{"495 times 429, of a data stream", []string{"item-429,ok=5,times=1"}, stream, nil, map[string]uint64{"201": 500, "429": 495}},
		{"one 201 and 499 times 500", []string{"item-500,ok=1,times=1"}, nil, nil, map[string]uint64{"201": 500, "500": 499}},
		{"503 for a while, then a reset in mid-body, then an answer that is cut", []string{"503,times=3", "reset,times=1", "truncated,times=1"}, nil, nil, map[string]uint64{"201": 500}},
		{"taken, and not answered", []string{"silent,times=1"}, nil, nil, map[string]uint64{"201": 500}},
		{"no answer for as long as bodies are large", []string{"hang,over=80k"}, nil, nil, map[string]uint64{"201": 500}},
		{"a reset for as long as bodies are large", []string{"reset,over=64k"}, nil, nil, map[string]uint64{"201": 500}},
		{"taken, and the connection reset", []string{"reset-after,times=2"}, small, nil, map[string]uint64{"201": 500}},
		{"a line that cannot be read, behind parts that are stored", []string{"part-400,part=50,match=number 200."}, nil, []int{200}, map[string]uint64{"201": 499}},
		{"one that is not valid, and all behind it blamed", []string{"part-400,part=50,match=number 200.,type=action_request_validation_exception"}, nil,
			[]int{200}, map[string]uint64{"201": 499}},
		{"too many bytes, behind parts that are stored", []string{"part-413,part=50,ok=100,times=1"}, nil, nil, map[string]uint64{"201": 500}},
		{"cancelled in the middle", []string{"part-400,part=50,ok=100,times=3,type=task_cancelled_exception"}, nil, nil, map[string]uint64{"201": 500}},
		{"items swapped, other ids, too few, too many, none", []string{"swapped,times=1", "wrong-ids,times=1", "items-missing,times=1", "items-extra,times=1", "empty,times=1"}, nil, nil, map[string]uint64{"201": 500}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			chain := newChain(t, c.faults, c.change)
			chain.chunk(numbered(500))
			chain.end(500, len(c.dead))
			for i, n := range c.dead {
				if l := chain.letters; i >= len(l) || !strings.Contains(string(l[i].Body), fmt.Sprintf(`"n":%d,`, n)) || l[i].Status != 400 {
					t.Errorf("the dead letters are %+v, want one of record %d", l, n)
				}
			}
			chain.held(500, c.dead, c.faults, c.items)
		})
	}
}

// Poison ends in a named state, and everything else goes on.
func TestPoison(t *testing.T) {
	chain := newChain(t, nil, nil)
	many := make([]string, 1200)
	for i := range many {
		many[i] = fmt.Sprintf(`"field%d":1`, i)
	}
	poison := map[string]string{
		"not JSON": "2026-11-20 12:00:00 plain text", "an array": `[{"a":1}]`, "cut": `{"a":`, "two": `{"a":1}{"b":2}`,
		"an action": "{\"a\":1}\n{\"delete\":{\"_index\":\"logs\",\"_id\":\"x\"}}", "mapping conflict": `{"n":{"is":"an object"}}`,
		"field explosion": `{` + strings.Join(many, ",") + `}`, "long number": `{"n":1e`,
	}
	all := append(numbered(100), jsonMessage("{\"bad\":\"\xff\xc3\"}")) // is repaired
	for _, value := range poison {
		all = append(all, jsonMessage(value))
	}
	all = append(all, record.Message{Form: record.FormJSON, Null: true, Key: []byte("k")}) // a tombstone
	all = append(all, numbered(50)...)
	chain.chunk(all)
	chain.end(len(all), len(poison)+1)
	for kind, value := range poison {
		if !slices.ContainsFunc(chain.letters, func(l record.Letter) bool { return strings.HasSuffix(string(l.Body), value) }) {
			t.Errorf("%s is not among the dead letters", kind)
		}
	}
	for _, l := range chain.letters {
		if l.Reason != string(ledger.RejectedInvalid) || l.Detail == "" || !strings.HasPrefix(l.Origin, "kafka:orders/3/") {
			t.Errorf("a dead letter says %s %q of %s", l.Reason, l.Detail, l.Origin)
		}
	}
	if h := chain.deliver.Health(); h.Replaced < 2 {
		t.Errorf("%d bytes are counted as replaced, want 2", h.Replaced)
	}
}

// An index that is read-only holds records up, with red health, and loses none.
func TestReadOnly(t *testing.T) {
	chain := newChain(t, []string{"write-block"}, nil)
	chain.chunk(numbered(50))
	red := func(h deliver.Health) bool {
		return !h.Up && h.Config && strings.Contains(h.Error, "cluster_block_exception")
	}
	look, late := time.NewTicker(5*time.Millisecond), time.After(2*time.Minute)
	defer look.Stop()
	for !red(chain.deliver.Health()) {
		select {
		case <-look.C:
		case <-late:
			t.Fatalf("the health is %+v", chain.deliver.Health())
		}
	}
	if err := chain.node.SetFaults(); err != nil {
		t.Fatal(err)
	}
	chain.end(50, 0)
	if h := chain.deliver.Health(); !h.Up || h.Config {
		t.Errorf("after that the health is %+v", h)
	}
}
