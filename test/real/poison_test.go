package real

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/spillway/spillway/test/launcher"
)

// Records that an index cannot take stand among others that it takes. Every one ends in a named state, and
// none holds up the others; what was mended meanwhile is put into the index from the dead letters, under
// the id that it always had, and nowhere else.
func tellPoison(s *story) {
	s.broker.CreateTopic(s.T, "poison", 1, map[string]string{"max.message.bytes": "64000000"})
	s.node.Must(s.T, http.MethodPut, "/poison", `{"settings":{"index.mapping.total_fields.limit":20},"mappings":{"properties":{"n":{"type":"long"}}}}`)
	fields := []byte(`{"n":7`)
	for i := range 60 {
		fields = fmt.Appendf(fields, `,"field_%d":1`, i)
	}
	fields = append(fields, '}')
	s.produce("poison",
		&kgo.Record{Value: []byte(`{"n":0}`)},
		&kgo.Record{Value: []byte("not JSON"), Key: []byte("k"), Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("v")}}},
		&kgo.Record{Value: []byte(`[{"n":2}]`)},
		&kgo.Record{Value: fmt.Appendf(nil, `{"n":3,"text":%q}`, bytes.Repeat([]byte("x"), 40<<20))},
		&kgo.Record{Value: []byte("{\"n\":4,\"text\":\"\xff\xfe\"}")},
		&kgo.Record{Key: []byte("gone")},
		&kgo.Record{Value: []byte(`{"n":"six"}`)},
		&kgo.Record{Value: fields},
		&kgo.Record{Value: []byte(`{"n":8}`)},
	)
	const config = `memory: 64m
sources:
  orders: {type: kafka, brokers: "$BROKER", topics: poison, group: GROUP, tombstone: dead-letter}
sinks:
  search: {type: elasticsearch, hosts: "$NODE", index: poison}
  kept: {type: file, path: kept.log}
routes:
  - {match: "**", to: [search, kept]}
`
	s.configure(strings.Replace(config, "GROUP", "poison", 1))
	s.start()
	// Seven go to both sinks, and two of them are no objects, which neither takes; two more are no records.
	status := s.settles(16)
	if status.Delivered != 3+5 || status.DeadLettered != 4+2+2 {
		s.Errorf("%+v; expected 3 and 5 delivered, 4 and 2 refused, 2 that no sink gets", status)
	}
	if memory, err := launcher.ReadMemory(s.run.cmd.Process.Pid); err != nil || memory.Peak > chainMemory+chainBeside {
		s.Errorf("it used %.1f MiB, expected at most %d (%v)", float64(memory.Peak)/(1<<20), (chainMemory+chainBeside)>>20, err)
	}
	s.indexed("poison", 0, 4, 8)
	refused := s.letters("search")
	for offset, want := range map[int64]letter{
		1: {Body: "not JSON", Key: "k", Detail: "not one JSON object"},
		2: {Body: `[{"n":2}]`, Detail: "not one JSON object"},
		6: {Body: `{"n":"six"}`, Status: 400, Detail: "failed to parse field [n]"},
		7: {Body: string(fields), Status: 400, Detail: "Limit of total fields [20] has been exceeded"},
	} {
		got := refused[offset]
		if got.Status != want.Status || got.Key != want.Key || !strings.Contains(got.Detail, want.Detail) ||
			got.Topic != "poison" || got.Reason != "rejected-invalid" || !strings.HasPrefix(got.Origin, fmt.Sprintf("kafka:poison/0/%d@", offset)) {
			s.Errorf("the dead letter of offset %d is %+v, expected of %+v", offset, got, want)
		}
		if raw, code := s.command("deadletter", "show", "--raw", fmt.Sprint(got.ID)); raw != want.Body || code != 0 {
			s.Errorf("show --raw of offset %d prints %q, expected %q", offset, raw, want.Body)
		}
	}
	none := s.letters("dead letters")
	if len(refused) != 4 || len(none) != 2 || !strings.Contains(none[3].Body, "more than max-record-size") || none[3].Reason != "too-large" || none[5].Key != "gone" || none[5].Reason != "tombstone" {
		s.Errorf("%d letters of the index, expected 4; beside them %+v, expected a record that is too long and a tombstone", len(refused), none)
	}
	if text, _ := s.command("deadletter", "show", fmt.Sprint(refused[1].ID)); !strings.Contains(text, "header h     v\n") {
		s.Errorf("the letter is shown without its header:\n%s", text)
	}

	s.blocked("poison", "index.blocks.write", 9)
	s.blocked("poison", "index.blocks.read_only_allow_delete", 10)

	// What was wrong is mended.
	s.node.Must(s.T, http.MethodPut, "/poison/_settings", `{"index.mapping.total_fields.limit":200}`)
	s.node.Must(s.T, http.MethodPut, "/poison/_mapping", `{"properties":{"n":{"type":"long","ignore_malformed":true}}}`)
	if text, code := s.command("deadletter", "replay", "--destination", "search"); code != 1 || !strings.Contains(text, "2 letters delivered, 2 still dead") {
		s.Errorf("replay ended with %d and says %q, expected 1, 2 delivered and 2 that are no objects", code, text)
	}
	s.indexed("poison", 0, 4, -1, 7, 8, 9, 10)
	if left := s.letters("search"); len(left) != 2 {
		s.Errorf("%d letters are left, expected 2", len(left))
	}
	if lines := s.lines("kept.log"); lines != 7 {
		s.Errorf("the file has %d lines, expected 7: what the index refused is nothing to the file", lines)
	}
	s.ends(16+2*2+4, 8+2*2+2, 8+2)

	// Another group reads it all again: what came from the dead letters has the id that it would have had.
	s.dir += "/again"
	if err := mkdir(s.dir); err != nil {
		s.Fatal(err)
	}
	s.configure(strings.Replace(config, "GROUP", "again", 1))
	s.start()
	s.settles(20)
	s.indexed("poison", 0, 4, -1, 7, 8, 9, 10)
	s.ends(20, 7+7, 2+2+2)
}

