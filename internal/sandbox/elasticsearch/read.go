package elasticsearch

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
)

// hit is a document as an answer shows it.
type hit struct {
	Index   string          `json:"_index"`
	ID      string          `json:"_id"`
	Version uint32          `json:"_version,omitempty"`
	Routing string          `json:"_routing,omitempty"`
	Found   bool            `json:"found,omitempty"`
	Source  json.RawMessage `json:"_source,omitempty"`
}

// getDocument answers GET and HEAD /INDEX/_doc/ID, from the documents that are kept.
func (s *Server) getDocument(r *http.Request, expression, id string) (int, []byte, *apiError) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return 0, nil, notAllowed(r)
	}
	docs := s.present(expression)
	for _, d := range slices.Backward(docs) {
		if d.ID == id {
			return http.StatusOK, encode(hit{Index: d.Index, ID: id, Routing: d.Routing, Found: true, Source: d.Source}), nil
		}
	}
	return http.StatusNotFound, encode(map[string]any{"_index": expression, "_id": id, "found": false}), nil
}

// search answers _search as if it asked for all: of the body and the query, size and from are looked at alone. Of a
// document that was written more than once, the last is found. Hits stand in the order of their first arrival.
func (s *Server) search(r *http.Request, expression string, indices []*index, body []byte) (int, []byte, *apiError) {
	var ask struct {
		Size *int `json:"size"`
		From int  `json:"from"`
	}
	if len(body) > 0 {
		if err := json.Unmarshal(body, &ask); err != nil {
			return 0, nil, refuse(http.StatusBadRequest, "parsing_exception", "%v", err)
		}
	}
	size := 10
	if ask.Size != nil {
		size = *ask.Size
	}
	query := r.URL.Query()
	for name, to := range map[string]*int{"size": &size, "from": &ask.From} {
		if text := query.Get(name); text != "" {
			n, err := strconv.Atoi(text)
			if err != nil {
				return 0, nil, illegal("Failed to parse int parameter [%s] with value [%s]", name, text)
			}
			*to = n
		}
	}
	if size < 0 || ask.From < 0 {
		return 0, nil, illegal("[size] and [from] must not be negative")
	}
	hits := distinct(s.present(expression))
	hits = hits[min(ask.From, len(hits)):]
	hits = hits[:min(size, len(hits))]
	total := map[string]any{"value": documents(indices), "relation": "eq"}
	return http.StatusOK, encode(map[string]any{"took": 1, "timed_out": false, "hits": map[string]any{"total": total, "hits": hits}}), nil
}

// distinct makes hits of documents, each id of an index once.
func distinct(docs []Document) []hit {
	hits := make([]hit, 0, len(docs))
	at := make(map[[2]string]int, len(docs))
	for _, d := range docs {
		key := [2]string{d.Index, d.ID}
		if i, known := at[key]; known {
			hits[i].Source = d.Source
			continue
		}
		at[key] = len(hits)
		hits = append(hits, hit{Index: d.Index, ID: d.ID, Routing: d.Routing, Source: d.Source})
	}
	return hits
}
