package forward

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
)

// Security is what a Server asks of its clients, as fluentd's <security> does.
type Security struct {
	// Hostname is the server's own name, and SharedKey what all clients must know,
	// but those of a Network with one of its own. Without a SharedKey there must be
	// Users: the handshake then takes place with an empty key, as where Fluent Bit has
	// empty_shared_key, and the server proves nothing to its clients.
	Hostname, SharedKey string
	// Users are names and passwords, one of which a client must know; none is asked
	// for if it is nil.
	Users map[string]string
	// Clients are rules for networks. The first that holds a client's address
	// counts. A client of no network, such as one on a unix socket, is taken under
	// the rules above, or none if DenyOthers is set.
	Clients    []ClientRule
	DenyOthers bool
}

// ClientRule is what is asked of the clients of one network.
type ClientRule struct {
	Network netip.Prefix
	// SharedKey is theirs; "" means that of Security.
	SharedKey string
	// Users may log in from there; none means all.
	Users []string
}

func (s *Security) check() error {
	switch {
	case s == nil:
		return nil
	case s.Hostname == "":
		return errors.New("security: expected a hostname of the server, found none")
	case s.SharedKey == "" && len(s.Users) == 0:
		return errors.New("security: expected a shared key or users, found neither")
	}
	for _, c := range s.Clients {
		if !c.Network.IsValid() {
			return errors.New("security: expected a network of clients, found none")
		}
		for _, user := range c.Users {
			if _, ok := s.Users[user]; !ok {
				return fmt.Errorf("security: the network %v names the user %q, who is not there", c.Network, user)
			}
		}
	}
	return nil
}

// rule finds what is asked of a client with this address.
func (s *Security) rule(addr net.Addr) (r ClientRule, ok bool) {
	ip, isIP := addrOf(addr)
	for _, c := range s.Clients {
		if isIP && c.Network.Contains(ip) {
			if c.SharedKey == "" {
				c.SharedKey = s.SharedKey
			}
			return c, true
		}
	}
	return ClientRule{SharedKey: s.SharedKey}, !s.DenyOthers
}

func addrOf(addr net.Addr) (netip.Addr, bool) {
	if tcp, ok := addr.(*net.TCPAddr); ok {
		ip, ok := netip.AddrFromSlice(tcp.IP)
		return ip.Unmap(), ok
	}
	return netip.Addr{}, false
}

// decide answers a client, with the words that fluentd has for each refusal.
func (s *Security) decide(h *Hello, p *Ping, addr net.Addr) *Pong {
	rule, ok := s.rule(addr)
	if !ok {
		return &Pong{Reason: fmt.Sprintf("anonymous source host '%v' denied", addr)}
	}
	if !p.CheckKey(h, rule.SharedKey) {
		return &Pong{Reason: "shared_key mismatch"}
	}
	if s.Users != nil {
		password, known := s.Users[p.Username]
		right := p.CheckPassword(h, password) // takes its time also for a stranger
		if !known || !right || len(rule.Users) > 0 && !slices.Contains(rule.Users, p.Username) {
			return &Pong{Reason: "username/password mismatch"}
		}
	}
	return NewPong(h, p, &Credentials{Hostname: s.Hostname, SharedKey: rule.SharedKey})
}
