package forward

import (
	"fmt"
	"net"
	"net/netip"

	protocol "github.com/spillway/spillway/forward"
)

// inherit is the port of the source before that listens on the same address.
func (s *Source) inherit(a Address) *port {
	if s.cfg.Instead == nil {
		return nil
	}
	for _, p := range s.cfg.Instead.ports {
		if p.address == a {
			return p
		}
	}
	return nil
}

// Addrs are the addresses on which it listens.
func (s *Source) Addrs() (all []net.Addr) {
	for _, p := range s.ports {
		all = append(all, p.Addr())
	}
	return all
}

// heartbeats listens for heartbeats beside a port of TCP. That is of use to old
// clients only, so that one which cannot be had is told, and keeps nothing else
// from working.
func (s *Source) heartbeats(p *port) net.PacketConn {
	if !s.cfg.UDPHeartbeat || p.address.Network == "unix" {
		return nil
	}
	pc, err := net.ListenPacket("udp", p.Addr().String())
	if err != nil && s.cfg.Report != nil {
		s.cfg.Report(protocol.Event{Reason: "accept", Err: fmt.Errorf("listen for heartbeats: %w", err)})
	}
	if err != nil {
		return nil
	}
	return pc
}

// allowed reports whether a peer may send.
func (s *Source) allowed(addr net.Addr) bool {
	tcp, isTCP := addr.(*net.TCPAddr)
	if len(s.cfg.Allow) == 0 || !isTCP {
		return true
	}
	ip, ok := netip.AddrFromSlice(tcp.IP)
	for _, network := range s.cfg.Allow {
		if ok && network.Contains(ip.Unmap()) {
			return true
		}
	}
	s.counts.denied.Add(1)
	return false
}

// addressOf is the address of a peer, without its port, which says nothing.
func addressOf(p *protocol.Peer) string {
	if p.Addr == nil {
		return ""
	}
	host, _, err := net.SplitHostPort(p.Addr.String())
	if err != nil {
		return p.Addr.String()
	}
	return host
}
