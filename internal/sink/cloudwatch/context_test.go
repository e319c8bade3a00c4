package cloudwatch

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	sandbox "github.com/spillway/spillway/internal/sandbox/cloudwatch"
	"github.com/spillway/spillway/internal/sandbox/cloudwatch/cloudwatchtest"
	"github.com/spillway/spillway/internal/sink"
)

// TestSendEndsWithItsContext in each place where it may wait: the destination's
// search, the creation, the signature, the answer.
func TestSendEndsWithItsContext(t *testing.T) {
	hangs := func(ctx context.Context, reached func()) error {
		reached()
		<-ctx.Done()
		return ctx.Err()
	}
	for _, place := range []string{"destination", "signature", "CreateLogStream", "PutLogEvents"} {
		t.Run(place, func(t *testing.T) {
			reached := make(chan struct{})
			once := sync.OnceFunc(func() { close(reached) })
			server, url := newSandbox(t, sandbox.Options{})
			server.Script(func(op string, _ int) *sandbox.Answer {
				if op != place {
					return nil
				}
				once()
				return &sandbox.Answer{Hold: make(chan struct{})} // Until the client goes.
			})
			s := newSink(t, url, func(c *Config) {
				resolve := c.Resolve
				c.Resolve = func(ctx context.Context) (Destination, error) {
					if place == "destination" {
						return Destination{}, hangs(ctx, once)
					}
					d, err := resolve(ctx)
					if place == "signature" {
						d.Signer = hangingSigner(func(ctx context.Context) error { return hangs(ctx, once) })
					}
					return d, err
				}
			})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			done := make(chan sink.Outcome, 1)
			go func() { done <- s.Send(ctx, request(strings.Repeat("x", 100_000))) }()
			<-reached
			cancel()
			out := <-done
			if out.Verdict != sink.Retry || !errors.Is(out.Err, context.Canceled) {
				t.Errorf("the outcome is %+v, want Retry, because it was cancelled", out)
			}
			if unsure := place == "PutLogEvents"; out.Unsure != unsure {
				t.Errorf("the outcome is unsure: %v, want %v", out.Unsure, unsure)
			}
		})
	}
}

// hangingSigner is a signer that waits for credentials.
type hangingSigner func(context.Context) error

func (h hangingSigner) Sign(ctx context.Context, _ *http.Request, _ string, _ time.Time) error {
	return h(ctx)
}
func (hangingSigner) Invalidate() {}

// TestNothingIsSentTooLate: a context that has ended makes no request.
func TestNothingIsSentTooLate(t *testing.T) {
	server, url := newSandbox(t, sandbox.Options{})
	cloudwatchtest.Make(t, url, testGroup, testStream)
	s := newSink(t, url, createsNothing)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if out := s.Send(ctx, request("x")); out.Verdict != sink.Retry || out.Unsure || !errors.Is(out.Err, context.Canceled) {
		t.Errorf("the outcome is %+v, want Retry without doubt", out)
	}
	if got := server.Report().Requests["PutLogEvents"].Requests; got != 0 {
		t.Errorf("%d requests were made", got)
	}
}

// TestNobodyWaitsForAnothersHang: while one Send hangs before it has a
// destination, the others still end with their own contexts.
func TestNobodyWaitsForAnothersHang(t *testing.T) {
	_, url := newSandbox(t, sandbox.Options{})
	reached := make(chan struct{})
	once := sync.OnceFunc(func() { close(reached) })
	s := newSink(t, url, func(c *Config) {
		c.Resolve = func(ctx context.Context) (Destination, error) {
			once()
			<-ctx.Done()
			return Destination{}, ctx.Err()
		}
	})
	hanging, end := context.WithCancel(t.Context())
	var first sync.WaitGroup
	first.Go(func() { s.Send(hanging, request("x")) })
	<-reached
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	done := make(chan sink.Outcome, 1)
	go func() { done <- s.Send(ctx, request("x")) }()
	select {
	case out := <-done:
		if out.Verdict != sink.Retry || out.Unsure || !errors.Is(out.Err, context.Canceled) {
			t.Errorf("the outcome is %+v, want Retry without doubt", out)
		}
	case <-time.After(2 * time.Minute):
		t.Error("a Send whose context has ended waits for another")
	}
	end()
	first.Wait()
}
