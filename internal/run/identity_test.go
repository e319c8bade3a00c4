package run_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spillway/spillway/internal/deadletter"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/run"
)

// originals are a chunk of each kind that a source may hand over.
func originals() map[string]record.Chunk {
	line, _ := record.AppendBody(nil, []byte("a line"))
	message := record.Message{Time: 5, Offset: 41, Form: record.FormJSON, Key: []byte("k"), Value: []byte(`{"a":1}`)}
	return map[string]record.Chunk{
		"line":  {Encoding: record.EncodingText, Bodies: line},
		"entry": {Encoding: record.EncodingEntry, Bodies: []byte("\x92\x01\x80"), Origin: record.Origin{Key: [16]byte{0xab, 15: 1}}},
		"message": {
			Encoding: record.EncodingMessage, Bodies: record.AppendMessage(nil, &message),
			Partition: record.Partition{Topic: "orders", ID: [16]byte{7}, Number: 3},
		},
	}
}

// TestReplayKeepsIdentity: whatever a dead letter was, its replay is the same record to
// the destination, also when it waits on the disk over the end of a process; and where
// it is refused once more it is the same letter as before.
func TestReplayKeepsIdentity(t *testing.T) {
	for name, chunk := range originals() {
		t.Run(name, func(t *testing.T) { testIdentity(t, chunk) })
	}
}

func testIdentity(t *testing.T, chunk record.Chunk) {
	r := newRig(t)
	store, err := deadletter.Open(filepath.Join(r.stateDir, "dead-letters"), deadletter.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}()
	one := func() (letters []deadletter.Entry) {
		if _, err := store.List(t.Context(), deadletter.Query{}, func(e *deadletter.Entry) error {
			letters = append(letters, *e)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return letters
	}
	asked := make(chan struct{}, 1)
	start := func() *source {
		cfg := r.config()
		cfg.DeadLetters = store
		cfg.Replay = func(ctx context.Context, give func(string, *record.Chunk) bool) {
			for {
				select {
				case <-ctx.Done():
					return
				case <-asked:
				}
				if _, err := store.Replay(ctx, func(e *deadletter.Entry, c *record.Chunk) { give(e.Destination, c) }); err != nil && ctx.Err() == nil {
					t.Error(err)
				}
			}
		}
		if r.Run, err = run.Start(r.file(1<<20, "app.** spill: one"), cfg); err != nil {
			t.Fatal(err)
		}
		return r.sources[len(r.sources)-1]
	}
	ask := func() {
		if n, err := store.Ask(t.Context(), deadletter.Query{}); n != 1 || err != nil {
			t.Fatalf("%d letters are asked for (%v)", n, err)
		}
		asked <- struct{}{}
	}
	place := r.places["one"]
	place.refuses(true)
	s := start()
	chunk.Tag, chunk.Time, chunk.Count = "app.a", time.Now().UnixNano(), 1
	r.expect(s.handChunk(chunk), true)
	before, ids := one(), place.seen()
	if len(before) != 1 || len(ids) != 1 {
		t.Fatalf("the letters are %+v, what was sent %v", before, ids)
	}
	if before[0].Destination != "one" {
		t.Errorf("the letter is for %q, expected the name of the sink: a replay finds it by that", before[0].Destination)
	}
	if before[0].Source != "in" {
		t.Errorf("the letter is of the source %q, expected that of the file", before[0].Source)
	}
	if id, ok := record.ParseIdentity(before[0].Origin); !ok || id != ids[0] {
		t.Errorf("the letter says %q, which is %v; sent was %v", before[0].Origin, id, ids[0])
	}

	place.is(true)
	ask()
	r.await("the replay waits", func(p run.Report) bool { return p.Pending == 1 })
	r.stop(time.Millisecond)
	place.is(false)
	start()
	r.await("what was left is refused", func(p run.Report) bool { return p.DeadLettered == 1 })
	r.stop(time.Minute)
	after := one()
	if len(after) != 1 || after[0].Revision != before[0].Revision+1 || after[0].Attempts <= before[0].Attempts {
		t.Fatalf("refused again the letters are %+v, were %+v", after, before)
	}
	same := func(e deadletter.Entry) deadletter.Entry {
		e.Revision, e.Attempts, e.First, e.Last = 0, 0, 0, 0
		return e
	}
	if diff := cmp.Diff(same(before[0]), same(after[0])); diff != "" {
		t.Errorf("the letter (-before +after):\n%s", diff)
	}

	place.refuses(false)
	start()
	ask()
	r.await("it is delivered, and its letter gone", func(p run.Report) bool { return p.Delivered == 1 && len(one()) == 0 })
	r.stop(time.Minute)
	if diff := cmp.Diff(ids, place.seen()); diff != "" {
		t.Errorf("identities (-first +all):\n%s", diff)
	}
}
