// Package host runs the HTTP server of a sandbox: on loopback only, from one start to one end, with every request
// that is still in it waited for.
//
// What a sandbox does to a connection on purpose (end it, reset it, be silent) is here as well, because it needs to
// know the end of the server. So are the buffers into which bodies are read and unpacked.
package host

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"sync"
	"time"
)

// Host is one server's life. The zero value is ready; Begun, if set, is called at the first request or at Serve,
// whichever comes first. All its methods are safe for concurrent use.
type Host struct {
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Begun is called once, with the time of the start, before anything is served.
	Begun func(start time.Time)

	mu        sync.Mutex
	started   time.Time
	closed    bool
	closing   chan struct{} // Closed with the server: ends every wait.
	active    int           // Requests being served.
	lastLeave chan struct{} // Closed when closed and active is 0.
}

// CheckListen refuses what is no address, and addresses that others than this machine reach.
func CheckListen(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("listen address %q: expected HOST:PORT such as 127.0.0.1:8080: %w", address, err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("listen address %q: expected a loopback host such as 127.0.0.1, because the endpoint lets everyone in", address)
	}
	return nil
}

// Listen opens a loopback address.
func Listen(address string) (net.Listener, error) {
	if err := CheckListen(address); err != nil {
		return nil, err
	}
	return net.Listen("tcp", address)
}

// Start is when the server began; it begins now if it has not.
func (h *Host) Start() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.initLocked()
	return h.started
}

func (h *Host) initLocked() {
	if !h.started.IsZero() {
		return
	}
	now := time.Now
	if h.Now != nil {
		now = h.Now
	}
	h.started = now()
	h.closing, h.lastLeave = make(chan struct{}), make(chan struct{})
	if h.Begun != nil {
		h.Begun(h.started)
	}
}

// Closing is closed when the server ends.
func (h *Host) Closing() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.initLocked()
	return h.closing
}

// Serve answers requests that arrive through ln until ctx ends, closes ln, and returns when no request is being served
// any more: nil if it was ctx that ended it. A Host serves once. A nil errorLog is net/http's default.
func (h *Host) Serve(ctx context.Context, ln net.Listener, handler http.Handler, errorLog *log.Logger) error {
	h.Start()
	hs := &http.Server{Handler: handler, ErrorLog: errorLog, ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- hs.Serve(ln) }()
	var err error
	select {
	case err = <-failed:
		err = fmt.Errorf("serving %s: %w", ln.Addr(), err)
	case <-ctx.Done():
	}
	h.shut()
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if hs.Shutdown(grace) != nil {
		// Connections that do not come to rest are cut; what Close returns is about the listener, closed already.
		_ = hs.Close()
	}
	if err == nil {
		if ended := <-failed; !errors.Is(ended, http.ErrServerClosed) {
			err = ended
		}
	}
	<-h.lastLeave
	return err
}

// Close ends all waiting, makes the server drop further requests, and returns when those being served are done.
func (h *Host) Close() {
	h.shut()
	<-h.lastLeave
}

func (h *Host) shut() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.initLocked()
	if h.closed {
		return
	}
	h.closed = true
	close(h.closing)
	if h.active == 0 {
		close(h.lastLeave)
	}
}

// Enter admits a request unless the server is closing. Who is admitted calls Leave.
func (h *Host) Enter() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.initLocked()
	if h.closed {
		return false
	}
	h.active++
	return true
}

// Active is how many requests are being served.
func (h *Host) Active() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.active
}

// Leave ends what Enter began.
func (h *Host) Leave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.active--; h.closed && h.active == 0 {
		close(h.lastLeave)
	}
}

// Await waits for ready, the end of the request or the end of the server. A nil channel is not waited for.
func (h *Host) Await(r *http.Request, ready <-chan struct{}) {
	if ready == nil {
		return
	}
	select {
	case <-ready:
	case <-r.Context().Done():
	case <-h.Closing():
	}
}

// Pause waits for d, the end of the request or the end of the server.
func (h *Host) Pause(r *http.Request, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
	case <-h.Closing():
	}
}

// Drop ends a request's connection without an answer, with a TCP reset if asked. What Close and SetLinger return does
// not matter: the connection is being thrown away.
func Drop(w http.ResponseWriter, reset bool) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // Not a connection of ours (HTTP/2, a recorder): net/http ends it as best it can.
	}
	if tcp, ok := conn.(*net.TCPConn); ok && reset {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}
