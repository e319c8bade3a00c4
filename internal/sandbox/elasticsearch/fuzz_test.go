package elasticsearch

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode/utf8"
)

// FuzzScanner holds the scanner against encoding/json, which takes all that it takes. It takes more: keys that come
// twice, and invalid UTF-8.
func FuzzScanner(f *testing.F) {
	for _, seed := range []string{`{"a":[1,-2.5e+3,true,null,"\u00e9\n"]}`, `{}`, `[`, `{"a":1}x`, "{\"a\":\"\xff\"}", `{"a":01}`, ` {"a" : {} } `} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var s scanner
		s.reset(text)
		_, err := s.value(0)
		if err == nil {
			err = s.end()
		}
		if err == nil && !json.Valid(text) {
			t.Fatalf("took %q", text)
		}
		if err != nil && json.Valid(text) && utf8.Valid(text) && !bytes.Contains([]byte(err.Error()), []byte("duplicate")) {
			t.Fatalf("refused %q: %v", text, err)
		}
	})
}

// FuzzBulk sends any body: every answer is JSON, and the account agrees with it.
func FuzzBulk(f *testing.F) {
	f.Add([]byte(bulkOf(2)))
	f.Add([]byte(`{"update":{"_index":"a","_id":"1"}}` + "\n" + `{"doc":{"a":1},"doc_as_upsert":true}` + "\n"))
	f.Add([]byte(`{"delete":{"_index":"A","_id":1}}` + "\n"))
	f.Fuzz(func(t *testing.T, body []byte) {
		strict, fast := newServer(t, Options{}), newServer(t, Options{CountOnly: true})
		status, answer := call(t, strict, "POST", "/_bulk", string(body))
		if !json.Valid([]byte(answer)) {
			t.Fatalf("%d %q is no JSON", status, answer)
		}
		if status == 200 {
			_, items := parseAnswer(t, []byte(answer))
			if r := strict.Report(); r.Bulk.Items != uint64(len(items)) {
				t.Fatalf("%d items counted, %d answered", r.Bulk.Items, len(items))
			}
		}
		call(t, fast, "POST", "/_bulk", string(body))
	})
}
