package elasticsearch

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
)

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