// blocked makes an index refuse every document, whatever it is. A record waits, and health is red, until
// that is over.
func (s *story) blocked(index, setting string, n int64) {
	s.Helper()
	before := s.settles(0)
	s.node.Must(s.T, http.MethodPut, "/"+index+"/_settings", fmt.Sprintf(`{%q:true}`, setting))
	s.produce("poison", counting(int(n), int(n))...)
	s.shows("RED: the destination takes nothing", "cluster_block_exception", "pending 1")
	s.node.Must(s.T, http.MethodPut, "/"+index+"/_settings", fmt.Sprintf(`{%q:null}`, setting))
	after := s.settles(before.Received + 2)
	if after.Delivered != before.Delivered+2 || after.DeadLettered != before.DeadLettered {
		s.Errorf("%+v after the index was blocked by %s, expected two more delivered than %+v", after, setting, before)
	}
}

// A record that is larger than its route holds, and smaller than its source takes, is one record and one
// dead letter, which says where it is.
func tellTooLong(s *story) {
	s.broker.CreateTopic(s.T, "long", 1, map[string]string{"max.message.bytes": "64000000"})
	s.produce("long", &kgo.Record{Value: []byte(`{"n":0}`)}, &kgo.Record{Key: []byte("k"), Value: fmt.Appendf(nil, `{"n":1,"text":%q}`, bytes.Repeat([]byte("x"), 3<<20))},
		&kgo.Record{Value: []byte(`{"n":2}`)})
	s.configure(`memory: 64m
sources:
  orders: {type: kafka, brokers: "$BROKER", topics: long, group: long}
sinks:
  search: {type: elasticsearch, hosts: "$NODE", index: long}
routes:
  - {match: "**", to: search}
`)
	s.start()
	s.settles(3)
	s.indexed("long", 0, 2)
	if all := s.letters("dead letters"); len(all) != 1 || all[1].Reason != "too-large" || all[1].Key != "k" || !strings.Contains(all[1].Body, "it is at kafka:long/0/1@") {
		s.Errorf("%+v, expected one letter that says where the record is", all)
	}
	s.ends(3, 2, 1)
}

// Records without a value are dropped and counted, or delete the document of their key, or are kept as dead letters.
func tellTombstones(s *story) {
	s.broker.CreateTopic(s.T, "tombs", 1, nil)
	s.produce("tombs",
		&kgo.Record{Key: []byte("a"), Value: []byte(`{"n":1}`)}, &kgo.Record{Key: []byte("b"), Value: []byte(`{"n":2}`)}, &kgo.Record{Key: []byte("a")})
	s.configure(`memory: 96m
sources:
  counted: {type: kafka, brokers: "$BROKER", topics: tombs, group: counted, tag: counted}
  deleted: {type: kafka, brokers: "$BROKER", topics: tombs, group: deleted, tag: deleted, tombstone: delete}
  kept: {type: kafka, brokers: "$BROKER", topics: tombs, group: kept, tag: kept, tombstone: dead-letter}
sinks:
  keyed: {type: elasticsearch, hosts: "$NODE", index: "tombs-{tag}", id: key, operation: index}
routes:
  - {match: "**", to: keyed}
`)
	s.start()
	status := s.settles(3 + 3 + 3)
	for _, source := range status.Sources {
		if source.Detail.Tombstones != 1 {
			s.Errorf("the source %s counts %d tombstones, expected 1", source.Name, source.Detail.Tombstones)
		}
	}
	s.indexed("tombs-counted", 1, 2)
	s.indexed("tombs-deleted", 2)
	s.indexed("tombs-kept", 1, 2)
	if letters := s.letters("dead letters"); len(letters) != 1 || letters[2].Key != "a" || letters[2].Reason != "tombstone" {
		s.Errorf("%+v, expected the tombstone of key a", letters)
	}
	s.endsWith(9, 7, 1, 1)
}
