package elasticsearch

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

var acknowledged = []byte(`{"acknowledged":true}`)

func notAllowed(r *http.Request) *apiError {
	return refuse(http.StatusMethodNotAllowed, "method_not_allowed_exception", "Incorrect HTTP method for uri [%s] and method [%s]", r.URL.Path, r.Method)
}

func noHandler(r *http.Request) *apiError {
	return refuse(http.StatusBadRequest, "invalid_request", "no handler found for uri [%s] and method [%s]", r.URL.Path, r.Method)
}

// admin answers everything that is no bulk request.
func (s *Server) admin(r *http.Request, body []byte) (int, []byte, *apiError) {
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	last := parts[len(parts)-1]
	at := func(prefix ...string) bool {
		return len(parts) == len(prefix)+1 && slices.Equal(parts[:len(prefix)], prefix)
	}
	switch {
	case r.URL.Path == "/" || r.URL.Path == "":
		return http.StatusOK, s.info(), nil
	case at("_index_template") || at("_component_template") || at("_template"):
		return s.putTemplate(r, parts[0], last, body)
	case at("_ilm", "policy") && !s.openSearch:
		return s.ilm(r, last, body)
	case (at("_plugins", "_ism", "policies") || at("_opendistro", "_ism", "policies")) && s.openSearch:
		return s.ism(r, last, body)
	case at("_data_stream"):
		return s.dataStream(r, last)
	case at("_cluster") && last == "health":
		return http.StatusOK, []byte(`{"cluster_name":"sandbox","status":"green","timed_out":false,"number_of_nodes":1,"number_of_data_nodes":1}`), nil
	case len(parts) == 1 && strings.HasPrefix(last, "_"):
		return s.operation(r, "", last, body)
	case len(parts) == 2 && strings.HasPrefix(last, "_"):
		return s.operation(r, parts[0], last, body)
	case len(parts) == 3 && parts[1] == "_doc":
		return s.getDocument(r, parts[0], last)
	case len(parts) == 1:
		return s.oneIndex(r, last, body)
	}
	return 0, nil, noHandler(r)
}

// info is the answer to GET /, which tells the product.
func (s *Server) info() []byte {
	version := map[string]any{"number": s.options.Version, "build_type": "zip", "lucene_version": "9.12.0"}
	answer := map[string]any{"name": "sandbox", "cluster_name": "sandbox", "cluster_uuid": "sandboxsandboxsandbox0", "version": version}
	if s.openSearch {
		version["distribution"], answer["tagline"] = "opensearch", "The OpenSearch Project: https://opensearch.org/"
	} else {
		version["build_flavor"], answer["tagline"] = "default", "You Know, for Search"
	}
	return encode(answer)
}

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

// dataStream answers requests for one data stream.
func (s *Server) dataStream(r *http.Request, name string) (int, []byte, *apiError) {
	c := &s.catalog
	c.mu.Lock()
	defer c.mu.Unlock()
	ds := c.streams[name]
	if r.Method == http.MethodPut {
		templateName, t := c.matchLocked(name)
		switch {
		case ds != nil:
			return 0, nil, refuse(http.StatusBadRequest, "resource_already_exists_exception", "data_stream [%s] already exists", name)
		case t == nil:
			return 0, nil, illegal("no matching index template found for data stream [%s]", name)
		case !t.stream:
			return 0, nil, illegal("matching index template [%s] for data stream [%s] has no data stream template", templateName, name)
		}
		if _, err := c.makeStreamLocked(name, templateName); err != nil {
			return 0, nil, err
		}
		return http.StatusOK, acknowledged, nil
	}
	if ds == nil {
		return 0, nil, missing(name)
	}
	switch r.Method {
	case http.MethodDelete:
		for _, ix := range ds.backing {
			delete(c.indices, ix.name)
		}
		delete(c.streams, name)
		return http.StatusOK, acknowledged, nil
	case http.MethodGet, http.MethodHead:
		indices := make([]map[string]string, 0, len(ds.backing))
		for _, ix := range ds.backing {
			indices = append(indices, map[string]string{"index_name": ix.name, "index_uuid": ix.uuid})
		}
		return http.StatusOK, encode(map[string]any{"data_streams": []any{map[string]any{"name": name, "timestamp_field": map[string]string{"name": "@timestamp"},
			"indices": indices, "generation": len(ds.backing), "status": "GREEN", "template": ds.template}}}), nil
	}
	return 0, nil, notAllowed(r)
}

