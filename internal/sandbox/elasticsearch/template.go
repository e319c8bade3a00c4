package elasticsearch

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// template is an index template, composable or legacy, or a component template.
type template struct {
	raw        []byte
	patterns   []string
	priority   int
	composedOf []string
	stream     bool
	builtIn    bool
	settings   map[string]string
	fields     map[string]string
	strict     bool
	aliases    map[string]bool
}

func (t *template) matches(name string) bool {
	return slices.ContainsFunc(t.patterns, func(pattern string) bool { return globs(pattern, name) })
}

func (t *template) applyTo(ix *index) {
	maps.Copy(ix.settings, t.settings)
	maps.Copy(ix.fields, t.fields)
	ix.strict = ix.strict || t.strict
}

// object reads a JSON object strictly, so that a member named twice or one of another type is found.
func object(what string, body []byte, allowed ...string) (map[string]json.RawMessage, *apiError) {
	var one scanner
	one.reset(body)
	members := make(map[string]json.RawMessage)
	err := one.object(0, func(key []byte) error {
		value, err := one.value(1)
		members[string(key)] = value
		return err
	})
	if err == nil {
		err = one.end()
	}
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "x_content_parse_exception", "[%s] %v", what, err)
	}
	for _, key := range slices.Sorted(maps.Keys(members)) {
		if len(allowed) > 0 && !slices.Contains(allowed, key) {
			return nil, refuse(http.StatusBadRequest, "x_content_parse_exception", "[1:2] [%s] unknown field [%s]", what, key)
		}
	}
	return members, nil
}

// into decodes a member into a Go value; one that is missing leaves it.
func into(what string, members map[string]json.RawMessage, key string, v any) *apiError {
	raw, found := members[key]
	if !found || string(raw) == "null" {
		return nil
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return refuse(http.StatusBadRequest, "x_content_parse_exception", "[1:2] [%s] failed to parse field [%s]: %v", what, key, err)
	}
	return nil
}

