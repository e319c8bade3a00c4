package elasticsearch

import (
	"bytes"
	"net/http"
)

// field is one top-level field of a document.
type field struct{ name, value []byte }

// judge decides what becomes of each item and stores what is taken.
func (s *Server) judge(b *bulk, ask func(i int, it *Item) *ItemAnswer) {
	for i := range b.items {
		it := &b.items[i]
		if ask != nil {
			if a := ask(i, it); a != nil {
				if a.Handle {
					s.judgeItem(b, it)
				}
				it.result = *a
				continue
			}
		}
		s.judgeItem(b, it)
	}
}

func (it *Item) refuse(status int, kind, reason string) {
	it.result = ItemAnswer{Status: status, Type: kind, Reason: reason}
}

// judgeItem does what the node does with an item.
func (s *Server) judgeItem(b *bulk, it *Item) {
	if it.hasID && it.ID == "" {
		it.refuse(http.StatusBadRequest, "illegal_argument_exception", "if _id is specified it must not be empty")
		return
	}
	ix, err := s.catalog.target(it)
	if err != nil {
		it.refuse(err.status, err.kind, err.reason)
		return
	}
	it.stored = ix.name
	if err := ix.block(); err != nil {
		it.refuse(err.status, err.kind, err.reason)
		return
	}
	if it.Op == "delete" {
		ix.remove(it)
		return
	}
	if err := b.document(s, it, it.Document); err != nil {
		it.refuse(http.StatusBadRequest, err.kind, err.reason)
		return
	}
	fields := b.fields
	if it.Op == "update" {
		if fields, err = b.update(s, it, ix); err != nil {
			it.refuse(err.status, err.kind, err.reason)
			return
		}
	}
	if err := ix.fits(s, fields, it); err != nil {
		it.refuse(err.status, err.kind, err.reason)
		return
	}
	if it.ID == "" {
		it.ID, it.autoID = s.makeID(), true
	}
	ix.store(s, it)
}

// document reads a document and leaves its top-level fields in b.fields.
func (b *bulk) document(s *Server, it *Item, text []byte) *apiError {
	b.fields = b.fields[:0]
	b.scan.reset(text)
	err := b.scan.object(0, func(key []byte) error {
		value, err := b.scan.value(1)
		b.fields = append(b.fields, field{key, value})
		return err
	})
	if err == nil {
		err = b.scan.end()
	}
	if err != nil {
		return refuse(http.StatusBadRequest, s.parsing(), "failed to parse: %v in document with id '%s'. Preview of field's value: ''", err, it.ID)
	}
	for _, f := range b.fields {
		if len(f.name) > 0 && f.name[0] == '_' && it.Op != "update" && reserved(string(f.name)) {
			name := string(f.name)
			return refuse(http.StatusBadRequest, s.parsing(),
				"failed to parse field [%s] of type [%s]: Field [%s] is a metadata field and cannot be added inside a document.", name, name, name)
		}
	}
	return nil
}

func reserved(name string) bool {
	switch name {
	case "_id", "_index", "_source", "_routing", "_seq_no", "_version", "_field_names", "_ignored", "_type", "_tier":
		return true
	}
	return false
}

// update reads the body of an update and returns the fields that it writes.
func (b *bulk) update(s *Server, it *Item, ix *index) ([]field, *apiError) {
	var partial, upsert []byte
	script, asUpsert := false, false
	for _, f := range b.fields {
		switch string(f.name) {
		case "doc":
			partial = f.value
		case "upsert":
			upsert = f.value
		case "doc_as_upsert":
			asUpsert = string(f.value) == "true"
		case "script":
			script = true
		case "scripted_upsert", "detect_noop", "fields", "_source", "lang", "params", "if_seq_no", "if_primary_term":
		default:
			return nil, refuse(http.StatusBadRequest, "x_content_parse_exception", "[1:2] [UpdateRequest] unknown field [%s]", f.name)
		}
	}
	if partial == nil && !script {
		return nil, refuse(http.StatusBadRequest, "action_request_validation_exception", "Validation Failed: 1: script or doc is missing;")
	}
	content := partial
	if !ix.has(it.ID) {
		switch {
		case upsert != nil:
			content = upsert
		case !asUpsert:
			return nil, refuse(http.StatusNotFound, "document_missing_exception", "[%s]: document missing", it.ID)
		}
	}
	if content == nil {
		return nil, nil
	}
	if err := b.document(s, it, bytes.TrimSpace(content)); err != nil {
		return nil, err
	}
	it.Document = content
	return b.fields, nil
}