// oneIndex makes, shows and deletes an index.
func (s *Server) oneIndex(r *http.Request, name string, body []byte) (int, []byte, *apiError) {
	c := &s.catalog
	c.mu.Lock()
	defer c.mu.Unlock()
	ix := c.indices[name]
	switch r.Method {
	case http.MethodPut:
		if ix != nil || c.aliases[name] != nil || c.streams[name] != nil {
			return 0, nil, refuse(http.StatusBadRequest, "resource_already_exists_exception", "index [%s] already exists", name)
		}
		return c.putIndexLocked(name, body)
	case http.MethodHead, http.MethodGet:
		if members := c.aliases[name]; ix == nil && len(members) > 0 {
			ix = c.indices[slices.Sorted(maps.Keys(members))[0]]
		}
		if ix == nil {
			return 0, nil, missing(name)
		}
		return http.StatusOK, encode(map[string]any{ix.name: map[string]any{"settings": ix.settings, "aliases": c.aliasesLocked(ix.name)}}), nil
	case http.MethodDelete:
		if ix == nil {
			return 0, nil, missing(name)
		}
		delete(c.indices, name)
		for alias, members := range c.aliases {
			if delete(members, name); len(members) == 0 {
				delete(c.aliases, alias)
			}
		}
		return http.StatusOK, acknowledged, nil
	}
	return 0, nil, notAllowed(r)
}

func (c *catalog) aliasesLocked(name string) map[string]any {
	found := make(map[string]any)
	for alias, members := range c.aliases {
		if write, in := members[name]; in {
			found[alias] = map[string]bool{"is_write_index": write}
		}
	}
	return found
}

func (c *catalog) putIndexLocked(name string, body []byte) (int, []byte, *apiError) {
	if err := checkName(name); err != nil {
		return 0, nil, err
	}
	own := new(template)
	if len(body) > 0 {
		members, err := object("create_index", body, "settings", "mappings", "aliases")
		if err == nil {
			err = own.parts("create_index", members)
		}
		if err != nil {
			return 0, nil, err
		}
	}
	ix, err := c.makeIndexLocked(name, "")
	if err != nil {
		return 0, nil, err
	}
	own.applyTo(ix)
	for alias, write := range own.aliases {
		c.aliasLocked(alias, name, write)
	}
	return http.StatusOK, encode(map[string]any{"acknowledged": true, "shards_acknowledged": true, "index": name}), nil
}

// operation answers /_OPERATION and /INDEX/_OPERATION.
func (s *Server) operation(r *http.Request, expression, op string, body []byte) (int, []byte, *apiError) {
	if op == "_alias" || op == "_aliases" {
		return s.alias(r, expression)
	}
	if op == "_rollover" {
		return s.rollover(r, expression)
	}
	indices := s.catalog.named(expression)
	if len(indices) == 0 && expression != "" && expression != "_all" && !strings.Contains(expression, "*") {
		return 0, nil, missing(expression)
	}
	switch op {
	case "_refresh", "_flush", "_forcemerge":
		return http.StatusOK, []byte(`{"_shards":{"total":2,"successful":1,"failed":0}}`), nil
	case "_count":
		return http.StatusOK, encode(map[string]any{"count": documents(indices), "_shards": map[string]int{"total": 1, "successful": 1, "skipped": 0, "failed": 0}}), nil
	case "_search":
		return s.search(r, expression, indices, body)
	case "_open", "_close":
		for _, ix := range indices {
			ix.mu.Lock()
			ix.closed = op == "_close"
			ix.mu.Unlock()
		}
		return http.StatusOK, encode(map[string]any{"acknowledged": true, "shards_acknowledged": true}), nil
	case "_settings":
		return s.settings(r, indices, body)
	}
	return 0, nil, noHandler(r)
}

