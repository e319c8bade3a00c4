package awsauth

import (
	"bufio"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func client(t *testing.T, o Options) *http.Client {
	t.Helper()
	c, err := HTTPClient(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

func authorityFile(t *testing.T, server *httptest.Server) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestClientTLS checks that only the given authority is trusted, and that HTTP/2 is not spoken even where it is offered.
func TestClientTLS(t *testing.T) {
	isolate(t)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.WriteString(w, r.Proto); err != nil {
			t.Error(err)
		}
	}))
	server.EnableHTTP2 = true
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // It would report the handshake that is meant to fail.
	server.StartTLS()
	defer server.Close()
	file := authorityFile(t, server)
	get := func(o Options) (string, error) {
		answer, err := client(t, o).Get(server.URL)
		if err != nil {
			return "", err
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		return string(text), err
	}
	if got, err := get(Options{CAFile: file}); got != "HTTP/1.1" || err != nil {
		t.Errorf("with the authority: %q, %v, want HTTP/1.1", got, err)
	}
	if got, err := get(Options{}); err == nil {
		t.Errorf("without the authority: %q, want an error", got)
	}
	t.Setenv("AWS_CA_BUNDLE", file)
	if got, err := get(Options{}); got != "HTTP/1.1" || err != nil {
		t.Errorf("with AWS_CA_BUNDLE: %q, %v, want HTTP/1.1", got, err)
	}
}

// TestAuthorities checks that ca-file adds to the system's authorities, and that AWS_CA_BUNDLE replaces them, as it does
// in every tool of AWS.
func TestAuthorities(t *testing.T) {
	isolate(t)
	system, err := x509.SystemCertPool()
	if err != nil {
		t.Fatal(err)
	}
	if system.Equal(x509.NewCertPool()) {
		t.Skip("not run: this system has no authorities")
	}
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	alone := x509.NewCertPool()
	alone.AddCert(server.Certificate())
	system.AddCert(server.Certificate())
	file := authorityFile(t, server)
	if got, err := loadAuthorities(file); err != nil || !got.Equal(system) {
		t.Errorf("ca-file gives other authorities than the system's and its own (%v)", err)
	}
	t.Setenv("AWS_CA_BUNDLE", file)
	if got, err := loadAuthorities(""); err != nil || !got.Equal(alone) {
		t.Errorf("AWS_CA_BUNDLE gives other authorities than its own (%v)", err)
	}
	if got, err := loadAuthorities(file); err != nil || !got.Equal(system) {
		t.Errorf("beside AWS_CA_BUNDLE ca-file gives other authorities than the system's and its own (%v)", err)
	}
}

func TestClientErrors(t *testing.T) {
	isolate(t)
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, o := range map[string]Options{
		"found none":                  {CAFile: empty},
		"no such file":                {CAFile: empty + ".missing"},
		"aws: proxy: expected a URL ": {Proxy: "http://u:hunter2#@proxy.example"},
		"expected a URL such as":      {Proxy: "proxy.example:3128"},
		"(http, https or socks5)":     {Proxy: "ftp://u:hunter2@proxy.example"},
	} {
		_, err := HTTPClient(o)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("error %v, want it to say %q and nothing secret", err, want)
		}
	}
}

// TestClientProxy checks which hosts go through which proxy.
func TestClientProxy(t *testing.T) {
	isolate(t)
	const given = "http://u:p@other.invalid:1"
	for _, c := range []struct{ proxy, target, want string }{
		{"", "https://logs.eu-west-1.amazonaws.com/", testProxy},
		{given, "https://logs.eu-west-1.amazonaws.com/", given},
		{given, "http://10.0.0.1/", given},
		{"", "http://169.254.170.2/x", ""},
		{given, "http://169.254.170.2/x", ""},
		{given, "http://169.254.169.254/x", ""},
		{given, "http://[fd00:ec2::23]/x", ""},
		{given, "http://[fd00:ec2::254]/x", ""},
		{given, "http://127.0.0.1:4566/", ""},
		{given, "http://[::1]:4566/", ""},
		{given, "http://localhost:4566/", ""},
	} {
		choose, err := ProxyFunc(c.proxy)
		if err != nil {
			t.Fatal(err)
		}
		request, err := http.NewRequest(http.MethodPost, c.target, nil)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if u, err := choose(request); err != nil {
			t.Errorf("%s: %v", c.target, err)
		} else if u != nil {
			got = u.String()
		}
		if got != c.want {
			t.Errorf("%s with proxy %q goes through %q, want %q", c.target, c.proxy, got, c.want)
		}
	}
}

