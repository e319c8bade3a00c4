package forward

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

// Defaults of DialOptions.
const (
	DefaultConnectTimeout   = 10 * time.Second
	DefaultHandshakeTimeout = 10 * time.Second
	DefaultWriteTimeout     = 60 * time.Second
	DefaultAckTimeout       = 60 * time.Second
	DefaultWindow           = 16
)

// DialOptions say where one server is, how it is reached, and how long each
// step may take. A field left at its zero value has its default; no wait is
// ever without a limit.
type DialOptions struct {
	// Network is "tcp" (the default), "tcp4", "tcp6" or "unix".
	Network string
	// Address is host:port, or the path of a unix socket of at most 107 bytes. A name is
	// resolved anew by each Dial, and nothing is remembered of it; all its addresses are
	// tried. See ConnectionAge of ClientOptions for a name that moves while a connection works.
	Address string
	// TLS makes the connection TLS from its first byte. ServerName is set to the
	// host of Address where it is empty. Certificates for mutual TLS, roots and
	// versions are as in crypto/tls. It is not changed, and may be shared.
	TLS *tls.Config
	// Auth is set where the server has a shared key, or users. A server that asks
	// and a client that has nothing to show, or the reverse, do not come together:
	// see ErrAuthRequired and ErrNoHandshake. An empty Hostname becomes this host's name. The
	// server's must be another: a message could go round in circles.
	Auth *Credentials
	// AllowEmptyKey lets Auth have no SharedKey, as some servers do that ask for a
	// user only. The server then proves nothing.
	AllowEmptyKey bool

	// ConnectTimeout limits finding the address and connecting (10 s).
	ConnectTimeout time.Duration
	// HandshakeTimeout limits TLS and, once more, HELO, PING and PONG (10 s).
	HandshakeTimeout time.Duration
	// WriteTimeout limits the time in which the server takes the next MiB (60 s).
	// A server that reads slowly but steadily is not cut off.
	WriteTimeout time.Duration
	// AckTimeout limits the time from the end of a message to its ack (60 s;
	// fluentd's is 190 s). It is to be longer than the server may hold an ack back.
	AckTimeout time.Duration

	// Window is how many chunks may wait for their acks at once (16).
	Window int
	// SendBuffer sets SO_SNDBUF, in bytes, where it is not 0. What the kernel holds
	// for a peer that does not read is memory of this host, too.
	SendBuffer int
	// DialContext replaces the way to the server, for proxies and for tests.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
}

// withDefaults returns the options with every field set, or what is wrong with
// them.
func (o DialOptions) withDefaults() (DialOptions, error) {
	if o.Network == "" {
		o.Network = "tcp"
	}
	switch o.Network {
	case "tcp", "tcp4", "tcp6", "unix":
	default:
		return o, fmt.Errorf("forward: network %q of server %q; expected tcp, tcp4, tcp6 or unix", o.Network, o.Address)
	}
	if err := o.checkAddress(); err != nil {
		return o, err
	}
	for _, f := range []struct {
		name  string
		value *time.Duration
		usual time.Duration
	}{
		{"ConnectTimeout", &o.ConnectTimeout, DefaultConnectTimeout},
		{"HandshakeTimeout", &o.HandshakeTimeout, DefaultHandshakeTimeout},
		{"WriteTimeout", &o.WriteTimeout, DefaultWriteTimeout},
		{"AckTimeout", &o.AckTimeout, DefaultAckTimeout},
	} {
		if *f.value == 0 {
			*f.value = f.usual
		}
		if *f.value < 0 {
			return o, fmt.Errorf("forward: %s of server %q is %v; expected more than 0", f.name, o.Address, *f.value)
		}
	}
	if o.Window == 0 {
		o.Window = DefaultWindow
	}
	if o.Window < 0 || o.SendBuffer < 0 {
		return o, fmt.Errorf("forward: Window %d and SendBuffer %d of server %q; expected none below 0", o.Window, o.SendBuffer, o.Address)
	}
	return o, o.checkAuth()
}

// maxSocketPath is the longest path of a unix socket that Linux takes, in bytes.
const maxSocketPath = 107

