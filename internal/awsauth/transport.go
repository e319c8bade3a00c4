package awsauth

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// SendBuffer caps the kernel's send buffer of a connection, in bytes. Left alone the kernel grows it to megabytes
	// while a destination hangs, and that memory counts against the container's cgroup but not against the buffer's
	// limit. The kernel doubles the figure for its own overhead, and takes no more than net.core.wmem_max.
	SendBuffer = 256 << 10

	dialTimeout      = 5 * time.Second
	handshakeTimeout = 5 * time.Second
	idleTimeout      = 90 * time.Second

	// maxHeaderBytes bounds the header of an answer; the service sends less than 1 KiB.
	maxHeaderBytes = 64 << 10

	defaultIdleConnections = 2
)

// HTTPClient makes the client for requests to the logs service: HTTP/1.1, through the proxy of the options or of the
// environment, trusting the authorities of the options beside the system's, or those of AWS_CA_BUNDLE alone. It follows no redirect, which would send
// a signed body elsewhere, and undoes no compression. Dialling and the TLS handshake take at most 5 s each. There is no
// limit on the whole request: the context of the request sets it.
//
// net/http sends a request once more by itself if a kept connection proves dead before anything was written; for a POST
// it needs the request's GetBody for that, which is the caller's to set or to leave out.
//
// The error is that of a proxy or CA file that cannot be used; it never shows the proxy's password. Close the client's
// idle connections when done. It is safe for concurrent use.
func HTTPClient(o Options) (*http.Client, error) {
	transport, err := newTransport(o)
	if err != nil {
		return nil, err
	}
	if err := trust(transport, o); err != nil {
		return nil, err
	}
	transport.TLSClientConfig.VerifyConnection = trimAfterRoots()
	transport.MaxIdleConnsPerHost = o.MaxInFlight
	if o.MaxInFlight <= 0 {
		transport.MaxIdleConnsPerHost = defaultIdleConnections
	}
	transport.MaxIdleConns = transport.MaxIdleConnsPerHost
	transport.WriteBufferSize = o.WriteBuffer
	return &http.Client{Transport: transport, CheckRedirect: noRedirect}, nil
}

// trimAfterRoots gives memory back after the first handshake of a client. To verify it, crypto/x509 reads all of the
// system's authorities, each up to three times, and leaves 3 to 4 MiB of garbage, which a logger with its small heap
// would carry for as long as its container lives.
func trimAfterRoots() func(tls.ConnectionState) error {
	trim := sync.OnceFunc(debug.FreeOSMemory)
	return func(tls.ConnectionState) error {
		trim()
		return nil
	}
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func newTransport(o Options) (*http.Transport, error) {
	proxy, err := ProxyFunc(o.Proxy)
	if err != nil {
		return nil, err
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	dialer := &net.Dialer{Timeout: dialTimeout, Control: capSendBuffer}
	return &http.Transport{
		Proxy:                  proxy,
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    handshakeTimeout,
		IdleConnTimeout:        idleTimeout,
		Protocols:              protocols,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeaderBytes,
	}, nil
}

// CapSendBuffer is a [net.Dialer.Control] that caps the kernel's send buffer of a connection; see SendBuffer.
func CapSendBuffer(network, address string, conn syscall.RawConn) error {
	return capSendBuffer(network, address, conn)
}

// capSendBuffer sets SO_SNDBUF before the connection is made.
func capSendBuffer(_, address string, conn syscall.RawConn) error {
	var failed error
	err := conn.Control(func(fd uintptr) {
		failed = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_SNDBUF, SendBuffer)
	})
	if err = errors.Join(err, failed); err != nil {
		return fmt.Errorf("set the send buffer of a connection to %s: %w", address, err)
	}
	return nil
}

// ProxyFunc gives a function for [http.Transport.Proxy] that sends requests through the given proxy, or if it is empty
// through that of HTTPS_PROXY, HTTP_PROXY and NO_PROXY. Loopback and link-local hosts are reached directly: with
// metadata or a container's credentials a proxy of another host could only give its own.
func ProxyFunc(proxy string) (func(*http.Request) (*url.URL, error), error) {
	choose := http.ProxyFromEnvironment
	if proxy != "" {
		u, err := url.Parse(proxy)
		if err != nil || u.Hostname() == "" || !proxyScheme(u.Scheme) {
			// Neither the URL nor the parser's words, which quote it, may be shown: it may hold a password.
			return nil, errors.New("aws: proxy: expected a URL such as http://proxy.example:3128 (http, https or socks5)")
		}
		choose = http.ProxyURL(u)
	}
	return func(request *http.Request) (*url.URL, error) {
		if onNode(request.URL.Hostname()) {
			return nil, nil
		}
		return choose(request)
	}, nil
}

func proxyScheme(scheme string) bool {
	return scheme == "http" || scheme == "https" || scheme == "socks5"
}

// onNode tells the hosts that answer within the node.
func onNode(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	addr = addr.Unmap()
	return addr.IsLoopback() || addr.IsLinkLocalUnicast() || addr == netip.MustParseAddr("fd00:ec2::23") ||
		addr == netip.MustParseAddr("fd00:ec2::254")
}

// trust makes a transport trust the authorities of the options or of AWS_CA_BUNDLE. It is a step of its own because a
// system's whole bundle costs 1.5 MiB, and most credentials come over plain text from within the node.
func trust(transport *http.Transport, o Options) error {
	authorities, err := loadAuthorities(o.CAFile)
	if err != nil {
		return err
	}
	transport.TLSClientConfig.RootCAs = authorities
	return nil
}

// loadAuthorities gives the authorities of the option ca-file and those of the system, or else those of AWS_CA_BUNDLE
// alone, which replaces the system's in every tool of AWS; nil means the system's.
func loadAuthorities(path string) (*x509.CertPool, error) {
	if path != "" {
		pool, err := x509.SystemCertPool()
		if err != nil {
			return nil, fmt.Errorf("aws: read the system's authorities, which ca-file adds to: %w", err)
		}
		return addAuthorities(pool, "aws: ca-file", path)
	}
	path = os.Getenv("AWS_CA_BUNDLE")
	if path == "" {
		return nil, nil
	}
	return addAuthorities(x509.NewCertPool(), "AWS_CA_BUNDLE", path)
}

// addAuthorities adds those of the PEM file that name stands for.
func addAuthorities(pool *x509.CertPool, name, path string) (*x509.CertPool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%s: read the authorities: %w", name, err)
	}
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s: expected at least one PEM certificate in %s, found none", name, path)
	}
	return pool, nil
}
