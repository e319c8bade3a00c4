package elasticsearch

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/spillway/spillway/internal/ledger"
)

// A node that begins with the first records of a body before it has seen the others (from
// Elasticsearch 8.16 on) refuses the request when some of it is carried out, or says of
// records that nothing is wrong with what is wrong with one behind them. Only that one is a
// dead letter, and every other is there once, but where the node makes the ids.
func TestBodiesCarriedOutInParts(t *testing.T) {
	ids := map[string]func(*Options){
		"origin":      func(o *Options) { o.ID = IDOrigin },
		"field":       func(o *Options) { o.ID = IDField },
		"index":       func(o *Options) { o.ID, o.Operation = IDField, Index },
		"hash":        func(o *Options) { o.ID = IDHash },
		"none":        func(o *Options) { o.ID = IDNone },
		"data stream": func(o *Options) { o.ID, o.DataStream = IDOrigin, true },
	}
	for name, node := range map[string]parts{
		"a line that cannot be read":   {whole: true, status: 400, kind: "illegal_argument_exception", why: "Malformed action/metadata line [601]"},
		"too many bytes":               {whole: true, status: 413},
		"one is not valid":             {status: 400, kind: "action_request_validation_exception", why: "Validation Failed: 1: no;"},
		"one is too large":             {status: 429, kind: "es_rejected_execution_exception", why: "Request contains an operation of size [921839] bytes, which exceeds"},
		"a part is too large for ever": {status: 429, kind: "es_rejected_execution_exception", why: pressure(921839, 512000)},
	} {
		for id, change := range ids {
			for _, size := range []int{1, 3, 7, 40} {
				t.Run(fmt.Sprint(name, ", ", id, ", ", size), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						node.size, node.poison = size, []string{"0", "17", "38", "39"}
						tryParts(t, node, change, id == "none")
					})
				})
			}
		}
	}
}

func tryParts(t *testing.T, node parts, change func(*Options), twice bool) {
	const records = 40
	w := newWorld(t)
	w.parts, w.change = &node, change
	w.start(Create, records, 2)
	handed := make([]string, records)
	for i := range handed {
		handed[i] = fmt.Sprint("id", i)
	}
	w.hand(handed...)
	w.end()
	why := ledger.RejectedInvalid
	if node.status != 400 {
		why = ledger.RejectedTooLong
	}
	want := map[string]string{}
	for _, value := range node.poison {
		want[value] = string(why)
	}
	if diff := cmp.Diff(want, w.dead); diff != "" {
		t.Errorf("dead letters (-want +got):\n%s", diff)
	}
	there := map[string]int{}
	for _, value := range w.docs {
		there[value]++
	}
	copies := int64(0)
	for i := range records {
		value := fmt.Sprint(i)
		if want[value] == "" && there[value] == 0 {
			t.Errorf("record %s is lost", value)
		}
		copies += int64(min(1, max(0, there[value]-1)))
	}
	if copies > 0 && !twice {
		t.Errorf("%d records are there twice; documents: %v", copies, slices.Sorted(maps.Values(w.docs)))
	}
	if b := w.buf.Balance(); copies > b.PossibleDuplicates {
		t.Errorf("%d records are there twice, and %d are told to be possible duplicates", copies, b.PossibleDuplicates)
	}
}

// What is cancelled, as by a limit of time, is nobody's fault, and some of it may be there.
func TestCancelledWork(t *testing.T) {
	for _, size := range []int{1, 2, 4} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.parts = &parts{size: size, poison: []string{"2"}, times: 5, status: 400, kind: "task_cancelled_exception", why: "request timed out after [500ms]"}
			w.start(Create, 4, 1)
			w.hand("a", "b", "c", "d")
			w.end()
			if len(w.dead) > 0 || len(w.docs) != 4 {
				t.Errorf("dead letters %v and %d documents, want all four delivered", w.dead, len(w.docs))
			}
		})
	}
}
