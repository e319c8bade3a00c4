package elasticsearch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/tinylib/msgp/msgp"

	"github.com/spillway/spillway/internal/entry"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink"
)

// Documents that are longer than a piece of the body are what shorter ones are, and no attempt holds more of one than
// a piece.
func TestLongDocuments(t *testing.T) {
	long := strings.Repeat("ä line of an order\\n", window/8)
	values := []string{
		`{"a":1}`, `{"text":"` + long + `","b":[1,2]}`, "{ \"text\" : \"" + long + "\" ,\n\"list\":[" + strings.Repeat("1,\r\n", window) + "2] }",
		"{\"bad\":\"" + long + "\xff\xc3" + long + "\",\n\"gone\":\"" + long + "\"}", `{"gone":"` + long + `"}`, `{"@timestamp":"2026-01-01","t":"` + long + `"}`, `{"last":true}`,
	}
	lines := []string{long + "\"\\\x01\xff\xe2\x82" + long, strings.Repeat("\x80", window+7), "short"}
	var all []record.Message
	for _, v := range values {
		all = append(all, jsonMessage(v))
	}
	for _, l := range lines {
		all = append(all, record.Message{Form: record.FormText, Value: []byte(l)})
	}
	for i, m := range all {
		if m.Form == record.FormText { // And as a map of the same.
			packed := msgp.AppendString(msgp.AppendString(msgp.AppendMapHeader(nil, 1), "message"), string(m.Value))
			all = append(all, record.Message{Form: record.FormMap, Value: packed})
		} else if i == 2 {
			packed, err := msgp.AppendIntf(nil, map[string]any{"@timestamp": "2026", "text": long, "list": []any{long, 1, long}})
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, record.Message{Form: record.FormMap, Value: packed})
		}
	}
	s := newServer(t)
	dst := sinkTo(t, s, func(o *Options) {
		o.RemoveKeys, o.RequestSize, o.TimeKey, o.TagKey = []string{"gone"}, 64<<20, "@timestamp", "tag"
	})
	out := dst.Send(t.Context(), messages(all...))
	if out.Verdict != sink.Delivered || len(out.Rejected) != 0 || out.Replaced != 2+3+window+7 || len(s.docs) != len(all) {
		t.Fatalf("%+v, %d documents of %d", out, len(s.docs), len(all))
	}
	for i, m := range all {
		want := map[string]any{}
		if m.Form == record.FormText {
			want["message"] = string([]rune(string(m.Value))) // U+FFFD for each byte that is no UTF-8
		} else if text, _, err := entry.AppendJSON(nil, m.Value); m.Form == record.FormMap && err == nil {
			m.Value = text
		}
		if m.Form != record.FormText {
			if err := json.Unmarshal(m.Value, &want); err != nil {
				t.Fatal(err)
			}
		}
		delete(want, "gone")
		want["tag"] = "kafka.Orders"
		got := s.docs[i].doc
		if _, has := want["@timestamp"]; !has {
			delete(got, "@timestamp")
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("document %d is %.100v, expected %.100v", i, fmt.Sprint(got), fmt.Sprint(want))
		}
	}
}

// A body that is begun again in the middle of a long document is the same, and nothing of it is larger than a piece.
func TestLongDocumentAnew(t *testing.T) {
	dst := sinkTo(t, newServer(t), func(o *Options) { o.RequestSize = 64 << 20 })
	text := strings.Repeat("a line of an order ", window/4)
	a := dst.begin(messages(jsonMessage(`{"n":1}`), jsonMessage(`{"n":2,"text":"`+text+`"}`), jsonMessage(`{"n":3}`)))
	defer a.end()
	read := func(pieces int) (all []byte) {
		body, err := a.body()
		if err != nil {
			t.Fatal(err)
		}
		for b := body.(interface{ piece() ([]byte, error) }); pieces > 0; pieces-- {
			piece, err := b.piece()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil || len(piece) > window+2*longPiece {
				t.Fatalf("a piece of %d bytes (%v)", len(piece), err)
			}
			all = append(all, piece...)
		}
		body.(interface{ release() }).release()
		return all
	}
	whole := read(1000)
	for pieces := range 7 {
		if again := read(pieces); !bytes.HasPrefix(whole, again) {
			t.Errorf("the first %d pieces are others the second time", pieces)
		}
	}
	if again := read(1000); !bytes.Equal(again, whole) || len(whole) < len(text) || int64(len(whole)) != a.size {
		t.Errorf("%d bytes, and %d the second time; %d are counted", len(whole), len(again), a.size)
	}
}
