package elasticsearch

import (
	"fmt"
	"maps"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// maxIndices bounds the memory of names that clients make up; it is the default number of shards of a real node.
const maxIndices = 1000

// catalog is what the node knows by name. It is safe for concurrent use.
type catalog struct {
	server *Server

	mu         sync.RWMutex
	indices    map[string]*index
	aliases    map[string]map[string]bool // Alias to indices, with what is_write_index says.
	streams    map[string]*dataStream
	templates  map[string]*template // Composable ones.
	components map[string]*template
	legacy     map[string]*template
	policies   map[string]*policy
	made       uint64
}

type dataStream struct {
	name, template string
	backing        []*index // The last one is written to.
}

func (c *catalog) init(s *Server) {
	*c = catalog{
		server: s, indices: make(map[string]*index), aliases: make(map[string]map[string]bool), streams: make(map[string]*dataStream),
		templates: make(map[string]*template), components: make(map[string]*template), legacy: make(map[string]*template),
		policies: make(map[string]*policy),
	}
	if !s.openSearch {
		for _, kind := range []string{"logs", "metrics"} {
			c.templates[kind] = &template{raw: []byte(`{"index_patterns":["` + kind + `-*-*"],"priority":100,"data_stream":{}}`),
				patterns: []string{kind + "-*-*"}, priority: 100, stream: true, builtIn: true}
		}
	}
}

// target returns the index that an item is for, which it makes if that is allowed.
func (c *catalog) target(it *Item) (*index, *apiError) {
	c.mu.RLock()
	ix, err := c.lookupLocked(it)
	c.mu.RUnlock()
	if ix != nil || err != nil {
		return ix, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if ix, err = c.lookupLocked(it); ix != nil || err != nil {
		return ix, err
	}
	if it.requireAlias {
		return nil, refuse(http.StatusNotFound, "index_not_found_exception",
			"no such index [%s] and [require_alias] request flag is [true] and [%s] is not an alias", it.Index, it.Index)
	}
	if err := checkName(it.Index); err != nil {
		return nil, err
	}
	if c.server.options.NoAutoCreate {
		return nil, refuse(http.StatusNotFound, "index_not_found_exception", "no such index [%s] and [action.auto_create_index] is [false]", it.Index)
	}
	if it.Op == "delete" {
		return nil, missing(it.Index)
	}
	if name, t := c.matchLocked(it.Index); t != nil && t.stream {
		ds, err := c.makeStreamLocked(it.Index, name)
		if err != nil {
			return nil, err
		}
		return c.streamTarget(ds, it)
	}
	return c.makeIndexLocked(it.Index, "")
}

func missing(name string) *apiError {
	return refuse(http.StatusNotFound, "index_not_found_exception", "no such index [%s]", name)
}

func (c *catalog) lookupLocked(it *Item) (*index, *apiError) {
	if ds := c.streams[it.Index]; ds != nil {
		return c.streamTarget(ds, it)
	}
	if members, found := c.aliases[it.Index]; found {
		return c.writeIndexLocked(it.Index, members)
	}
	ix := c.indices[it.Index]
	if ix == nil || it.requireAlias {
		return nil, nil
	}
	if ix.dataStream != "" && it.Op == "create" {
		return nil, illegal("index request with op_type=create targeting backing indices is disallowed, target corresponding data stream [%s] instead", ix.dataStream)
	}
	return ix, nil
}

func (*catalog) streamTarget(ds *dataStream, it *Item) (*index, *apiError) {
	if it.Op != "create" {
		return nil, illegal("only write ops with an op_type of create are allowed in data streams")
	}
	return ds.backing[len(ds.backing)-1], nil
}

// writeIndexLocked returns the index of an alias that is written to.
func (c *catalog) writeIndexLocked(alias string, members map[string]bool) (*index, *apiError) {
	for name, write := range members {
		if write || len(members) == 1 {
			return c.indices[name], nil
		}
	}
	return nil, illegal("no write index is defined for alias [%s]. The write index may be explicitly disabled using is_write_index=false or "+
		"the alias points to multiple indices without one being designated as a write index", alias)
}

// checkName refuses names that no index may have.
func checkName(name string) *apiError {
	invalid := func(why string) *apiError {
		return refuse(http.StatusBadRequest, "invalid_index_name_exception", "Invalid index name [%s], %s", name, why)
	}
	switch {
	case name != strings.ToLower(name):
		return invalid("must be lowercase")
	case strings.ContainsAny(name, `\/*?"<>| ,#:`):
		return invalid(`must not contain the following characters ['\','/','*','?','"','<','>','|',' ',',','#',':']`)
	case strings.HasPrefix(name, "_") || strings.HasPrefix(name, "-") || strings.HasPrefix(name, "+"):
		return invalid("must not start with '_', '-', or '+'")
	case name == "." || name == "..":
		return invalid("must not be '.' or '..'")
	case len(name) > 255:
		return invalid(fmt.Sprintf("index name is too long, (%d > 255)", len(name)))
	}
	return nil
}

// makeIndexLocked makes an index with what the templates say.
func (c *catalog) makeIndexLocked(name, stream string) (*index, *apiError) {
	if len(c.indices) >= maxIndices {
		return nil, refuse(http.StatusBadRequest, "validation_exception", "Validation Failed: 1: this action would add [2] shards, but this cluster "+
			"currently has [%d]/[%d] maximum normal shards open;", len(c.indices), maxIndices)
	}
	c.made++
	ix := &index{name: name, uuid: fmt.Sprintf("sandbox%015d", c.made), dataStream: stream, settings: make(map[string]string), fields: make(map[string]string)}
	templates := c.layersLocked(name, stream)
	for _, t := range templates {
		t.applyTo(ix)
		for alias, write := range t.aliases {
			c.aliasLocked(alias, name, write)
		}
	}
	c.indices[name] = ix
	return ix, nil
}

func (c *catalog) aliasLocked(alias, name string, write bool) {
	if c.aliases[alias] == nil {
		c.aliases[alias] = make(map[string]bool)
	}
	c.aliases[alias][name] = write
}

func (c *catalog) makeStreamLocked(name, templateName string) (*dataStream, *apiError) {
	ds := &dataStream{name: name, template: templateName}
	if _, err := c.rolloverLocked(ds); err != nil {
		return nil, err
	}
	c.streams[name] = ds
	return ds, nil
}

// rolloverLocked gives a data stream a new index to write to.
func (c *catalog) rolloverLocked(ds *dataStream) (*index, *apiError) {
	name := fmt.Sprintf(".ds-%s-%s-%06d", ds.name, c.server.now().UTC().Format("2006.01.02"), len(ds.backing)+1)
	if c.server.openSearch {
		name = fmt.Sprintf(".ds-%s-%06d", ds.name, len(ds.backing)+1)
	}
	ix, err := c.makeIndexLocked(name, ds.name)
	if err == nil {
		ds.backing = append(ds.backing, ix)
	}
	return ix, err
}

// matchLocked returns the composable template of a name: the one of the highest priority.
func (c *catalog) matchLocked(name string) (string, *template) {
	best, bestName := (*template)(nil), ""
	for _, key := range slices.Sorted(maps.Keys(c.templates)) {
		if t := c.templates[key]; t.matches(name) && (best == nil || t.priority > best.priority) {
			best, bestName = t, key
		}
	}
	return bestName, best
}

// layersLocked returns the templates that make an index, those that are overridden first.
func (c *catalog) layersLocked(name, stream string) []*template {
	if stream != "" {
		name = stream
	}
	if _, t := c.matchLocked(name); t != nil {
		var layers []*template
		for _, component := range t.composedOf {
			if part := c.components[component]; part != nil {
				layers = append(layers, part)
			}
		}
		return append(layers, t)
	}
	var layers []*template
	for _, key := range slices.Sorted(maps.Keys(c.legacy)) {
		if c.legacy[key].matches(name) {
			layers = append(layers, c.legacy[key])
		}
	}
	slices.SortStableFunc(layers, func(a, b *template) int { return a.priority - b.priority })
	return layers
}

// named returns the indices that a path's expression stands for: names, aliases, data streams and wildcards.
func (c *catalog) named(expression string) []*index {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if expression == "" || expression == "_all" {
		expression = "*"
	}
	found := make(map[string]*index)
	for one := range strings.SplitSeq(expression, ",") {
		for name, ix := range c.indices {
			matched := globs(one, name) || globs(one, ix.dataStream) && ix.dataStream != ""
			for alias, members := range c.aliases {
				_, in := members[name]
				matched = matched || in && globs(one, alias)
			}
			if matched {
				found[name] = ix
			}
		}
	}
	list := make([]*index, 0, len(found))
	for _, name := range slices.Sorted(maps.Keys(found)) {
		list = append(list, found[name])
	}
	return list
}

func globs(pattern, name string) bool {
	matched, err := path.Match(pattern, name)
	return err == nil && matched
}

func (s *Server) makeID() string { return "sandbox-" + strconv.FormatUint(s.ids.Add(1), 10) }
