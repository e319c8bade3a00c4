package runfile

import (
	"io/fs"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// Network is how an address is reached.
type Network string

// The networks of sources and sinks of the forward protocol.
const (
	TCP  Network = "tcp"
	TLS  Network = "tls"
	Unix Network = "unix"
)

// Address is where a source listens or a sink connects to.
type Address struct {
	Network Network
	// Addr is "host:port", or the path of a unix socket.
	Addr string
}

// String returns the address as the file writes it; TCP needs no prefix.
func (a Address) String() string {
	switch a.Network {
	case TLS:
		return "tls://" + a.Addr
	case Unix:
		return "unix:" + a.Addr
	}
	return a.Addr
}

// maxSocketPath is the longest path of a unix socket, in bytes: unix(7).
const maxSocketPath = 107

const (
	listenForms  = "HOST:PORT, tls://HOST:PORT or unix:/PATH"
	connectForms = "HOST:PORT, tls://HOST:PORT or unix:/PATH, such as 10.0.0.7:24224"
)

// address reads where to listen or to connect to. Expected is empty if it is good.
func (p *parser) address(text string, listening bool) (a Address, expected string) {
	expected = connectForms
	if listening {
		expected = listenForms
	}
	scheme, rest, found := strings.Cut(text, "://")
	switch {
	case strings.HasPrefix(text, "unix:"):
		name := strings.TrimPrefix(strings.TrimPrefix(text, "unix:"), "//")
		if name == "" {
			return a, expected
		}
		if name = p.absolute(name); len(name) > maxSocketPath {
			return a, "the path of a unix socket of at most " + strconv.Itoa(maxSocketPath) + " bytes"
		}
		return Address{Unix, name}, ""
	case !found:
		a = Address{TCP, text}
	case scheme == "tcp":
		a = Address{TCP, rest}
	case scheme == "tls":
		a = Address{TLS, rest}
	default:
		return a, expected
	}
	host, port, err := net.SplitHostPort(a.Addr)
	if err != nil || !goodHost(host) || host == "" && !listening {
		return a, expected
	}
	// A listener may leave the choice of its port to the system.
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 && !listening {
		return a, expected + ", with a port as a number"
	}
	return a, ""
}

// goodHost keeps a host to an address or the letters of a name.
func goodHost(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	for _, r := range host {
		if r <= ' ' || r > '~' || strings.ContainsRune("/@:[]{}\"'\\,;", r) {
			return false
		}
	}
	return len(host) <= 255
}

// overlaps says that one process cannot listen at both: they have a port in common, and
// a host.
func (a Address) overlaps(b Address) bool {
	if a.Network == Unix || b.Network == Unix {
		return a == b
	}
	hostA, portA, errA := net.SplitHostPort(a.Addr)
	hostB, portB, errB := net.SplitHostPort(b.Addr)
	if errA != nil || errB != nil || portA != portB || portA == "0" {
		return false
	}
	return hostA == hostB || coversHost(hostA, hostB) || coversHost(hostB, hostA)
}

// coversHost says that a listener at every address of the machine is at host as well:
// where it is for both families, or for the one of host.
func coversHost(every, host string) bool {
	switch every {
	case "", "::":
		return true
	case "0.0.0.0":
		return !strings.Contains(host, ":")
	}
	return false
}

// mode reads the mode of a file in octal digits, of which the first may be 0.
func mode[T any](field func(*T) *fs.FileMode) func(*parser, *T, value) string {
	return func(_ *parser, t *T, v value) string {
		n, err := strconv.ParseUint(strings.TrimPrefix(v.Text, "0o"), 8, 32)
		if err != nil || n > 0o777 {
			return "the mode of a file in octal digits, such as 0660"
		}
		*field(t) = fs.FileMode(n)
		return ""
	}
}
