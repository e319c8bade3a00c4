package cloudwatch

import (
	"context"
	"iter"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/spillway/spillway/internal/awsauth"
	"github.com/spillway/spillway/internal/record"
	sandbox "github.com/spillway/spillway/internal/sandbox/cloudwatch"
	"github.com/spillway/spillway/internal/sandbox/cloudwatch/cloudwatchtest"
	"github.com/spillway/spillway/internal/sink"
	"github.com/spillway/spillway/internal/sink/sinktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	testGroup  = "g"
	testStream = "s"
	userAgent  = "spillway/test"
)

// newSandbox serves an endpoint that computes every signature, payload hash
// included, until the test ends.
func newSandbox(t testing.TB, o sandbox.Options) (*sandbox.Server, string) {
	t.Helper()
	o.VerifyPayload = true
	s, url := cloudwatchtest.New(t, o)
	return s, url + "/"
}

// newServer serves a handler of the test's own.
func newServer(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL + "/"
}

// newSink returns a sink that may create the group and the stream, unless change
// says otherwise. It is closed when the test ends.
func newSink(t testing.TB, url string, change ...func(*Config)) *Sink {
	t.Helper()
	client, err := awsauth.HTTPClient(awsauth.Options{MaxInFlight: InFlight})
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{
		Group: testGroup, Stream: testStream, CreateGroup: true, CreateStream: true, Client: client, UserAgent: userAgent,
		Resolve: func(context.Context) (Destination, error) {
			return Destination{URL: url, Signer: cloudwatchtest.Signer()}, nil
		},
	}
	for _, c := range change {
		c(&cfg)
	}
	return sinktest.Opened(t, New(cfg), nil)
}

// createsNothing is a sink whose group and stream must be there.
func createsNothing(c *Config) { c.CreateGroup, c.CreateStream = false, false }

// request is a request of some lines of one moment.
func request(lines ...string) *sinktest.Request {
	at := time.Now()
	events := make([]sinktest.Event, len(lines))
	for i, line := range lines {
		events[i] = sinktest.Event{Time: at, Body: line}
	}
	return sinktest.NewRequest(events...)
}

// deliver sends a request that must be delivered.
func deliver(t *testing.T, s *Sink, req sink.Request) {
	t.Helper()
	if out := s.Send(t.Context(), req); out.Verdict != sink.Delivered || len(out.Rejected) > 0 {
		t.Fatalf("the outcome is %+v, want all delivered", out)
	}
}

// batches are those of a request without their indexes.
func batches(req sink.Request) iter.Seq[*record.Batch] {
	return func(yield func(*record.Batch) bool) {
		for _, b := range req.Batches() {
			if !yield(b) {
				return
			}
		}
	}
}
