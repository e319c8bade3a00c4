package forward

import (
	"context"
	"errors"
	"net"
	"testing"

	protocol "github.com/spillway/spillway/forward"
)

// TestHostnames: a name is looked up once, and where there is none the address
// stands in for it.
func TestHostnames(t *testing.T) {
	asked := 0
	h := hostnames{lookup: func(_ context.Context, addr string) ([]string, error) {
		asked++
		if addr == "10.0.0.1" {
			return []string{"web-1.example.", "other."}, nil
		}
		return nil, errors.New("no such host")
	}}
	peer := func(ip, said string) *protocol.Peer {
		return &protocol.Peer{Addr: &net.TCPAddr{IP: net.ParseIP(ip), Port: 99}, Local: &net.TCPAddr{}, Hostname: said}
	}
	for _, c := range []struct{ ip, said, want string }{
		{"10.0.0.1", "", "web-1.example"}, {"10.0.0.2", "", "10.0.0.2"}, {"10.0.0.1", "me", "me"}, {"10.0.0.2", "", "10.0.0.2"}, {"10.0.0.1", "", "web-1.example"},
	} {
		if got := h.of(peer(c.ip, c.said)); got != c.want {
			t.Errorf("%s, %q: got %q, want %q", c.ip, c.said, got, c.want)
		}
	}
	if asked != 2 {
		t.Errorf("asked %d times", asked)
	}
}
