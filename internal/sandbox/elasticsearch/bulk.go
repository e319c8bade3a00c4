package elasticsearch

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
)

// maxID is the longest id in bytes.
const maxID = 512

// bulk is one bulk request, taken apart. It is used again for later ones.
type bulk struct {
	request Request
	items   []Item
	defs    Item // What the path and the query say for every action.
	scan    scanner
	fields  []field
	tooLong []string // What is wrong with single actions and refuses them all.
	names   interned
	out     []byte
}

// interned keeps one text of each kind, since neighbours mostly agree.
type interned struct{ index, routing, pipeline string }

func keepText(last *string, b []byte) string {
	if *last != string(b) {
		*last = string(b)
	}
	return *last
}

// actions takes the body apart, line by line. An error is one that refuses the request as a whole; an action or a
// document that is not valid refuses itself alone, by its result.
func (b *bulk) actions(s *Server, body []byte) *apiError {
	b.items, b.tooLong = b.items[:0], b.tooLong[:0]
	if len(body) == 0 {
		return refuse(http.StatusBadRequest, "parse_exception", "request body is required")
	}
	if body[len(body)-1] != '\n' {
		return illegal(`The bulk request must be terminated by a newline [\n]`)
	}
	for line := 1; len(body) > 0; line++ {
		var head []byte
		head, body = cutLine(body)
		if len(bytes.TrimSpace(head)) == 0 {
			continue
		}
		b.items = append(b.items, b.defs)
		it := &b.items[len(b.items)-1]
		if err := b.head(s, it, head, line); err != nil {
			return err
		}
		if it.Op == "delete" {
			continue
		}
		if len(body) == 0 {
			return illegal("Malformed action/metadata line [%d], expected a document behind it but found the end of the request", line)
		}
		it.Document, body = cutLine(body)
		line++
	}
	if len(b.items) == 0 {
		return refuse(http.StatusBadRequest, "action_request_validation_exception", "Validation Failed: 1: no requests added;")
	}
	if len(b.tooLong) > 0 {
		return refuse(http.StatusBadRequest, "action_request_validation_exception", "Validation Failed: %s", strings.Join(b.tooLong, ""))
	}
	return nil
}

func cutLine(body []byte) (line, rest []byte) {
	end := bytes.IndexByte(body, '\n')
	return body[:end], body[end+1:]
}

// head reads an action's line: {"create":{"_index":"i","_id":"1"}}.
func (b *bulk) head(s *Server, it *Item, text []byte, line int) *apiError {
	b.scan.reset(text)
	actions := 0
	var refused *apiError
	err := b.scan.object(0, func(op []byte) error {
		actions++
		switch it.Op = string(op); it.Op {
		case "create", "index", "update", "delete":
		default:
			refused = illegal("Malformed action/metadata line [%d], expected field [create], [delete], [index] or [update] but found [%s]", line, op)
			return refused
		}
		return b.scan.object(1, func(key []byte) error {
			value, err := b.scan.value(2)
			if err != nil {
				return err
			}
			if refused = b.metadata(s, it, string(key), value, line); refused != nil {
				return refused
			}
			return nil
		})
	})
	if err == nil {
		err = b.scan.end()
	}
	switch {
	case refused != nil:
		return refused
	case err != nil:
		return illegal("Malformed action/metadata line [%d]: %v", line, err)
	case actions != 1:
		return illegal("Malformed action/metadata line [%d], expected one action but found %d", line, actions)
	}
	return b.check(it)
}

// check looks at an action whose line has been read.
func (b *bulk) check(it *Item) *apiError {
	n := len(b.tooLong) + 1
	switch {
	case it.Index == "":
		b.tooLong = append(b.tooLong, fmt.Sprintf("%d: index is missing;", n))
	case len(it.ID) > maxID:
		b.tooLong = append(b.tooLong, fmt.Sprintf("%d: id [%s] is too long, must be no longer than 512 bytes but was: %d;", n, it.ID, len(it.ID)))
	case it.ID == "" && (it.Op == "update" || it.Op == "delete"):
		b.tooLong = append(b.tooLong, fmt.Sprintf("%d: id is missing;", n))
	}
	return nil
}

// metadata takes one member of an action's object.
func (b *bulk) metadata(s *Server, it *Item, key string, value []byte, line int) *apiError {
	unknown := func() *apiError {
		return illegal("Action/metadata line [%d] contains an unknown parameter [%s]", line, key)
	}
	switch key {
	case "_index", "_id", "routing", "pipeline", "_type", "version_type", "_routing":
	case "require_alias":
		it.requireAlias = string(value) == "true"
		return nil
	case "version", "if_seq_no", "if_primary_term", "retry_on_conflict", "dynamic_templates", "list_executed_pipelines", "_source",
		"require_data_stream":
		return nil
	default:
		return unknown()
	}
	if string(value) == "null" {
		return nil
	}
	text, ok := b.text(value)
	if !ok {
		return illegal("Malformed action/metadata line [%d], expected a simple value for field [%s] but found [%c]", line, key, value[0])
	}
	switch key {
	case "_index":
		it.Index = keepText(&b.names.index, text)
	case "_id":
		it.ID, it.hasID = string(text), true
	case "routing":
		it.Routing = keepText(&b.names.routing, text)
	case "pipeline":
		it.Pipeline = keepText(&b.names.pipeline, text)
	case "_type":
		if s.openSearch && s.major > 1 || !s.openSearch && s.major > 7 {
			return unknown()
		}
	case "_routing":
		return unknown()
	}
	return nil
}

// text returns the content of a JSON string, or the text of a number or a boolean, which the node takes as well.
func (b *bulk) text(value []byte) ([]byte, bool) {
	switch value[0] {
	case '{', '[':
		return nil, false
	case '"':
		var one scanner
		one.reset(value)
		content, err := one.str()
		return content, err == nil
	}
	return value, true
}
