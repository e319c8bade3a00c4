package streams

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/spillway/spillway/internal/sandbox/cloudwatch/cloudwatchtest"
	"github.com/spillway/spillway/internal/sink"
	"github.com/spillway/spillway/internal/sink/cloudwatch"
	"github.com/spillway/spillway/internal/sink/sinktest"
)

// swallow is the service without a network: it reads a request and takes it.
type swallow struct{}

func (swallow) RoundTrip(r *http.Request) (*http.Response, error) {
	_, err := io.Copy(io.Discard, r.Body)
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader("{}")), Request: r}, err
}

func BenchmarkSend(b *testing.B) {
	for name, step := range map[string]time.Duration{"one millisecond": 0, "a millisecond each": time.Millisecond} {
		b.Run(name, func(b *testing.B) {
			s := open(b, "http://nobody/", "g", "{tag}", func(o *Options) {
				o.Service.Client, o.LogKey = &http.Client{Transport: swallow{}}, ""
				o.Service.Resolve = func(context.Context) (cloudwatch.Destination, error) {
					return cloudwatch.Destination{URL: "http://nobody/", Signer: cloudwatchtest.Signer()}, nil
				}
			})
			line := strings.Repeat(`203.0.113.195 "GET /shop/articles/4711" 200 18231 `, 5)[:220]
			events := make([]sinktest.Event, 3000)
			for i := range events {
				at := time.Unix(1_700_000_000, 0).Add(time.Duration(i) * step)
				events[i] = sinktest.Event{Time: at, Packed: sinktest.Packed(at, line)}
			}
			r := sinktest.NewRequest(events...)
			b.SetBytes(int64(len(events) * len(events[0].Packed)))
			b.ReportAllocs()
			for b.Loop() {
				if out := s.Send(context.Background(), r); out.Verdict != sink.Delivered || len(out.Again) > 0 {
					b.Fatal(out)
				}
			}
		})
	}
}
