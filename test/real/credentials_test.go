package real

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spillway/spillway/test/real/parts"
)

// TestCredentials checks where a logger with an empty environment takes its key from. Moto takes any
// key, so a proxy in front of it notes the one that signed each call.
func TestCredentials(t *testing.T) {
	r := newRig(t)
	proxy := newNotary(t, r.moto.Endpoint)
	through := options{"awslogs-endpoint": proxy.URL}

	// The shim is too small to read profiles; it runs the main program beside it for that.
	t.Run("credentials file", func(t *testing.T) {
		proxy.forget()
		r.run(t, "file", r.uri(r.awslogs("file").with(through)), "echo one")
		wantLines(t, r, "file", stream, "one")
		proxy.wantOnly(t, accessKey)
	})
	t.Run("profile of a credentials file", func(t *testing.T) {
		proxy.forget()
		keys := filepath.Join(r.stateDir, "profiles")
		writeFile(t, keys, "[default]\naws_access_key_id = AKIDOFNOBODY\naws_secret_access_key = x\n[logs]\naws_access_key_id = AKIDOFLOGS\naws_secret_access_key = x\n")
		config := filepath.Join(r.stateDir, "profile.yaml")
		writeFile(t, config, "aws:\n  credentials-file: "+keys+"\n  profile: logs\n  imds: false\n")
		r.run(t, "profile", r.uri(r.awslogs("profile").with(through).with(options{"config": config, "awslogs-stream": "profile"})), "echo one")
		wantLines(t, r, "profile", "profile", "one")
		proxy.wantOnly(t, "AKIDOFLOGS")
	})
	t.Run("credentials endpoint", func(t *testing.T) {
		proxy.forget()
		endpoint := parts.StartSandbox(t, r.bin.Spillway).Endpoint + "/credentials"
		o := r.awslogs("endpoint").with(through).with(options{"awslogs-credentials-endpoint": endpoint, "awslogs-stream": "endpoint"})
		r.run(t, "endpoint", r.uri(o), "echo one")
		wantLines(t, r, "endpoint", "endpoint", "one")
		proxy.wantOnly(t, servedKey(t, endpoint))
	})
	// Moto looks at no signature; the sandbox can, and Docker's driver has proved that it does so
	// rightly (TestDockerWritesToTheSandbox).
	t.Run("signatures", func(t *testing.T) {
		endpoint := serveVerifying(t)
		o := r.awslogs("signed").with(options{"awslogs-endpoint": endpoint, "awslogs-credentials-endpoint": endpoint + "/credentials"})
		r.run(t, "signed", r.uri(o), "seq 1 1000")
		wantDelivered(t, r.balance(t, "signed"), 1000)
		if got := sandboxReport(t, endpoint).Totals; got.Events != 1000 || got.Missing != 0 || got.Duplicates != 0 || got.OutOfOrder != 0 {
			t.Errorf("the sandbox reports %+v, want 1000 events, none missing, repeated or out of order", got)
		}
	})
}

// servedKey asks a credentials endpoint, as ECS has it, for its access key.
func servedKey(t *testing.T, endpoint string) string {
	t.Helper()
	var served struct{ AccessKeyID string }
	if err := parts.Get(t.Context(), endpoint, &served); err != nil || served.AccessKeyID == "" {
		t.Fatalf("the credentials endpoint served %+v, %v; want an AccessKeyId", served, err)
	}
	return served.AccessKeyID
}

// notary is a proxy that notes the access key of every call that it passes on.
type notary struct {
	*httptest.Server
	lock sync.Mutex
	keys map[string]int
}

func newNotary(t *testing.T, endpoint string) *notary {
	t.Helper()
	target, err := url.Parse(endpoint)
	if err != nil {
		t.Fatalf("parse the address of the server: %v", err)
	}
	n := &notary{keys: map[string]int{}}
	pass := httputil.NewSingleHostReverseProxy(target)
	n.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		_, credential, _ := strings.Cut(request.Header.Get("Authorization"), "Credential=")
		key, _, _ := strings.Cut(credential, "/")
		n.lock.Lock()
		n.keys[key]++
		n.lock.Unlock()
		pass.ServeHTTP(w, request)
	}))
	t.Cleanup(n.Close)
	return n
}

// forget begins a new list.
func (n *notary) forget() {
	n.lock.Lock()
	defer n.lock.Unlock()
	clear(n.keys)
}

// wantOnly checks that there were calls, all with one key.
func (n *notary) wantOnly(t *testing.T, key string) {
	t.Helper()
	n.lock.Lock()
	defer n.lock.Unlock()
	used := []string{}
	for key := range n.keys {
		used = append(used, key)
	}
	if diff := cmp.Diff([]string{key}, used); diff != "" {
		t.Errorf("access keys of the calls (-want +got):\n%s", diff)
	}
}
