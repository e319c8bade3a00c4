package elasticsearch

import (
	"errors"
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
	open, shut         string // around the members of a document: shut ends it
	textOpen, timeOpen string // timeOpen begins with a comma
	tagOpen            string
	overhead           int
	timeName           []byte // in JSON, with its quotes
	timeBegins         byte   // the first byte of it between them
	// plain: nothing is wanted from within a record, and all of it is kept.
	plain bool
	// apart: records may have one id and be of several indices, and so several documents.
	apart bool
}

// names are the keys that are looked for in JSON objects, each once.
type names []string

// key is the number of a name among them.
func (n *names) key(name string) int {
	if at := slices.Index(*n, name); at >= 0 {
		return at
	}
	*n = append(*n, name)
	return len(*n) - 1
}

func (n *names) field(name string) field {
	f := field{name: name, key: n.key(name), head: -1}
	if parts := strings.Split(name, "."); len(parts) > 1 {
		f.head, f.path = n.key(parts[0]), parts
	}
	return f
}

func (n *names) fields(all []string) (fields []field) {
	for _, name := range all {
		fields = append(fields, n.field(name))
	}
	return fields
}

// optional is nil where the name is empty.
func (n *names) optional(name string) *field {
	if name == "" {
		return nil
	}
	f := n.field(name)
	return &f
}

// optionalKey is -1 where the name is empty.
func (n *names) optionalKey(name string) int {
	if name == "" {
		return -1
	}
	return n.key(name)
}

// prepare makes what the options say into what each record needs.
func (s *Sink) prepare() error {
	o, w := &s.o, &s.want
	var all names
	if o.ID == IDField {
		if w.id = all.optional(o.IDFieldName); w.id == nil {
			return errors.New("an id from a field without the name of one")
		}
	}
	w.routing, w.index = all.optional(o.RoutingField), all.optional(o.IndexField)
	w.time, w.tag = all.optionalKey(o.TimeKey), all.optionalKey(o.TagKey)
	if w.time >= 0 {
		w.timeName = []byte(quoted(o.TimeKey))
		w.timeBegins = w.timeName[1]
	}
	w.names = all.fields(o.Index.Fields())
	if o.Pipeline != nil {
		w.pipeline = all.fields(o.Pipeline.Fields())
	}
	w.hash = all.fields(o.HashFields)
	w.removed = slices.Clone(o.RemoveKeys)
	if o.TagKey != "" && !slices.Contains(w.removed, o.TagKey) {
		w.removed = append(w.removed, o.TagKey) // The tag takes its place.
	}
	for _, name := range w.removed {
		w.remove = append(w.remove, all.key(name))
	}
	var err error
	if s.keys, err = jsonscan.NewKeys(all...); err != nil {
		return fmt.Errorf("fields of records: %w", err)
	}
	w.plain = (o.ID == IDOrigin || o.ID == IDNone) && w.routing == nil && w.index == nil && len(w.names)+len(w.pipeline)+len(w.removed) == 0
	w.apart = o.ID != IDOrigin && o.ID != IDNone && (w.index != nil || !o.Index.Fixed())
	s.pieces()
	return nil
}

// pieces makes what is the same in all bodies.
func (s *Sink) pieces() {
	o, w := &s.o, &s.want
	verb := o.Operation
	w.open, w.shut = "", "}\n"
	switch o.Operation {
	case Update:
		w.open, w.shut = `{"doc":`, "}}\n"
	case Upsert:
		verb = Update
		w.open, w.shut = `{"doc":`, "},\"doc_as_upsert\":true}\n"
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
		w.timeOpen = "," + quoted(o.TimeKey) + ":"
	}
	if o.TagKey != "" {
		w.tagOpen = quoted(o.TagKey) + ":"
	}
	// What a record of usual names takes beside its body.
	w.overhead = len(w.action) + len(o.Index.String()) + 48 + len(w.actionTail) + len(w.open) + len(w.shut) + len(w.textOpen)
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
