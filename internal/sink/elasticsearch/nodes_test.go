package elasticsearch

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/elastic/elastic-transport-go/v8/elastictransport"
)

// Nodes take turns; one that fails is left alone for a second, twice as long each time after
// that up to half a minute, while there is another, and until it works again.
func TestNodesThatRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var conns []*elastictransport.Connection
		for _, host := range []string{"a", "b", "c"} {
			conns = append(conns, &elastictransport.Connection{URL: &url.URL{Scheme: "http", Host: host, Path: "/base"}})
		}
		pool := newNodes(conns)
		rounds := func(want string) {
			t.Helper()
			got := ""
			for range want {
				c, err := pool.Next()
				if err != nil {
					t.Fatal(err)
				}
				got += c.URL.Host
			}
			if got != want {
				t.Errorf("requests go to %s, expected %s", got, want)
			}
		}
		fails := func(host string) { pool.failed(&url.URL{Scheme: "http", Host: host, Path: "/base"}) }
		rounds("abcabc")

		rest := time.Second
		for range 7 {
			fails("b")
			fails("b") // Another request was under way.
			rounds("acac")
			time.Sleep(rest - time.Nanosecond)
			rounds("acac")
			time.Sleep(time.Nanosecond)
			rounds("abc")
			rest = min(2*rest, 30*time.Second)
		}
		if rest != 30*time.Second {
			t.Fatalf("the longest rest is %v", rest)
		}
		pool.worked(&url.URL{Scheme: "http", Host: "b", Path: "/base"})
		fails("b")
		time.Sleep(time.Second)
		rounds("abc")

		// None works: the one whose rest ends first is tried.
		fails("c")
		time.Sleep(100 * time.Millisecond)
		fails("a")
		fails("b")
		rounds("ccc")
	})
}

// Nodes behind one address are told apart by their paths, one of which may begin with
// another's.
func TestNodesOfOneAddress(t *testing.T) {
	s := newServer(t)
	var paths []string
	handler := s.Config.Handler
	s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		paths = append(paths, r.URL.Path)
		if strings.HasPrefix(r.URL.Path, "/a/b/") {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		handler.ServeHTTP(w, r)
	})
	made := sinkTo(t, s, func(o *Options) {
		host := o.Hosts[0].Host
		o.Hosts = nil
		for _, path := range []string{"/a", "/a/b", "/a/"} {
			o.Hosts = append(o.Hosts, &url.URL{Scheme: "http", Host: host, Path: path})
		}
	})
	for range 7 {
		made.Send(t.Context(), lines(1))
	}
	want := []string{"/a/_bulk", "/a/b/_bulk", "/a//_bulk", "/a/_bulk", "/a//_bulk", "/a/_bulk", "/a//_bulk"}
	if !slices.Equal(paths, want) {
		t.Errorf("requests went to %v, want %v", paths, want)
	}
}