// firstError returns the first error that is one.
func firstError(errs ...*apiError) *apiError {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// composable reads the body of PUT /_index_template/NAME.
func (s *Server) composable(name string, body []byte) (*template, *apiError) {
	const what = "index_template"
	members, err := object(what, body, "index_patterns", "template", "composed_of", "priority", "version", "_meta", "data_stream",
		"allow_auto_create", "ignore_missing_component_templates", "deprecated")
	if err != nil {
		return nil, err
	}
	t := &template{raw: slices.Clone(body)}
	var stream struct {
		Hidden             bool             `json:"hidden"`
		AllowCustomRouting bool             `json:"allow_custom_routing"`
		TimestampField     *json.RawMessage `json:"timestamp_field"` // OpenSearch
	}
	var ignored []string
	err = firstError(patterns(what, members, &t.patterns), into(what, members, "composed_of", &t.composedOf), into(what, members, "priority", &t.priority),
		into(what, members, "ignore_missing_component_templates", &ignored), t.content(what, members["template"]), into(what, members, "data_stream", &stream))
	if err != nil {
		return nil, err
	}
	_, t.stream = members["data_stream"]
	if len(t.patterns) == 0 {
		return nil, invalidTemplate(name, "index patterns are missing")
	}
	return t, s.catalog.composes(name, t, ignored)
}

func invalidTemplate(name, why string) *apiError {
	return refuse(http.StatusBadRequest, "invalid_index_template_exception", "index_template [%s] invalid, cause [%s]", name, why)
}

// composes checks a composable template against the others.
func (c *catalog) composes(name string, t *template, ignored []string) *apiError {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, component := range t.composedOf {
		if c.components[component] == nil && !slices.Contains(ignored, component) {
			return invalidTemplate(name, fmt.Sprintf("index template [%s] specifies component templates [%s] that do not exist", name, component))
		}
	}
	for other, o := range c.templates {
		if other != name && o.priority == t.priority && overlaps(o.patterns, t.patterns) {
			return illegal("index template [%s] has index patterns %v matching patterns from existing templates [%s] with patterns (%s => %v) that have the same "+
				"priority [%d], multiple index templates may not match during index creation, please use a different priority",
				name, t.patterns, other, other, o.patterns, t.priority)
		}
	}
	return nil
}

// overlaps reports whether a pattern of one list matches one of the other, its wildcards taken as text.
func overlaps(a, b []string) bool {
	for _, x := range a {
		for _, y := range b {
			if globs(x, y) || globs(y, x) {
				return true
			}
		}
	}
	return false
}

// patterns reads index_patterns: a text or a list of texts.
func patterns(what string, members map[string]json.RawMessage, to *[]string) *apiError {
	if raw := members["index_patterns"]; len(raw) > 0 && raw[0] == '"' {
		*to = []string{unquoted(raw)}
		return nil
	}
	return into(what, members, "index_patterns", to)
}

// component reads the body of PUT /_component_template/NAME.
func component(body []byte) (*template, *apiError) {
	const what = "component_template"
	members, err := object(what, body, "template", "version", "_meta", "allow_auto_create", "deprecated")
	if err != nil {
		return nil, err
	}
	if members["template"] == nil {
		return nil, refuse(http.StatusBadRequest, "illegal_argument_exception", "Required [template]")
	}
	t := &template{raw: slices.Clone(body)}
	return t, t.content(what, members["template"])
}

// legacyTemplate reads the body of PUT /_template/NAME.
func legacyTemplate(body []byte) (*template, *apiError) {
	const what = "put_index_template"
	members, err := object(what, body, "index_patterns", "order", "settings", "mappings", "aliases", "version")
	if err != nil {
		return nil, err
	}
	t := &template{raw: slices.Clone(body)}
	if err := firstError(patterns(what, members, &t.patterns), into(what, members, "order", &t.priority), t.parts(what, members)); err != nil {
		return nil, err
	}
	if len(t.patterns) == 0 {
		return nil, refuse(http.StatusBadRequest, "action_request_validation_exception", "Validation Failed: 1: index patterns are missing;")
	}
	return t, nil
}

// content reads the member template of composable and component templates.
func (t *template) content(what string, raw json.RawMessage) *apiError {
	if raw == nil {
		return nil
	}
	members, err := object(what, raw, "settings", "mappings", "aliases", "lifecycle", "data_stream_options")
	if err != nil {
		return err
	}
	return t.parts(what, members)
}

// parts reads settings, mappings and aliases, as they stand in templates and in PUT /INDEX.
func (t *template) parts(what string, members map[string]json.RawMessage) *apiError {
	var settings map[string]any
	var mappings struct {
		Dynamic    any `json:"dynamic"`
		Properties map[string]struct {
			Type string `json:"type"`
		} `json:"properties"`
	}
	var aliases map[string]struct {
		IsWriteIndex bool `json:"is_write_index"`
	}
	if err := firstError(into(what, members, "settings", &settings), into(what, members, "mappings", &mappings), into(what, members, "aliases", &aliases)); err != nil {
		return err
	}
	t.settings, t.fields, t.aliases = make(map[string]string), make(map[string]string), make(map[string]bool)
	flatten(t.settings, "", settings)
	t.strict = mappings.Dynamic == "strict"
	for name, property := range mappings.Properties {
		if property.Type == "" {
			property.Type = "object"
		}
		t.fields[name] = property.Type
	}
	for name, alias := range aliases {
		t.aliases[name] = alias.IsWriteIndex
	}
	return nil
}

// flatten writes nested settings as dotted names that begin with "index.".
func flatten(to map[string]string, prefix string, settings map[string]any) {
	for name, value := range settings {
		full := prefix + name
		if nested, ok := value.(map[string]any); ok {
			flatten(to, full+".", nested)
			continue
		}
		if !strings.HasPrefix(full, "index.") {
			full = "index." + full
		}
		to[full] = fmt.Sprint(value)
	}
}
