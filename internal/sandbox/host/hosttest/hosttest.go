// Package hosttest serves a sandbox on loopback for as long as a test runs.
package hosttest

import (
	"context"
	"net"
	"testing"
)

// Server is a sandbox: Serve returns when ctx ends, and then without an error.
type Server interface {
	Serve(ctx context.Context, ln net.Listener) error
}

// Serve serves until the test ends, which fails where that goes wrong, and returns the
// address as http://HOST:PORT.
func Serve(t testing.TB, s Server) (url string) {
	t.Helper()
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	// Not the test's own context, which ends before sinks are closed.
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve the sandbox: %v", err)
		}
	})
	return "http://" + ln.Addr().String()
}
