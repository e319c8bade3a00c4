package elasticsearch

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"testing/iotest"
)

// Whatever an error says, only one with status 429 can be of a size for which there is never
// room, and of one that is the record's own nobody else is blamed.
func FuzzAnswerError(f *testing.F) {
	f.Add(429, []byte(`{"type":"es_rejected_execution_exception","reason":"`+pressure(7, 3)+`"}`))
	f.Add(429, []byte(`{"reason":"primary_operation_bytes=99999999999999999999, max_=, max_primary_bytes=-1]"}`))
	f.Add(400, []byte(`{"type":"`+notValid+`"}`))
	f.Add(400, []byte(`"_operation_bytes=1, max_"`))
	f.Fuzz(func(t *testing.T, status int, text []byte) {
		e := newAnswerError(status, text)
		switch m := e.means(); {
		case m == together && status != 429 && e.kind != notValid, m == tooLarge && status != 413, m == rejects && status != 400:
			t.Errorf("%d %s means %d", status, text, m)
		case m == later && !e.mayBeDone() && e.mayBeDoneInPart():
			t.Errorf("%d %s is tried again, and may be done in part", status, text)
		}
	})
}

// Whatever an answer is, its reader ends, says the same however the bytes come, and
// takes for whole only what is JSON with as many items as it counts.
func FuzzReply(f *testing.F) {
	for _, text := range []string{
		"{}", `{"errors":false,"items":[{"create":{"_id":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","status":201}}]}`, `{"items":[{"index":{"_id":"x","status":200}},`,
		`{"took":1,"items":[{"create":{"status":409,"error":{"type":"x","reason":"a\"]}"},"_id":"\u0041"}}],"errors":true}`, "[1]", `{"items":[1]}`, `{"items":[]} x`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		read := func(r *reply, slow bool) (marks []uint64, statuses []int, failed bool) {
			src := bytes.NewReader(text)
			each := func(it *item) error {
				marks, statuses = append(marks, it.mark), append(statuses, it.status)
				if it.err != nil {
					_ = newAnswerError(it.status, it.err).means() // It must not panic.
				}
				return nil
			}
			var err error
			if slow {
				err = r.read(iotest.OneByteReader(src), each)
			} else {
				err = r.read(src, each)
			}
			return marks, statuses, err != nil
		}
		marks, statuses, failed := read(newReply(), false)
		slowly, slowStatuses, slowFailed := read(newReply(), true)
		if failed != slowFailed {
			t.Fatalf("it failed %v, and byte by byte %v", failed, slowFailed)
		}
		if failed {
			return
		}
		if len(marks) != len(slowly) {
			t.Fatalf("%d items, and byte by byte %d", len(marks), len(slowly))
		}
		for i := range marks {
			if marks[i] != slowly[i] || statuses[i] != slowStatuses[i] {
				t.Fatalf("item %d is read in two ways", i)
			}
		}
		var whole struct {
			Items []json.RawMessage `json:"items"`
		}
		if json.Unmarshal(text, &whole) == nil && strings.Count(string(text), "items") == 1 && !bytes.ContainsRune(text, '\\') && len(whole.Items) != len(marks) {
			t.Fatalf("%d items were read of %d", len(marks), len(whole.Items))
		}
	})
}
