package real

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
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

// A node that takes little at a time, small requests and few of them, of which those that its memory has never
// room for are refused as if it was busy, gets everything all the same: each
// record once, and the one that is larger than a request may be becomes a dead letter.
func TestSearchLimits(t *testing.T) {
	nodes := []string{parts.OpenSearch2}
	if harness.Long() {
		nodes = parts.SearchNodes()
	}
	for _, name := range nodes {
		t.Run(name, func(t *testing.T) {
			parts.Need(t, name)
			node := parts.StartSearch(t, name, parts.SearchOptions{Settings: map[string]string{
				"http.max_content_length": "1mb", "thread_pool.write.size": "1", "thread_pool.write.queue_size": "1", "indexing_pressure.memory.limit": "600kb",
			}})
			trySearchLimits(t, node)
		})
	}
}

func trySearchLimits(t *testing.T, node *parts.SearchNode) {
	const each, large = 200, 5
	chunks := 40
	if harness.Long() {
		chunks = 100
	}
	node.Must(t, http.MethodPut, "/limits", `{"settings":{"number_of_replicas":0,"refresh_interval":"-1"}}`)
	answers := &answers{}
	s := searchSink(t, node, "limits", func(o *elasticsearch.Options) {
		o.RequestSize, o.InFlight, o.TagKey = 4<<20, 16, ""
		answers.RoundTripper = o.Transport
		o.Transport = answers
	})
	letters := &letters{}
	buf := buffer.New(buffer.Config{Limit: 32 << 20, Mode: buffer.Blocking, Sink: s.Limits()}, ledger.New())
	d := deliver.New(deliver.Config{
		Name: node.Name, DeadLetters: letters, AttemptTimeout: 20 * time.Second, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}, buf, s)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		d.Run(ctx)
	}()
	stream, text := buf.Open("limits"), strings.Repeat("a line of an order ", 26)
	for c := range chunks {
		chunk := record.Chunk{
			Tag: "limits", Time: time.Now().UnixNano(), Encoding: record.EncodingMessage, Partition: record.Partition{Topic: "limits", ID: [16]byte{1}},
		}
		for i := range each {
			n := c*each + i
			pad := text
			if n == large {
				pad = strings.Repeat("x", 1<<20)
			}
			chunk.Bodies = record.AppendMessage(chunk.Bodies, &record.Message{
				Form: record.FormJSON, Offset: int64(n), Time: time.Now().UnixNano(), Value: fmt.Appendf(nil, `{"n":%d,"text":"%s"}`, n, pad),
			})
			chunk.Count++
		}
		buf.Admit(stream, &chunk)
	}
	d.Drain()
	<-ended
	health := d.Health()
	if b := buf.Balance(); b.Delivered != int64(chunks*each-1) || b.DeadLettered != 1 || b.Pending != 0 || b.Unaccounted != 0 || b.Dropped != 0 {
		t.Errorf("%+v, expected all delivered but for one dead letter; health %+v", b.Sheet, health)
	}
	if l := letters.all; len(l) != 1 || l[0].Reason != string(ledger.RejectedTooLong) || !strings.HasPrefix(l[0].Origin, fmt.Sprintf("kafka:limits/0/%d@", large)) {
		t.Errorf("%d dead letters, %.300v; expected the one that is too large", len(l), l)
	}
	node.Must(t, http.MethodPost, "/limits/_refresh", "")
	if n, err := node.Count(t.Context(), "limits"); err != nil || n != int64(chunks*each-1) {
		t.Errorf("%d documents (%v), expected %d", n, err, chunks*each-1)
	}
	t.Logf("answers by status, 0 where the connection broke: %v", answers.statuses)
	if answers.statuses[http.StatusRequestEntityTooLarge]+answers.statuses[0] == 0 {
		t.Error("no request was too large for the node, so that nothing is shown")
	}
}

// answers counts them by status, and requests without any as 0.
type answers struct {
	http.RoundTripper
	mu       sync.Mutex
	statuses map[int]int
}

func (a *answers) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := a.RoundTripper.RoundTrip(r)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.statuses == nil {
		a.statuses = make(map[int]int)
	}
	if err != nil {
		a.statuses[0]++
		return nil, err
	}
	a.statuses[resp.StatusCode]++
	return resp, nil
}

// letters keeps dead letters.
type letters struct {
	mu  sync.Mutex
	all []record.Letter
}

// Put implements deliver.DeadLetters.
func (l *letters) Put(_ context.Context, letters []record.Letter) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, one := range letters {
		one.Body = slices.Clone(one.Body)
		l.all = append(l.all, one)
	}
	return nil
}
