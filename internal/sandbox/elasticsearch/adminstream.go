package elasticsearch

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

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
