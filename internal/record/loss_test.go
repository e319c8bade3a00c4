package record_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/spillway/spillway/internal/record"
)

// anyLoss draws a run of one stream with the largest numbers, too.
func anyLoss(t *rapid.T) record.Loss {
	first := rapid.Uint64().Draw(t, "first")
	begin := rapid.Int64Min(0).Draw(t, "begin")
	return record.Loss{
		Stream: rapid.Uint32().Draw(t, "stream"), Lost: rapid.Int64Min(1).Draw(t, "lost"), Bytes: rapid.Int64Min(0).Draw(t, "bytes"),
		FirstSeq: first, LastSeq: rapid.Uint64Min(first).Draw(t, "last"),
		FirstTime: begin, LastTime: rapid.Int64Min(begin).Draw(t, "end"),
		Reason: rapid.StringMatching(`[a-z-]{0,40}`).Draw(t, "reason"),
	}
}

// TestLossAsBatch writes a marker as a batch and reads it back.
func TestLossAsBatch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := anyLoss(t)
		dst := record.AppendLoss([]byte("before"), want)
		mem := dst[len("before"):]
		if len(mem) > record.LossSize {
			t.Fatalf("a marker takes %d bytes, more than %d", len(mem), record.LossSize)
		}
		var b record.Batch
		if n := record.Parse(mem, &b); n != len(mem) {
			t.Fatalf("the batch takes %d of %d bytes", n, len(mem))
		}
		head := record.Batch{
			Stream: want.Stream, Kind: record.KindLoss, Count: 1, Time: want.FirstTime, FirstSeq: want.FirstSeq, Repair: b.Repair,
			Frames: b.Frames,
		}
		if diff := cmp.Diff(head, b); diff != "" {
			t.Fatalf("header (-want +got):\n%s", diff)
		}
		want.Reason = want.Reason[:min(len(want.Reason), 32)]
		if diff := cmp.Diff(want, b.Loss()); diff != "" {
			t.Fatalf("marker (-want +got):\n%s", diff)
		}
		// A request is filled by this size, so the text must never be longer.
		if text := want.AppendText(nil); len(text) > b.Bytes+b.Repair {
			t.Fatalf("%q is %d bytes long, counted as %d", text, len(text), b.Bytes+b.Repair)
		}
	})
}

// TestLossAdd compares a run that grew in pieces to the whole.
func TestLossAdd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seq, now := uint64(rapid.IntRange(0, 5).Draw(t, "before")), int64(0)
		var got, want record.Loss
		for i := range rapid.IntRange(1, 5).Draw(t, "pieces") {
			n := rapid.IntRange(1, 9).Draw(t, "lost")
			size := rapid.Int64Range(0, 99).Draw(t, "bytes")
			begin := now + rapid.Int64Range(0, 5).Draw(t, "pause")
			now = begin + rapid.Int64Range(0, 5).Draw(t, "takes")
			piece := record.Loss{
				Stream: 2, Lost: int64(n), Bytes: size, FirstSeq: seq + 1, LastSeq: seq + uint64(n), FirstTime: begin, LastTime: now,
				Reason: "overflow-newest",
			}
			seq += uint64(n)
			if i == 0 {
				want = piece
			} else {
				want.Lost, want.Bytes, want.LastSeq, want.LastTime = want.Lost+int64(n), want.Bytes+size, seq, now
			}
			got.Add(piece)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("whole run (-want +got):\n%s", diff)
		}
	})
}

// TestLossAddTakesEitherOrder: a marker that was evicted may be told after
// records that stood behind it.
func TestLossAddTakesEitherOrder(t *testing.T) {
	early := record.Loss{Lost: 2, Bytes: 5, FirstSeq: 3, LastSeq: 4, FirstTime: 10, LastTime: 20, Reason: "r"}
	late := record.Loss{Lost: 1, Bytes: 7, FirstSeq: 5, LastSeq: 5, FirstTime: 30, LastTime: 30, Reason: "r"}
	one, other := early, late
	one.Add(late)
	other.Add(early)
	if diff := cmp.Diff(one, other); diff != "" {
		t.Errorf("early+late is not late+early:\n%s", diff)
	}
}

// TestLossText holds both written forms to what readers of a log parse.
func TestLossText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := anyLoss(t)
		text := string(l.AppendText([]byte("> ")))
		object, found := strings.CutPrefix(text, "> spillway-loss ")
		if !found || object != string(l.AppendJSON(nil)) {
			t.Fatalf("text form is %q", text)
		}
		var got map[string]any
		decoder := json.NewDecoder(strings.NewReader(object))
		decoder.UseNumber()
		if err := decoder.Decode(&got); err != nil || decoder.More() {
			t.Fatalf("%q is not one JSON object: %v", object, err)
		}
		number := func(v any) json.Number {
			b, err := json.Marshal(v)
			if err != nil {
				t.Fatalf("marshal: %v", err)
			}
			return json.Number(b)
		}
		stamp := func(ns int64) string { return time.Unix(0, ns).UTC().Format(time.RFC3339Nano) }
		want := map[string]any{
			"lost": number(l.Lost), "bytes": number(l.Bytes), "first_seq": number(l.FirstSeq), "last_seq": number(l.LastSeq),
			"first_time": stamp(l.FirstTime), "last_time": stamp(l.LastTime), "reason": l.Reason,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("object (-want +got):\n%s", diff)
		}
	})
}

// TestLossTextOfTheLargest is the text by which a marker is measured. The zone
// of the machine must make no difference.
func TestLossTextOfTheLargest(t *testing.T) {
	zone := time.Local
	time.Local = time.FixedZone("somewhere", 3600)
	defer func() { time.Local = zone }()
	l := record.Loss{
		Lost: math.MaxInt64, Bytes: math.MaxInt64, FirstSeq: math.MaxUint64, LastSeq: math.MaxUint64,
		FirstTime: math.MaxInt64, LastTime: math.MaxInt64, Reason: strings.Repeat("r", 32),
	}
	want := `spillway-loss {"lost":9223372036854775807,"bytes":9223372036854775807,` +
		`"first_seq":18446744073709551615,"last_seq":18446744073709551615,` +
		`"first_time":"2262-04-11T23:47:16.854775807Z","last_time":"2262-04-11T23:47:16.854775807Z",` +
		`"reason":"rrrrrrrrrrrrrrrrrrrrrrrrrrrrrrrr"}`
	if diff := cmp.Diff(want, string(l.AppendText(nil))); diff != "" {
		t.Errorf("text (-want +got):\n%s", diff)
	}
}

// TestMissedBesideDropped: a run of which some were dropped has the reason for that.
func TestMissedBesideDropped(t *testing.T) {
	missed := record.Loss{Lost: 3, FirstSeq: 1, LastSeq: 3, Reason: record.Missed}
	dropped := record.Loss{Lost: 2, Bytes: 9, FirstSeq: 4, LastSeq: 5, Reason: "overflow-newest"}
	for _, runs := range [][]record.Loss{{missed, dropped}, {dropped, missed}} {
		var got record.Loss
		for _, one := range runs {
			got.Add(one)
		}
		if want := (record.Loss{Lost: 5, Bytes: 9, FirstSeq: 1, LastSeq: 5, Reason: "overflow-newest"}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
}
