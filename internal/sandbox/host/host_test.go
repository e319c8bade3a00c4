package host

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAddressesOfOthersAreRefused(t *testing.T) {
	for _, address := range []string{"", "127.0.0.1", ":80", "0.0.0.0:80", "10.0.0.7:80", "example.com:80", "[::]:80"} {
		if err := CheckListen(address); err == nil {
			t.Errorf("%q was taken", address)
		}
	}
	for _, address := range []string{"127.0.0.1:0", "[::1]:80", "localhost:80", "127.1.2.3:1"} {
		if err := CheckListen(address); err != nil {
			t.Error(err)
		}
	}
}

// TestTheEndWaitsForRequests: the end of a server ends every wait, and comes after the last request has left.
func TestTheEndWaitsForRequests(t *testing.T) {
	var h Host
	begun := 0
	h.Begun = func(time.Time) { begun++ }
	ln, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	inside := make(chan struct{})
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !h.Enter() {
			Drop(w, true)
			return
		}
		defer h.Leave()
		close(inside)
		h.Pause(r, time.Hour)
		h.Await(r, make(chan struct{}))
	})
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- h.Serve(ctx, ln, handler, nil) }()
	answered := make(chan error, 1)
	client := &http.Client{}
	go func() {
		resp, err := client.Get("http://" + ln.Addr().String())
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
			err = errors.Join(err, resp.Body.Close())
		}
		answered <- err
	}()
	<-inside
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
	if err := <-answered; err != nil {
		t.Log("the request that was cut off:", err)
	}
	client.CloseIdleConnections()
	if h.Active() != 0 || begun != 1 {
		t.Errorf("%d requests are in it, and it began %d times", h.Active(), begun)
	}
	if h.Enter() {
		t.Error("a request came in after the end")
	}
	h.Close()
}
