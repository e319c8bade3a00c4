package forward

import (
	"context"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	protocol "github.com/spillway/spillway/forward"
)

// hostnames finds the names of senders. A name is looked up once for each address,
// until so many are known that they are forgotten.
type hostnames struct {
	lookup func(ctx context.Context, addr string) ([]string, error)

	mu    sync.Mutex
	known map[string]string
}

const (
	knownHosts    = 1024
	lookupTimeout = 2 * time.Second
)

// of is what a sender called itself in the handshake, or the name of its address,
// or the address where that has none. Of a sender on a unix socket it is this
// host's.
func (h *hostnames) of(p *protocol.Peer) string {
	if p.Hostname != "" {
		return p.Hostname
	}
	addr := addressOf(p)
	if _, unix := p.Local.(*net.UnixAddr); unix {
		addr = ""
	}
	h.mu.Lock()
	name, known := h.known[addr]
	h.mu.Unlock()
	if known {
		return name
	}
	name = h.find(addr)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.known == nil || len(h.known) >= knownHosts {
		h.known = make(map[string]string)
	}
	h.known[addr] = name
	return name
}

func (h *hostnames) find(addr string) string {
	if addr == "" {
		name, err := os.Hostname()
		if err != nil {
			return "localhost"
		}
		return name
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookupTimeout)
	defer cancel()
	names, err := h.lookup(ctx, addr)
	if err != nil || len(names) == 0 {
		return addr
	}
	return strings.TrimSuffix(names[0], ".")
}