// TestClientAnswers checks that no redirect is followed, no compression undone, and no endless header read.
func TestClientAnswers(t *testing.T) {
	isolate(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/redirect":
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		case "/encoding":
			w.Header().Set("Asked", r.Header.Get("Accept-Encoding"))
		case "/header":
			w.Header().Set("Long", strings.Repeat("x", 2*maxHeaderBytes))
		default:
			t.Errorf("%s was asked", r.URL.Path)
		}
	}))
	defer server.Close()
	c := client(t, Options{})
	post := func(path string) (*http.Response, error) {
		answer, err := c.Post(server.URL+path, "text/plain", strings.NewReader("x"))
		if err == nil {
			defer answer.Body.Close()
		}
		return answer, err
	}
	if answer, err := post("/redirect"); err != nil || answer.StatusCode != http.StatusTemporaryRedirect {
		t.Errorf("redirect: %v, %v, want it as it is", answer, err)
	}
	if answer, err := post("/encoding"); err != nil || answer.Header.Get("Asked") != "" {
		t.Errorf("encoding: %v, %v, want none asked for", answer, err)
	}
	if _, err := post("/header"); err == nil || !strings.Contains(err.Error(), "header") {
		t.Errorf("header: %v, want it refused", err)
	}
}

// TestClientConnections checks what is set on the transport and, by asking the kernel, on its sockets.
func TestClientConnections(t *testing.T) {
	isolate(t)
	c := client(t, Options{MaxInFlight: 7, WriteBuffer: 1 << 16})
	transport, ok := c.Transport.(*http.Transport)
	if !ok || transport.MaxIdleConnsPerHost != 7 || transport.MaxIdleConns != 7 || transport.WriteBufferSize != 1<<16 {
		t.Errorf("transport %+v, want 7 idle connections and a write buffer of 64 KiB", transport)
	}
	if plain := client(t, Options{}).Transport.(*http.Transport); plain.MaxIdleConns != defaultIdleConnections {
		t.Errorf("%d idle connections by default", plain.MaxIdleConns)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	served := make(chan error, 1)
	go func() { served <- answerOnce(listener) }()
	request, err := http.NewRequest(http.MethodGet, "http://"+listener.Addr().String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var size int
	trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		raw, err := info.Conn.(*net.TCPConn).SyscallConn()
		if err != nil {
			t.Error(err)
			return
		}
		var failed error
		err = raw.Control(func(fd uintptr) {
			size, failed = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_SNDBUF)
		})
		if err := errors.Join(err, failed); err != nil {
			t.Error(err)
		}
	}}
	answer, err := c.Do(request.WithContext(httptrace.WithClientTrace(t.Context(), trace)))
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if err := <-served; err != nil {
		t.Error(err)
	}
	// An uncapped loopback socket starts at 2.5 MiB or grows; a capped one reports at most twice the cap.
	if size == 0 || size > 2*SendBuffer {
		t.Errorf("send buffer of %d bytes, want at most %d", size, 2*SendBuffer)
	}
	if size < SendBuffer {
		t.Logf("the kernel allows only %d bytes (net.core.wmem_max)", size/2)
	}
}

func answerOnce(listener net.Listener) error {
	conn, err := listener.Accept()
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
		return err
	}
	_, err = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	return err
}
