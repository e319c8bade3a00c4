package runfile

import (
	"encoding/base64"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// host takes one of the nodes.
func (s *searchDraft) host(text string) (expected string) {
	const form = "http://HOST:PORT or https://HOST:PORT, such as http://127.0.0.1:9200, without user and password"
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || !goodHost(u.Hostname()) || u.Hostname() == "" || u.User != nil ||
		u.RawQuery != "" || u.Fragment != "" {
		return form
	}
	if u.Port() == "" {
		port := "9200"
		if u.Scheme == "https" {
			port = "443"
		}
		u.Host += ":" + port
	} else if n, err := strconv.ParseUint(u.Port(), 10, 16); err != nil || n == 0 {
		return form
	}
	u.Path = strings.TrimRight(u.Path, "/")
	if slices.ContainsFunc(s.Hosts, func(other *url.URL) bool { return other.String() == u.String() }) {
		return "each host once"
	}
	s.Hosts = append(s.Hosts, u)
	return ""
}

// cloud is the address of a deployment in Elastic Cloud: what stands behind the
// colon of its id is DOMAIN$DEPLOYMENT in base64.
func cloud(id string) (*url.URL, bool) {
	_, encoded, ok := strings.Cut(id, ":")
	text, err := base64.StdEncoding.DecodeString(encoded)
	if !ok || err != nil {
		return nil, false
	}
	domain, rest, ok := strings.Cut(string(text), "$")
	deployment, _, _ := strings.Cut(rest, "$")
	domain, port, found := strings.Cut(domain, ":")
	if !found {
		port = "443"
	}
	if _, err := strconv.ParseUint(port, 10, 16); !ok || err != nil || deployment == "" || !goodHost(deployment+"."+domain) {
		return nil, false
	}
	return &url.URL{Scheme: "https", Host: deployment + "." + domain + ":" + port}, true
}
