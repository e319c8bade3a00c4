package deadletter

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spillway/spillway/internal/record"
)

func asked(t *testing.T, s *Store) int64 {
	t.Helper()
	n, err := s.Asked(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestReplay: what is delivered goes, what is refused again and what could not be
// handed over stays, and only what was asked for is touched.
func TestReplay(t *testing.T) {
	dir := storeDir(t)
	s := mustOpen(t, dir, Options{})
	const letters = 1500
	var all1 []record.Letter
	for n := 1; n <= letters; n++ {
		l := series(n)
		if n%10 == 0 {
			l.Destination = "relay"
		}
		all1 = append(all1, l)
	}
	put(t, s, all1...)
	if n, err := s.Ask(t.Context(), Query{Destination: "search"}); n != letters*9/10 || err != nil {
		t.Fatalf("asked for %d letters, want %d (%v)", n, letters*9/10, err)
	}
	if n := asked(t, s); n != letters*9/10 {
		t.Errorf("%d letters are asked for", n)
	}
	var given []int
	var answers sync.WaitGroup
	sum, err := s.Replay(t.Context(), func(e *Entry, c *record.Chunk) {
		n := int(e.Seq)
		given = append(given, n)
		want := series(n)
		if err := same(e, &want); err != nil {
			t.Errorf("letter %d: %v", n, err)
		}
		done := c.Done
		if c.Tag != want.Tag || c.Count != 1 || !c.Origin.Known() {
			t.Errorf("letter %d as a chunk is %+v", n, c)
		}
		switch {
		case n%7 == 0: // refused again, and dead-lettered before the source is told
			answers.Go(func() {
				again := want
				again.Origin, again.Seq, again.Detail = fmt.Sprintf("%s/0", hex.EncodeToString(c.Origin.Key[:])), 1, "refused once more"
				again.First, again.Last = 5e18, 5e18
				if err := s.Put(context.Background(), []record.Letter{again}); err != nil {
					t.Error(err)
				}
				done(true)
			})
		case n%11 == 0:
			answers.Go(func() { done(false) })
		default:
			done(true)
		}
	})
	answers.Wait()
	if err != nil || !slices.IsSorted(given) || len(given) != letters*9/10 {
		t.Errorf("%d letters were given (%v)", len(given), err)
	}
	want := Replayed{Given: int64(len(given))}
	left := make(map[int]*Entry)
	for _, e := range all(t, s, Query{}) {
		left[int(e.Seq)] = &e
	}
	for n := 1; n <= letters; n++ {
		e := left[n]
		switch {
		case n%10 == 0:
			if e == nil || e.Revision != 1 {
				t.Errorf("letter %d, which was not asked for, is %+v", n, e)
			}
		case n%7 == 0:
			want.Returned++
			if e == nil || e.Revision != 2 || e.Detail != "refused once more" || e.Attempts != 2 || e.Origin != series(n).Origin {
				t.Errorf("letter %d, which was refused again, is %+v", n, e)
			}
		case n%11 == 0:
			want.Kept++
			if e == nil || e.Revision != 1 {
				t.Errorf("letter %d, which could not be handed over, is %+v", n, e)
			}
		default:
			want.Removed++
			if e != nil {
				t.Errorf("letter %d was delivered and is here", n)
			}
		}
	}
	if sum != want {
		t.Errorf("the sums are %+v, want %+v", sum, want)
	}
	if n := asked(t, s); n != want.Kept {
		t.Errorf("%d letters are asked for still, want the %d that could not be handed over", n, want.Kept)
	}
	if err := s.Withdraw(t.Context()); err != nil || asked(t, s) != 0 {
		t.Errorf("%d letters are asked for still (%v)", asked(t, s), err)
	}
	if sum, err := s.Replay(t.Context(), func(*Entry, *record.Chunk) { t.Error("nothing is asked for") }); err != nil || sum != (Replayed{}) {
		t.Errorf("%+v, %v", sum, err)
	}
	if got := filesOf(t, dir); slices.Contains(got, askedName) {
		t.Errorf("the files are %q, and nothing is asked for", got)
	}
}

// TestARefusalElsewhere: a letter that is replayed to another destination, which
// refuses it as well, is a letter for that one, with the origin that it had.
func TestARefusalElsewhere(t *testing.T) {
	s := mustOpen(t, storeDir(t), Options{})
	put(t, s, letter(1))
	if _, err := s.Ask(t.Context(), Query{}); err != nil {
		t.Fatal(err)
	}
	_, err := s.Replay(t.Context(), func(_ *Entry, c *record.Chunk) {
		l := letter(1)
		l.Destination, l.Origin = "relay", hex.EncodeToString(c.Origin.Key[:])+"/0"
		put(t, s, l)
		c.Done(true)
	})
	got := all(t, s, Query{})
	if err != nil || len(got) != 1 || got[0].Destination != "relay" || got[0].Origin != letter(1).Origin {
		t.Errorf("found %+v, want one letter for relay (%v)", got, err)
	}
}

// TestReplayEnds with its context, once all is answered; what was not handed over, or
// not kept, stays asked for.
func TestReplayEnds(t *testing.T) {
	dir := storeDir(t)
	s := mustOpen(t, dir, Options{})
	for n := range 20 {
		put(t, s, letter(n))
	}
	if _, err := s.Ask(t.Context(), Query{}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	late := make(chan func(bool), 20)
	go func() {
		<-ctx.Done()
		for range 4 {
			done := <-late
			done(false)
		}
	}()
	sum, err := s.Replay(ctx, func(e *Entry, c *record.Chunk) {
		// Another process finds nothing to do meanwhile.
		other := mustOpen(t, dir, Options{})
		if sum, err := other.Replay(t.Context(), func(*Entry, *record.Chunk) { t.Error("two processes replay") }); err != nil || sum.Given != 0 {
			t.Errorf("the other process: %+v, %v", sum, err)
		}
		if e.Seq < 5 {
			c.Done(true)
		} else {
			late <- c.Done
		}
		if e.Seq == 8 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) || sum.Given != 9 || sum.Removed != 5 || sum.Kept != 4 {
		t.Errorf("%+v, %v", sum, err)
	}
	if n := asked(t, s); n != 15 {
		t.Errorf("%d letters are asked for still, want 15", n)
	}
}

// aMessage is the body of a message at offset 41.
var aMessage = string(record.AppendMessage(nil, &record.Message{Offset: 41, Key: []byte("k"), Value: []byte("v")})[record.FrameSize:])

// TestReplayIdentity: a letter that is handed over keeps what identified it, and what it
// was where it is refused once more, by its destination or another one.
func TestReplayIdentity(t *testing.T) {
	orders := record.Partition{Topic: "orders", ID: [16]byte{7}, Number: 3}
	for _, c := range []struct {
		name   string
		origin string
		want   record.Chunk
	}{
		{"numbered", "0123456789abcdef01234567/9", record.Chunk{Identity: record.Identity{
			Key: [16]byte{0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x01, 0x23, 0x45, 0x67, 's', 'e', 'q'}, Number: 9,
		}}},
		{"chunk", "ab000000000000000000000000000001/0", record.Chunk{Identity: record.Identity{Key: [16]byte{0xab, 15: 1}}}},
		{"message", orders.Coordinates(41), record.Chunk{Partition: orders}},
		{"piece of another", orders.Coordinates(40), record.Chunk{Identity: record.Identity{Key: orders.Key(), Number: 40}}},
		{"unknown", "0123/x", record.Chunk{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := mustOpen(t, storeDir(t), Options{})
			l := letter(1)
			l.Origin, l.Encoding, l.Body = c.origin, record.EncodingMessage, []byte(aMessage)
			put(t, s, l)
			e := all(t, s, Query{})[0]
			got, ok := e.Chunk()
			if !ok || !got.Origin.Known() {
				t.Fatalf("as a chunk it is %+v", got)
			}
			if diff := cmp.Diff(c.want, record.Chunk{Identity: got.Identity, Partition: got.Partition}); diff != "" {
				t.Errorf("identity (-want +got):\n%s", diff)
			}
			// What delivery makes of it, here and elsewhere.
			head := got.Batch(0)
			again := l
			again.Origin, again.Replayed = head.Identify(&record.Stream{Incarnation: [12]byte{9}}, 0, []byte(aMessage)), got.Origin.Key
			again.Seq, again.Source, again.Time = 77, "replay", 78
			elsewhere := again
			elsewhere.Destination = "relay"
			put(t, s, again, elsewhere)
			both := all(t, s, Query{})
			if len(both) != 2 || both[0].Revision != 2 {
				t.Fatalf("refused again the letters are %+v", both)
			}
			for _, now := range both {
				if now.Origin != l.Origin || now.Seq != l.Seq || now.Source != l.Source || now.Time != l.Time {
					t.Errorf("refused again the letter is %+v", now)
				}
			}
		})
	}
}

// TestALetterThatIsNoEntry cannot be handed over.
func TestALetterThatIsNoEntry(t *testing.T) {
	for _, c := range []struct {
		encoding record.Encoding
		body     string
		ok       bool
	}{
		{record.EncodingText, "", true},
		{record.EncodingText, "caf\xe9", true},
		{record.EncodingEntry, "\x92\x01\x80", true},
		{record.EncodingEntry, "\x92\x01\x80\x80", false},
		{record.EncodingEntry, "\x92\x01", false},
		{record.EncodingEntry, "", false},
		{record.EncodingMessage, aMessage, true},
		{record.EncodingMessage, aMessage[:17], false},
		{record.EncodingMessage, "", false},
		{7, "x", false},
	} {
		e := Entry{Letter: record.Letter{Encoding: c.encoding, Body: []byte(c.body)}}
		chunk, ok := e.Chunk()
		if ok != c.ok {
			t.Errorf("%q in encoding %d: %v, want %v", c.body, c.encoding, ok, c.ok)
		}
		if !ok {
			continue
		}
		b := record.Batch{Encoding: c.encoding}
		if body, _, rest := b.Next(chunk.Bodies); string(body) != c.body || len(rest) > 0 {
			t.Errorf("%q comes back as %q, with %d bytes behind it", c.body, body, len(rest))
		}
	}
}
