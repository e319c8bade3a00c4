package run_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
)

// TestLargeRefusal: of a message that its source refuses every byte is kept, however small
// the buffer for such is, and as the same letters when it is read again.
func TestLargeRefusal(t *testing.T) {
	r := newRig(t)
	s := r.start(r.file(1<<20, "app.**: one"))
	var value strings.Builder
	for value.Len() < 3<<20 {
		value.WriteString("not JSON but long; ")
	}
	reject := func() {
		told := make(chan bool, 1)
		s.o.Router.Reject(&record.Chunk{
			Tag: "app.a", Level: record.LevelDelivered, Count: 1, Encoding: record.EncodingMessage, Refusal: record.Refusal{Reason: string(ledger.NotJSON)},
			Partition: record.Partition{Topic: "orders", ID: [16]byte{1}, Number: 3}, Done: func(ok bool) { told <- ok },
			Bodies: record.AppendMessage(nil, &record.Message{Offset: 7, Key: []byte("key"), Value: []byte(value.String())}),
		})
		r.expect(told, true)
	}
	reject()
	reject()
	report := r.stop(time.Minute)
	got, as := r.letters.got, r.letters.as
	n := len(got) / 2
	if report.DeadLettered != int64(len(got)) || report.Received != int64(len(got)) || report.Unaccounted != 0 {
		t.Errorf("%d letters, and %+v", len(got), report.Sheet)
	}
	if !slices.Equal(as[:n], as[n:]) || !slices.Equal(got[:n], got[n:]) {
		t.Errorf("read again there are other letters: %v and %v", as[:n], as[n:])
	}
	if place := got[0]; !strings.Contains(place, " is kept in 97 letters, from ") || !strings.HasPrefix(as[0], "kafka:orders/3/7@") {
		t.Errorf("the first letter is %.300q of %s", place, as[0])
	}
	var kept strings.Builder
	for i, letter := range got[1:n] {
		if !strings.HasSuffix(as[i+1], fmt.Sprint("/", i)) {
			t.Errorf("piece %d is %s", i, as[i+1])
		}
		body, found := strings.CutSuffix(strings.TrimPrefix(letter, "app.a "), " not-json")
		if !found {
			t.Errorf("the reason of a piece is %q", letter[len(letter)-20:])
		}
		kept.WriteString(body)
	}
	if kept.String() != value.String() {
		t.Errorf("%d bytes are kept, and not the %d that came", kept.Len(), value.Len())
	}
}
