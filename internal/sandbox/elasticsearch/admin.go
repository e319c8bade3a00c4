package elasticsearch

import (
	"net/http"
	"slices"
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
