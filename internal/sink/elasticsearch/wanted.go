package elasticsearch

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spillway/spillway/internal/entry"
	"github.com/spillway/spillway/internal/jsonscan"
	"github.com/spillway/spillway/internal/jsontext"
)

// field is a field of records: a name as it stands, or else a path of names with
// dots between.
type field struct {
	name string
	path []string // from the second on; nothing where the name has no dot
	key  int      // of the name among the scanner's keys
	head int      // of the first of the path
}

// wanted is what the sink looks for in records, and the pieces of the body that are
// always the same.
type wanted struct {
	id, routing, index *field
	time, tag          int // keys, or -1
	names              []field
	pipeline           []field
	hash               []field
	remove             []int
	removed            []string

	// The pieces: {"create":{"_index":" and so on.
	action             string
	actionTail         string // what stands behind the id of each action
	open, shut         string // around the document
	textOpen, timeOpen string
	tagOpen            string
	overhead           int
	timeName           []byte
	// plain: nothing is wanted from within a record, and all of it is kept.
	plain bool
}

// prepare makes what the options say into what each record needs.
func (s *Sink) prepare() error {
	var names []string
	key := func(name string) int {
		if at := slices.Index(names, name); at >= 0 {
			return at
		}
		names = append(names, name)
		return len(names) - 1
	}
	find := func(name string) field {
		f := field{name: name, key: key(name), head: -1}
		if parts := strings.Split(name, "."); len(parts) > 1 {
			f.head, f.path = key(parts[0]), parts
		}
		return f
	}
	optional := func(name string) *field {
		if name == "" {
			return nil
		}
		f := find(name)
		return &f
	}
	o, w := &s.o, &s.want
	if o.ID == IDField {
		if o.IDFieldName == "" {
			return fmt.Errorf("an id from a field without the name of one")
		}
		w.id = optional(o.IDFieldName)
	}
	w.routing, w.index = optional(o.RoutingField), optional(o.IndexField)
	w.time, w.tag = -1, -1
	if o.TimeKey != "" {
		w.time, w.timeName = key(o.TimeKey), []byte(o.TimeKey)
	}
	if o.TagKey != "" {
		w.tag = key(o.TagKey)
	}
	for _, name := range o.Index.Fields() {
		w.names = append(w.names, find(name))
	}
	if o.Pipeline != nil {
		for _, name := range o.Pipeline.Fields() {
			w.pipeline = append(w.pipeline, find(name))
		}
	}
	for _, name := range o.HashFields {
		w.hash = append(w.hash, find(name))
	}
	for _, name := range o.RemoveKeys {
		w.remove = append(w.remove, key(name))
		w.removed = append(w.removed, name)
	}
	if o.TagKey != "" && !slices.Contains(w.removed, o.TagKey) {
		w.remove = append(w.remove, w.tag) // The tag takes its place.
		w.removed = append(w.removed, o.TagKey)
	}
	var err error
	if s.keys, err = jsonscan.NewKeys(names...); err != nil {
		return fmt.Errorf("fields of records: %w", err)
	}
	w.plain = (o.ID == IDOrigin || o.ID == IDNone) && w.routing == nil && w.index == nil && len(w.names)+len(w.pipeline)+len(w.removed) == 0
	s.pieces()
	return nil
}

// pieces makes what is the same in all bodies.
func (s *Sink) pieces() {
	o, w := &s.o, &s.want
	verb := o.Operation
	w.open, w.shut = "", "\n"
	switch o.Operation {
	case Update:
		w.open, w.shut = `{"doc":`, "}\n"
	case Upsert:
		verb = Update
		w.open, w.shut = `{"doc":`, ",\"doc_as_upsert\":true}\n"
	}
	w.action = `{"` + string(verb) + `":{"_index":"`
	w.actionTail = "}}\n"
	if o.RequireAlias {
		w.actionTail = `,"require_alias":true` + w.actionTail
	}
	if verb == Update && o.RetryOnConflict > 0 {
		w.actionTail = fmt.Sprintf(`,"retry_on_conflict":%d`, o.RetryOnConflict) + w.actionTail
	}
	w.textOpen = `{` + quoted(o.TextKey) + `:"`
	if o.TimeKey != "" {
		w.timeOpen = quoted(o.TimeKey) + ":"
	}
	if o.TagKey != "" {
		w.tagOpen = quoted(o.TagKey) + ":"
	}
	// What a record of usual names takes beside its body.
	w.overhead = len(w.action) + len(o.Index.String()) + 48 + len(w.actionTail) + len(w.open) + len(w.shut) + len(w.textOpen) + 1
	if o.TimeKey != "" {
		w.overhead += len(w.timeOpen) + 34
	}
	if o.TagKey != "" {
		w.overhead += len(w.tagOpen) + 32
	}
}

func quoted(text string) string {
	return `"` + string(jsontext.Repair.AppendString(nil, []byte(text))) + `"`
}

// lookupMap finds a field in a msgpack map.
func (f *field) lookupMap(rec []byte) ([]byte, bool) {
	if value, ok := entry.Lookup(rec, f.name); ok || f.path == nil {
		return value, ok
	}
	for _, name := range f.path {
		var ok bool
		if rec, ok = entry.Lookup(rec, name); !ok {
			return nil, false
		}
	}
	return rec, true
}

// lookupJSON finds it in the object that was scanned.
func (f *field) lookupJSON(scan *jsonscan.Scanner) ([]byte, bool) {
	if value := scan.Value(f.key); value != nil || f.path == nil {
		return value, value != nil
	}
	inside := scan.Value(f.head)
	if len(inside) == 0 || inside[0] != '{' {
		return nil, false
	}
	return jsonscan.Lookup(inside, f.path[1:]...)
}
