package elasticsearch

import (
	"encoding/json"
	"net/http"
	"strings"
)

// putTemplate answers requests for the three kinds of templates.
func (s *Server) putTemplate(r *http.Request, kind, name string, body []byte) (int, []byte, *apiError) {
	c := &s.catalog
	store := map[string]map[string]*template{"_index_template": c.templates, "_component_template": c.components, "_template": c.legacy}[kind]
	if r.Method == http.MethodPut || r.Method == http.MethodPost {
		t, err := s.readTemplate(kind, name, body)
		if err != nil {
			return 0, nil, err
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if store[name] != nil && r.URL.Query().Get("create") == "true" {
			return 0, nil, illegal("index template [%s] already exists", name)
		}
		if store[name] == nil && len(store) >= maxIndices {
			return 0, nil, illegal("the sandbox keeps %d templates of a kind", maxIndices)
		}
		store[name] = t
		return http.StatusOK, acknowledged, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	t := store[name]
	if t == nil {
		if kind == "_template" && r.Method == http.MethodGet {
			return http.StatusNotFound, []byte("{}"), nil
		}
		return 0, nil, refuse(http.StatusNotFound, "resource_not_found_exception", "%s matching [%s] not found", strings.TrimPrefix(kind, "_"), name)
	}
	switch r.Method {
	case http.MethodDelete:
		delete(store, name)
		return http.StatusOK, acknowledged, nil
	case http.MethodGet, http.MethodHead:
		raw := json.RawMessage(t.raw)
		switch kind {
		case "_template":
			return http.StatusOK, encode(map[string]any{name: raw}), nil
		case "_component_template":
			return http.StatusOK, encode(map[string]any{"component_templates": []any{map[string]any{"name": name, "component_template": raw}}}), nil
		}
		return http.StatusOK, encode(map[string]any{"index_templates": []any{map[string]any{"name": name, "index_template": raw}}}), nil
	}
	return 0, nil, notAllowed(r)
}

func (s *Server) readTemplate(kind, name string, body []byte) (*template, *apiError) {
	switch kind {
	case "_index_template":
		return s.composable(name, body)
	case "_component_template":
		return component(body)
	}
	return legacyTemplate(body)
}
