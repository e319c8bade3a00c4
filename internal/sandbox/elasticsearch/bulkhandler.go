package elasticsearch

import (
	"maps"
	"net/http"
	"slices"
	"strings"
)

// serveBulk answers a bulk request.
func (s *Server) serveBulk(x *exchange, body []byte) {
	b, _ := s.scans.Get().(*bulk)
	defer s.scans.Put(b)
	failed := b.begin(s, x.request)
	if failed == nil {
		failed = b.actions(s, body)
	}
	b.request = Request{N: int(s.bulks.Add(1)), HTTP: x.request, Size: len(body), Items: b.items}
	if failed != nil {
		b.request.Invalid = failed.reason
	}
	var ask *Answer
	if x.fault != nil {
		ask = s.answer(x.fault, b.items)
	} else {
		ask = s.ask(&b.request)
	}
	s.host.Await(x.request, ask.Before)
	if n := ask.handles(len(b.items)); failed == nil && n > 0 {
		all := b.items
		b.items = all[:n]
		s.judge(b, ask.Item)
		s.counts.items(b.items, len(body), x.wire)
		b.items = all
	}
	s.host.Await(x.request, ask.Hold)
	s.host.Pause(x.request, s.Latency()+ask.Delay)
	switch {
	case ask.Drop || ask.Reset:
		x.drop("dropped after the body", ask.Reset)
	case ask.Status != 0:
		maps.Copy(x.w.Header(), ask.Header)
		x.refuse(&apiError{ask.Status, ask.Type, ask.Reason, ask.Body})
	case failed != nil:
		x.refuse(failed)
	default:
		maps.Copy(x.w.Header(), ask.Header)
		b.out = s.appendReply(b.out[:0], b.items, newFilter(x.request.URL.Query().Get("filter_path")), ask.Spoil)
		x.spoil(ask.Spoil, b.out)
	}
}

// bulkParameters are those that a bulk request may have.
var bulkParameters = []string{"pipeline", "refresh", "routing", "timeout", "wait_for_active_shards", "_source", "_source_includes", "_source_excludes",
	"require_alias", "require_data_stream", "type", "filter_path", "pretty", "human", "error_trace", "list_executed_pipelines",
	"include_source_on_error", "batch_size"}

// begin takes what the path and the query say for every action.
func (b *bulk) begin(s *Server, r *http.Request) *apiError {
	query := r.URL.Query()
	for _, name := range slices.Sorted(maps.Keys(query)) {
		if !slices.Contains(bulkParameters, name) {
			return illegal("request [%s] contains unrecognized parameter: [%s]", r.URL.Path, name)
		}
	}
	b.defs = Item{Routing: query.Get("routing"), Pipeline: query.Get("pipeline"), requireAlias: query.Get("require_alias") == "true"}
	switch parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/"); {
	case len(parts) == 1:
	case len(parts) == 2:
		b.defs.Index = parts[0]
	case len(parts) == 3 && (s.major == 7 || s.openSearch && s.major == 1): // INDEX/TYPE/_bulk
		b.defs.Index = parts[0]
	default:
		return noHandler(r)
	}
	return nil
}
