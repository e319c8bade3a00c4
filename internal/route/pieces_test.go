package route_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/spillway/spillway/internal/record"
)

// TestRefusedAndTooLong: of a message that its source refuses, and that one dead letter cannot hold, every
// byte is kept: a letter says where it is, and which others have it.
func TestRefusedAndTooLong(t *testing.T) {
	partition := record.Partition{Topic: "orders", ID: [16]byte{1}, Number: 3}
	random := rand.New(rand.NewPCG(1, 2))
	fill := func(n int) []byte {
		all := make([]byte, n)
		for i := range all {
			all[i] = byte(random.Uint32())
		}
		return all
	}
	for _, c := range []struct {
		name     string
		key, len int
		envelope bool
	}{
		{"a little", 5, 70 << 10, false}, {"much", 0, 3 << 20, false}, {"the end of a piece", 1, 96 << 10, false}, {"its key", 80 << 10, 10, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := record.Message{Time: 9, Offset: 41, Form: record.FormText, Key: fill(c.key), Value: fill(c.len)}
			short := record.Message{Offset: 42, Value: []byte("short")}
			told := []bool(nil)
			chunk := record.Chunk{
				Tag: "app.x", Encoding: record.EncodingMessage, Count: 2, Partition: partition, Refusal: record.Refusal{Reason: "not-json"},
				Bodies: record.AppendMessage(record.AppendMessage(nil, &m), &short), Done: func(ok bool) { told = append(told, ok) },
			}
			w := newWorld()
			w.bad.most = 66_000
			w.Reject(&chunk)
			for i, done := range w.bad.held {
				if done(true); len(told) > 0 && i < len(w.bad.held)-1 {
					t.Fatal("the source is told before all is kept")
				}
			}
			if len(told) != 1 || !told[0] {
				t.Errorf("the source is told %v", told)
			}
			held(t, w.bad, &m, c.envelope)
		})
	}
}

// held looks at what a leg for dead letters got of a message, and of a short one.
func held(t *testing.T, l *leg, m *record.Message, envelope bool) {
	t.Helper()
	var pieces []byte
	var origins, places []string
	for _, c := range l.chunks {
		if c.Refusal.Reason != "not-json" || c.Tag != "app.x" {
			t.Errorf("a letter of %s for %s", c.Tag, c.Refusal.Reason)
		}
		b, n := record.Batch{Encoding: c.Encoding}, uint64(0)
		for rest := c.Bodies; len(rest) > 0; n++ {
			var body []byte
			body, _, rest = b.Next(rest)
			var got record.Message
			switch {
			case c.Encoding == record.EncodingText:
				pieces = append(pieces, body...)
				one := record.Identity{Key: c.Identity.Key, Number: c.Identity.Number + n}
				origins = append(origins, one.String())
			case !record.ReadMessage(body, &got):
				t.Error("a letter that is no message")
			case got.Offset == 41:
				places = append(places, string(got.Value))
			case string(got.Value) != "short":
				t.Errorf("a letter with %.100q", got.Value)
			}
		}
	}
	whole := m.Value
	if envelope {
		whole = record.AppendMessage(nil, m)[record.FrameSize:]
	}
	if !bytes.Equal(pieces, whole) {
		t.Errorf("%d bytes are kept in pieces, and not the %d that came", len(pieces), len(whole))
	}
	for i, o := range origins {
		if key, number, _ := strings.Cut(o, "/"); number != fmt.Sprint(i) || !strings.HasPrefix(origins[0], key) {
			t.Errorf("piece %d is %s", i, o)
		}
	}
	want := fmt.Sprintf(" is kept in %d letters, from %s to %s", len(origins), origins[0], origins[len(origins)-1])
	if len(places) != 1 || !strings.HasSuffix(places[0], want) {
		t.Errorf("it says %q, want one letter with %q", places, want)
	}
}
