package parts

import (
	"bytes"
	"context"
	"crypto/tls"
	"embed"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/spillway/spillway/test/launcher"
)

// The search nodes, as skips and failures spell them.
const (
	Elasticsearch7 = "elasticsearch-7.17.29"
	Elasticsearch8 = "elasticsearch-8.19.21"
	Elasticsearch9 = "elasticsearch-9.5.3"
	OpenSearch1    = "opensearch-1.3.20"
	OpenSearch2    = "opensearch-2.19.6"
	OpenSearch3    = "opensearch-3.8.0"
	// OpenSearchSecured is the one that can be had with its security plugin, and only with it.
	OpenSearchSecured = "opensearch-2.19.4"
)

// SearchNodes are those that a test of the destination runs against: one of each family, or all six in
// the whole size.
func SearchNodes() []string {
	if os.Getenv("SPILLWAY_LONG") == "1" {
		return []string{Elasticsearch7, Elasticsearch8, Elasticsearch9, OpenSearch1, OpenSearch2, OpenSearch3}
	}
	return []string{Elasticsearch8, OpenSearch2}
}

// The users of a secured node: one that may do everything, and one that may do what it likes with
// indices logstash-* and nothing with others.
const (
	SearchAdmin           = "admin"
	SearchAdminPassword   = "admin"
	SearchLimited         = "logstash"
	SearchLimitedPassword = "logstash"
)

// javaSources are what the published parts lack in order to be a node.
//
//go:embed search/*.java
var javaSources embed.FS

// SearchOptions say which node is wanted.
type SearchOptions struct {
	// Secured asks for TLS and users.
	Secured bool
	// Mutual asks clients of a secured node of Elasticsearch for a certificate as well.
	Mutual bool
	// Settings are further ones of the node, such as `http.max_content_length`.
	Settings map[string]string
}

// SearchNode is one node of Elasticsearch or OpenSearch, a cluster of its own.
type SearchNode struct {
	*Process
	// Name is the product and its version, such as `opensearch-2.19.6`.
	Name string
	// URL is its base address, and stays the same over a restart.
	URL string
	// Certificates are those of a secured node, else nil.
	Certificates *Certificates

	t       testing.TB
	dir     string
	command func() *exec.Cmd
	client  *http.Client
	starts  int
}

// StartSearch starts a node, by the name that a constant here has, on free ports and with a directory
// of its own. The first start on a machine fetches it, by Maven, into the cache directory.
func StartSearch(t testing.TB, name string, options SearchOptions) *SearchNode {
	t.Helper()
	node, err := startSearch(t, name, options)
	need(t, name, err)
	return node
}

func startSearch(t testing.TB, name string, options SearchOptions) (*SearchNode, error) {
	t.Helper()
	n := &SearchNode{t: t, Name: name, dir: WorkDir(t, "search"), client: new(http.Client)}
	ports, err := launcher.FreePorts(2)
	if err != nil {
		return nil, err
	}
	n.URL = fmt.Sprintf("http://127.0.0.1:%d", ports[0])
	transport := &http.Transport{}
	if options.Secured {
		n.URL = "https" + strings.TrimPrefix(n.URL, "http")
		if n.Certificates, err = makeCertificates(n.dir); err != nil {
			return nil, err
		}
		if transport.TLSClientConfig, err = n.Certificates.TLS(options.Mutual); err != nil {
			return nil, err
		}
	}
	n.client.Transport = transport
	settings := map[string]string{
		"cluster.name": "check", "node.name": "n1", "network.host": "127.0.0.1", "discovery.type": "single-node",
		"http.port": fmt.Sprint(ports[0]), "transport.port": fmt.Sprint(ports[1]),
		// A disk that fills up would turn every index read-only.
		"cluster.routing.allocation.disk.threshold_enabled": "false",
	}
	product, version, _ := strings.Cut(name, "-")
	prepare := n.openSearch
	if product == "elasticsearch" {
		prepare = n.elasticsearch
	}
	if err := prepare(version, settings, options); err != nil {
		return nil, err
	}
	t.Cleanup(transport.CloseIdleConnections)
	return n, n.run()
}

// TLS is what a client of a secured node needs.
func (n *SearchNode) TLS() *tls.Config { return n.client.Transport.(*http.Transport).TLSClientConfig }

// run starts the node in its directory and waits until its cluster can be used, with all that it holds.
func (n *SearchNode) run() error {
	n.starts++
	process, err := startGroup(n.t, fmt.Sprintf("%s-%d", n.Name, n.starts), n.dir, n.command())
	if err != nil {
		return err
	}
	n.Process = process
	return process.ready(func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, askAtMost)
		defer cancel()
		answer, err := n.Do(ctx, http.MethodGet, "/_cluster/health?wait_for_status=yellow&timeout=1s", "")
		if err == nil && answer.Status != http.StatusOK {
			err = fmt.Errorf("its health: status %d: %s", answer.Status, answer.Body)
		}
		return err
	})
}

// Restart stops the node, unless it has ended, and starts it again with what it holds, at the same
// address. It returns when the node can be used.
func (n *SearchNode) Restart() error {
	if err := n.Stop(); err != nil {
		return err
	}
	return n.run()
}

// SearchAnswer is what a node said.
type SearchAnswer struct {
	Status int
	Body   []byte
}

// Do asks the node, as its administrator where it is secured. A body that is not empty is JSON, or
// lines of it for a bulk.
func (n *SearchNode) Do(ctx context.Context, method, path, body string) (SearchAnswer, error) {
	return n.DoAs(ctx, SearchAdmin, SearchAdminPassword, method, path, body)
}

// DoAs does the same as another user of a secured node, or as nobody.
func (n *SearchNode) DoAs(ctx context.Context, user, password, method, path, body string) (SearchAnswer, error) {
	request, err := http.NewRequestWithContext(ctx, method, n.URL+path, strings.NewReader(body))
	if err != nil {
		return SearchAnswer{}, fmt.Errorf("ask %s: %w", n.Name, err)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	if n.Certificates != nil && user != "" {
		request.SetBasicAuth(user, password)
	}
	response, err := n.client.Do(request)
	if err != nil {
		return SearchAnswer{}, fmt.Errorf("ask %s: %w", n.Name, err)
	}
	answer, err := io.ReadAll(response.Body)
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return SearchAnswer{}, fmt.Errorf("read the answer of %s to %s %s: %w", n.Name, method, path, err)
	}
	return SearchAnswer{response.StatusCode, bytes.TrimSpace(answer)}, nil
}

// Must does what Do does and fails the test unless the answer is 2xx.
func (n *SearchNode) Must(t testing.TB, method, path, body string) []byte {
	t.Helper()
	answer, err := n.Do(t.Context(), method, path, body)
	if err != nil {
		t.Fatal(err)
	}
	if answer.Status/100 != 2 {
		t.Fatalf("%s %s: status %d: %s", method, path, answer.Status, answer.Body)
	}
	return answer.Body
}