func documents(indices []*index) uint64 {
	var n uint64
	for _, ix := range indices {
		ix.mu.Lock()
		n += ix.created - ix.deleted
		ix.mu.Unlock()
	}
	return n
}

// settings changes settings of indices: the blocks, above all.
func (s *Server) settings(r *http.Request, indices []*index, body []byte) (int, []byte, *apiError) {
	if r.Method != http.MethodPut {
		return 0, nil, notAllowed(r)
	}
	members, err := object("settings", body)
	if err != nil {
		return 0, nil, err
	}
	var nested map[string]any
	if json.Unmarshal(encode(members), &nested) != nil {
		return 0, nil, illegal("expected an object of settings")
	}
	flat := make(map[string]string)
	flatten(flat, "", nested)
	for _, ix := range indices {
		ix.mu.Lock()
		maps.Copy(ix.settings, flat)
		ix.mu.Unlock()
	}
	return http.StatusOK, acknowledged, nil
}

// alias answers HEAD and GET /_alias/NAME and /INDEX/_alias.
func (s *Server) alias(r *http.Request, name string) (int, []byte, *apiError) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return 0, nil, notAllowed(r)
	}
	found := make(map[string]any)
	indices := s.catalog.named(name)
	s.catalog.mu.RLock()
	defer s.catalog.mu.RUnlock()
	for _, ix := range indices {
		found[ix.name] = map[string]any{"aliases": s.catalog.aliasesLocked(ix.name)}
	}
	if len(found) == 0 && name != "" {
		return 0, nil, refuse(http.StatusNotFound, "aliases_not_found_exception", "alias [%s] missing", name)
	}
	return http.StatusOK, encode(found), nil
}

// rollover gives a data stream or a write alias a new index.
func (s *Server) rollover(r *http.Request, name string) (int, []byte, *apiError) {
	if r.Method != http.MethodPost {
		return 0, nil, notAllowed(r)
	}
	c := &s.catalog
	c.mu.Lock()
	defer c.mu.Unlock()
	var old, fresh *index
	var err *apiError
	if ds := c.streams[name]; ds != nil {
		old = ds.backing[len(ds.backing)-1]
		fresh, err = c.rolloverLocked(ds)
	} else if members := c.aliases[name]; members != nil {
		if old, err = c.writeIndexLocked(name, members); err == nil {
			fresh, err = c.rollAliasLocked(name, old)
		}
	} else {
		err = illegal("rollover target [%s] does not exist", name)
	}
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, encode(map[string]any{"acknowledged": true, "rolled_over": true, "old_index": old.name, "new_index": fresh.name}), nil
}

func (c *catalog) rollAliasLocked(alias string, old *index) (*index, *apiError) {
	base, number, found := cutLast(old.name, "-")
	n, parseErr := strconv.Atoi(number)
	if !found || parseErr != nil {
		return nil, illegal(`index name [%s] does not match pattern '^.*-\d+$'`, old.name)
	}
	fresh, err := c.makeIndexLocked(fmt.Sprintf("%s-%06d", base, n+1), "")
	if err == nil {
		c.aliasLocked(alias, old.name, false)
		c.aliasLocked(alias, fresh.name, true)
	}
	return fresh, err
}

func cutLast(text, sep string) (before, after string, found bool) {
	at := strings.LastIndex(text, sep)
	if at < 0 {
		return text, "", false
	}
	return text[:at], text[at+len(sep):], true
}
