package elasticsearch

import (
	"bytes"
	"net/http"
	"strconv"
	"time"
)

// fits reports what is wrong with a document's fields for this index: by the types that its mappings give, or that the
// first document with the field has given. Only top-level fields are looked at; of an array, its first element.
func (ix *index) fits(s *Server, fields []field, it *Item) *apiError {
	if ix.dataStream != "" {
		if err := s.timestamp(fields); err != nil {
			return err
		}
	}
	ix.mu.Lock()
	defer ix.mu.Unlock()
	for _, f := range fields {
		kind, known := ix.fields[string(f.name)]
		if !known {
			if kind = kindOf(f.value); kind == "" {
				continue
			}
			if err := ix.addFieldLocked(s, string(f.name), kind); err != nil {
				return err
			}
			continue
		}
		if !takes(kind, f.value) {
			return refuse(http.StatusBadRequest, s.parsing(), "failed to parse field [%s] of type [%s] in document with id '%s'. Preview of field's value: '%s'",
				f.name, kind, it.ID, preview(f.value))
		}
	}
	return nil
}

// timestamp refuses documents that no data stream takes.
func (s *Server) timestamp(fields []field) *apiError {
	for _, f := range fields {
		if string(f.name) != "@timestamp" {
			continue
		}
		switch {
		case f.value[0] == '[':
			return refuse(http.StatusBadRequest, s.parsing(), "data stream timestamp field [@timestamp] encountered multiple values")
		case !takes("date", f.value) || string(f.value) == "null":
			return refuse(http.StatusBadRequest, s.parsing(), "failed to parse field [@timestamp] of type [date]. Preview of field's value: '%s'", preview(f.value))
		}
		return nil
	}
	return refuse(http.StatusBadRequest, s.parsing(), "data stream timestamp field [@timestamp] is missing")
}

func (ix *index) addFieldLocked(s *Server, name, kind string) *apiError {
	if ix.strict {
		return refuse(http.StatusBadRequest, "strict_dynamic_mapping_exception", "mapping set to strict, dynamic introduction of [%s] within [_doc] is not allowed", name)
	}
	if limit := s.options.FieldLimit; len(ix.fields) >= limit {
		return illegal("Limit of total fields [%d] has been exceeded while adding new fields [1]", limit)
	}
	ix.fields[name] = kind
	return nil
}

func preview(value []byte) string { return string(value[:min(len(value), 100)]) }

// first returns the first element of an array, at any depth, or the value itself; nil if there is none.
func first(value []byte) []byte {
	for len(value) > 0 && value[0] == '[' {
		value = bytes.TrimLeft(value[1:], " \t\r\n")
	}
	if len(value) == 0 || value[0] == ']' {
		return nil
	}
	return value
}

// kindOf is the type that a field gets by its first value; empty if it gets none.
func kindOf(value []byte) string {
	value = first(value)
	if value == nil {
		return ""
	}
	switch value[0] {
	case '{':
		return "object"
	case 't', 'f':
		return "boolean"
	case 'n':
		return ""
	case '"':
		if looksLikeDate(unquoted(value)) {
			return "date"
		}
		return "text"
	}
	if bytes.ContainsAny(number(value), ".eE") {
		return "float"
	}
	return "long"
}

// number returns the number that an array's rest begins with.
func number(value []byte) []byte {
	if end := bytes.IndexAny(value, ", \t\r\n]"); end >= 0 {
		return value[:end]
	}
	return value
}

func unquoted(value []byte) string {
	var one scanner
	one.reset(value)
	content, err := one.str()
	if err != nil {
		return ""
	}
	return string(content)
}

// takes reports whether a field of a type takes a value. Types that are not known here take all but objects.
func takes(kind string, value []byte) bool {
	value = first(value)
	if value == nil || value[0] == 'n' {
		return true
	}
	isObject, isText := value[0] == '{', value[0] == '"'
	switch kind {
	case "object", "nested", "flattened":
		return isObject
	case "text", "keyword", "match_only_text", "wildcard":
		return !isObject
	case "boolean":
		return value[0] == 't' || value[0] == 'f' || isText && (unquoted(value) == "true" || unquoted(value) == "false" || unquoted(value) == "")
	case "long", "integer", "short", "byte", "unsigned_long", "float", "double", "half_float", "scaled_float":
		if isText {
			_, err := strconv.ParseFloat(unquoted(value), 64)
			return err == nil
		}
		return !isObject && value[0] != 't' && value[0] != 'f'
	case "date", "date_nanos":
		if isText {
			text := unquoted(value)
			if looksLikeDate(text) {
				return true
			}
			_, err := strconv.ParseInt(text, 10, 64)
			return err == nil
		}
		return value[0] == '-' || '0' <= value[0] && value[0] <= '9'
	case "geo_point":
		return true
	}
	return !isObject
}

// looksLikeDate reports whether a text is a date of strict_date_optional_time, of at least ten characters.
func looksLikeDate(text string) bool {
	if len(text) < 10 || text[4] != '-' || text[7] != '-' {
		return false
	}
	layouts := []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02T15:04Z07:00", "2006-01-02T15:04", "2006-01-02T15",
		"2006-01-02T15:04:05.999999999Z0700"}
	if len(text) == len(time.DateOnly) {
		layouts = []string{time.DateOnly}
	}
	for _, layout := range layouts {
		if _, err := time.Parse(layout, text); err == nil { // It takes a comma before the fraction as well.
			return true
		}
	}
	return false
}