// checkAddress refuses what no attempt could reach: it would be tried for ever. Whoever
// connects in a way of his own may have addresses of his own.
func (o *DialOptions) checkAddress() error {
	if o.Address == "" {
		return errors.New("forward: a server without an address; expected host:port, or the path of a unix socket")
	}
	if o.DialContext != nil {
		return nil
	}
	wrong := func(expected string) error {
		return fmt.Errorf("forward: address %q of a server with network %s; expected %s", o.Address, o.Network, expected)
	}
	scheme, _, url := strings.Cut(o.Address, "://")
	switch {
	case url && scheme == "tls":
		return wrong("host:port alone; TLS: new(tls.Config) says that it is TLS")
	case url:
		return wrong("an address without " + scheme + "://")
	case o.Network == "unix" && len(o.Address) > maxSocketPath:
		return wrong(fmt.Sprintf("a path of at most %d bytes", maxSocketPath))
	case o.Network == "unix":
		return nil
	case strings.HasPrefix(o.Address, "/"), strings.HasPrefix(o.Address, "unix:"):
		return wrong("host:port; a path alone needs Network: \"unix\"")
	}
	_, port, err := net.SplitHostPort(o.Address)
	if err != nil || port == "" {
		return wrong("host:port, such as logs.example.org:24224 or [::1]:24224")
	}
	// As the dialer does it.
	if _, err := net.LookupPort("tcp", port); err != nil {
		return wrong("a port up to 65535, or the name of a service that this host knows")
	}
	return nil
}

func (o *DialOptions) checkAuth() error {
	if o.Auth == nil {
		return nil
	}
	auth := *o.Auth // a copy: the caller's is not changed
	if auth.SharedKey == "" && !o.AllowEmptyKey {
		return fmt.Errorf("forward: Auth for server %q has no SharedKey; give the server's shared_key, or set AllowEmptyKey", o.Address)
	}
	if auth.Hostname == "" {
		name, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("forward: finding this host's name for the handshake: %w; set Auth.Hostname", err)
		}
		auth.Hostname = name
	}
	o.Auth = &auth
	return nil
}

// Dial connects to one server, and goes through the handshake if there is one.
// When ctx ends, so does the attempt; the connection then does not depend on it
// any more.
func Dial(ctx context.Context, options DialOptions) (*Conn, error) {
	o, err := options.withDefaults()
	if err != nil {
		return nil, err
	}
	nc, err := o.connect(ctx)
	if err != nil {
		return nil, err
	}
	c := newConn(nc, &o)
	if o.Auth != nil {
		if err := c.handshake(ctx); err != nil {
			return nil, errors.Join(fmt.Errorf("forward: handshake with %s: %w", o.Address, err), ignoreClosed(nc.Close()))
		}
	}
	go c.read()
	return c, nil
}

// connect makes the connection, TLS included.
func (o *DialOptions) connect(ctx context.Context) (net.Conn, error) {
	dialing, cancel := context.WithTimeout(ctx, o.ConnectTimeout)
	defer cancel()
	dial := o.DialContext
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	nc, err := dial(dialing, o.Network, o.Address)
	if err != nil {
		return nil, fmt.Errorf("forward: connecting to %s: %w", o.Address, err)
	}
	if err := o.prepare(nc); err != nil {
		return nil, errors.Join(err, nc.Close())
	}
	if o.TLS == nil {
		return nc, nil
	}
	secure := tls.Client(nc, o.tlsConfig())
	shaking, cancel := context.WithTimeout(ctx, o.HandshakeTimeout)
	defer cancel()
	if err := secure.HandshakeContext(shaking); err != nil {
		return nil, errors.Join(fmt.Errorf("forward: TLS handshake with %s: %w", o.Address, err), ignoreClosed(nc.Close()))
	}
	return secure, nil
}

func (o *DialOptions) prepare(nc net.Conn) error {
	b, ok := nc.(interface{ SetWriteBuffer(int) error })
	if o.SendBuffer == 0 || !ok {
		return nil
	}
	if err := b.SetWriteBuffer(o.SendBuffer); err != nil {
		return fmt.Errorf("forward: setting the send buffer of %s to %d bytes: %w", o.Address, o.SendBuffer, err)
	}
	return nil
}

// tlsConfig names the server by the host of its address, unless told otherwise.
func (o *DialOptions) tlsConfig() *tls.Config {
	if o.TLS.ServerName != "" || o.TLS.InsecureSkipVerify {
		return o.TLS
	}
	host, _, err := net.SplitHostPort(o.Address)
	if err != nil {
		host = o.Address // a unix socket's path: the caller has to say which name is meant
	}
	config := o.TLS.Clone()
	config.ServerName = host
	return config
}

// ignoreClosed leaves out the error of closing what is closed already.
func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
