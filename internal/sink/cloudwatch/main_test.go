package cloudwatch

import (
	"context"
	"io"
	"iter"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"go.uber.org/goleak"

	"github.com/spillway/spillway/internal/awsauth"
	"github.com/spillway/spillway/internal/record"
	sandbox "github.com/spillway/spillway/internal/sandbox/cloudwatch"
	"github.com/spillway/spillway/internal/sink"
	"github.com/spillway/spillway/internal/sink/sinktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	testGroup  = "g"
	testStream = "s"
	testRegion = "eu-central-1"
	userAgent  = "spillway/test"
)

// credentials are those of the sandbox, with which it checks signatures.
type credentials struct{}

func (credentials) Retrieve(context.Context) (aws.Credentials, error) {
	return aws.Credentials{
		AccessKeyID: sandbox.AccessKeyID, SecretAccessKey: sandbox.SecretAccessKey, SessionToken: sandbox.SessionToken,
	}, nil
}

// newSandbox serves an endpoint that computes every signature, payload hash
// included, until the test ends.
func newSandbox(t testing.TB, o sandbox.Options) (*sandbox.Server, string) {
	t.Helper()
	o.VerifyPayload, o.ErrorLog = true, log.New(io.Discard, "", 0)
	s, err := sandbox.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve the sandbox: %v", err)
		}
	})
	return s, "http://" + ln.Addr().String() + "/"
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
			return Destination{URL: url, Signer: awsauth.NewSigner(credentials{}, testRegion)}, nil
		},
	}
	for _, c := range change {
		c(&cfg)
	}
	s := New(cfg)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close the sink: %v", err)
		}
	})
	return s
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
