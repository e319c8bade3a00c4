package elasticsearch

import (
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// admit refuses requests without credentials, or with a body of a kind that the node does not take.
func (s *Server) admit(r *http.Request, size int) *apiError {
	if !s.knows(r.Header.Get("Authorization")) {
		return refuse(http.StatusUnauthorized, "security_exception", "missing or wrong authentication credentials for REST request [%s]", r.URL.Path)
	}
	if size == 0 {
		return nil
	}
	kind, parameters, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	switch strings.ToLower(strings.TrimSpace(kind)) {
	case "application/json", "application/x-ndjson":
		return nil
	case "application/vnd.elasticsearch+json", "application/vnd.elasticsearch+x-ndjson":
		if version, err := strconv.Atoi(strings.TrimPrefix(strings.TrimSpace(parameters), "compatible-with=")); !s.openSearch && err == nil &&
			(version == s.major || version == s.major-1) {
			return nil
		}
	}
	return refuse(http.StatusNotAcceptable, "content_type_header_exception", "Content-Type header [%s] is not supported", r.Header.Get("Content-Type"))
}

// knows reports whether an Authorization header is one that the options name.
func (s *Server) knows(header string) bool {
	o := &s.options
	var good []string
	if o.User != "" {
		good = append(good, "Basic "+base64.StdEncoding.EncodeToString([]byte(o.User+":"+o.Password)))
	}
	if o.APIKey != "" {
		good = append(good, "ApiKey "+o.APIKey)
	}
	if o.Bearer != "" {
		good = append(good, "Bearer "+o.Bearer)
	}
	return len(good) == 0 || slices.ContainsFunc(good, func(one string) bool { return subtle.ConstantTimeCompare([]byte(one), []byte(header)) == 1 })
}
