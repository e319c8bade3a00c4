package cloudwatch

import (
	"sync/atomic"
	"testing"
	"time"

	sandbox "github.com/spillway/spillway/internal/sandbox/cloudwatch"
	"github.com/spillway/spillway/internal/sandbox/cloudwatch/cloudwatchtest"
	"github.com/spillway/spillway/internal/sink/sinktest"
)

// TestConformance runs the suite of all sinks. It makes two attempts fail, one
// of a small request and one of a large one, each in its own way.
func TestConformance(t *testing.T) {
	for name, failures := range map[string][2]sandbox.Answer{
		"in doubt":     {{Handle: true, Drop: true}, {Handle: true, Status: 200, Body: []byte(`{"nextSequenceTok`)}},
		"not in doubt": {{Status: 503, Type: "ServiceUnavailableException"}, {Status: 400, Type: "ThrottlingException"}},
	} {
		t.Run(name, func(t *testing.T) {
			sinktest.Run(t, func(t *testing.T) sinktest.Destination { return destination(t, failures[:]) })
		})
	}
}

// destination is a sandbox as the suite wants one.
func destination(t *testing.T, failures []sandbox.Answer) sinktest.Destination {
	server, url := newSandbox(t, sandbox.Options{})
	cloudwatchtest.Make(t, url, testGroup, testStream)
	var next atomic.Pointer[sandbox.Answer]
	server.Script(func(op string, _ int) *sandbox.Answer {
		if op != "PutLogEvents" {
			return nil
		}
		return next.Swap(nil)
	})
	return sinktest.Destination{
		Sink: newSink(t, url),
		Read: func() ([]sinktest.Entry, error) { return cloudwatchtest.Read(t.Context(), url, testGroup, testStream) },
		Fail: func() {
			next.Store(&failures[0])
			failures = failures[1:]
		},
		Traits: sinktest.Traits{Empty: " ", Resolution: time.Millisecond},
	}
}
