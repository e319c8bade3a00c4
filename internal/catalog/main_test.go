package catalog

import (
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/spillway/spillway/internal/config"
	sandbox "github.com/spillway/spillway/internal/sandbox/cloudwatch"
	"github.com/spillway/spillway/internal/sandbox/cloudwatch/cloudwatchtest"
	"github.com/spillway/spillway/internal/sink"
	"github.com/spillway/spillway/internal/sink/sinktest"
)

func TestMain(m *testing.M) {
	// Nothing here may ask the instance metadata address.
	if err := os.Setenv("AWS_EC2_METADATA_DISABLED", "true"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// input is what a program would resolve: its options as name=value.
func input(program config.Program, options ...string) config.Input {
	in := config.Input{Program: program, Checks: Checks()}
	for _, o := range options {
		name, value, _ := strings.Cut(o, "=")
		in.Own = append(in.Own, config.Setting{Name: name, Value: value})
	}
	return in
}

func resolve(t *testing.T, in config.Input) *config.Resolved {
	t.Helper()
	r, err := config.Resolve(in)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// shim is the options of a containerd logger beside what its container is.
func shim(options ...string) config.Input {
	return input(config.ProgramShim, append([]string{"container-id=c1", "container-name=web"}, options...)...)
}

// toAWS is the options of a logger to CloudWatch Logs.
func toAWS(options ...string) config.Input {
	return shim(append([]string{"log-driver=awslogs", "awslogs-group=g", "awslogs-region=eu-central-1"}, options...)...)
}

// open opens the destination of the options, which is closed when the test ends.
func open(t *testing.T, in config.Input, s Surroundings) *Destination {
	t.Helper()
	d, err := Open(resolve(t, in), s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Sink.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// deliver sends one line to the destination.
func deliver(t *testing.T, d *Destination, line string) {
	t.Helper()
	req := sinktest.NewRequest(sinktest.Event{Time: time.Now(), Body: line})
	if out := d.Sink.Send(t.Context(), req); out.Verdict != sink.Delivered || len(out.Rejected) > 0 {
		t.Fatalf("the outcome is %+v, want it delivered", out)
	}
}

// newSandbox serves CloudWatch Logs, and credentials, until the test ends. It
// checks signatures.
func newSandbox(t *testing.T) (*sandbox.Server, string) {
	t.Helper()
	return cloudwatchtest.New(t, sandbox.Options{VerifyPayload: true})
}
