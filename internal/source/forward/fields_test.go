package forward

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tinylib/msgp/msgp"

	protocol "github.com/spillway/spillway/forward"
)

// entryOf makes an entry of a second since 1970 and a record.
func entryOf(t *testing.T, second int64, record map[string]any) []byte {
	t.Helper()
	b, err := msgp.AppendMapStrIntf(protocol.AppendEntry(nil, second*1e9), record)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// recordsOf are the records of entries.
func recordsOf(t *testing.T, entries []byte) (all []map[string]any) {
	t.Helper()
	if c := protocol.CheckEntries(entries); c.InvalidCount > 0 {
		t.Fatal(c.Err)
	}
	for len(entries) > 0 {
		e, rest, err := protocol.NextEntry(entries)
		if err != nil {
			t.Fatal(err)
		}
		m, left, err := msgp.ReadMapStrIntfBytes(e.Record, nil)
		if err != nil || len(left) > 0 {
			t.Fatal(len(left), err)
		}
		all = append(all, m)
		entries = rest
	}
	return all
}

// TestFields: each record gets the fields, and none has one twice.
func TestFields(t *testing.T) {
	var address, task, none fields
	address.add("addr", "127.0.0.1")
	address.add("", "no such key")
	task.add("ecs_cluster", "default")
	large := map[string]any{}
	for i := range 15 {
		large[string(rune('a'+i))] = "v"
	}
	entries := entryOf(t, 1, map[string]any{"log": "one"})
	entries = append(entries, entryOf(t, 2, map[string]any{"log": "addr", "addr": "10.0.0.1", "x": map[string]any{"addr": "kept"}})...)
	entries = append(entries, entryOf(t, 3, map[string]any{})...)
	entries = append(entries, entryOf(t, 4, large)...)
	f := task.join(&address).join(&none)
	got, err := f.appendTo(nil, entries)
	if err != nil {
		t.Fatal(err)
	}
	if most := len(entries) + f.growth(4); len(got) > most {
		t.Errorf("%d bytes became %d, at most %d were expected", len(entries), len(got), most)
	}
	added := func(m map[string]any) map[string]any {
		m["addr"], m["ecs_cluster"] = "127.0.0.1", "default"
		return m
	}
	want := []map[string]any{
		added(map[string]any{"log": "one"}), added(map[string]any{"log": "addr", "x": map[string]any{"addr": "kept"}}),
		added(map[string]any{}), added(large),
	}
	if diff := cmp.Diff(want, recordsOf(t, got)); diff != "" {
		t.Error(diff)
	}
}

// FuzzFields: whatever valid entries come, they stay as many and valid.
func FuzzFields(f *testing.F) {
	f.Add([]byte("\x92\x01\x81\xa1a\xa1b"), "a", "x")
	f.Add([]byte("\x92\x01\xde\x00\x01\xc4\x01a\xa1b\x92\x02\x80"), "a", "")
	f.Fuzz(func(t *testing.T, entries []byte, key, value string) {
		c := protocol.CheckEntries(entries)
		if c.InvalidCount > 0 || c.Count == 0 {
			return
		}
		var add fields
		add.add(key, value)
		got, err := add.appendTo(nil, c.Valid)
		if err != nil {
			t.Fatal(err)
		}
		after := protocol.CheckEntries(got)
		if after.Count != c.Count || after.InvalidCount > 0 {
			t.Fatalf("%d entries became %d, %d invalid ones", c.Count, after.Count, after.InvalidCount)
		}
		p := newParts(func(_ string, _ int64, entry []byte) {
			if c := protocol.CheckEntries(entry); c.Count != 1 || c.InvalidCount > 0 {
				t.Fatal(c.Err)
			}
		})
		rest, count, err := p.take("t", c.Valid)
		if err != nil {
			t.Fatal(err)
		}
		if after := protocol.CheckEntries(rest); after.Count != count || after.InvalidCount > 0 {
			t.Fatal(after.Err)
		}
		p.end()
	})
}
