package real

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spillway/spillway/test/real/parts"
)

// nowhere is an address that nothing listens on: the discard port of this machine.
const nowhere = "http://127.0.0.1:9"

// TestNoDestinationStopsAContainer checks that a container starts, runs and ends whatever is wrong
// with its destination, and that the balance counts every line that found no place to go.
func TestNoDestinationStopsAContainer(t *testing.T) {
	r := newRig(t)
	// Nothing stands at this address of the credentials either, and the shim's environment is empty.
	noKeys := r.stateDir + "/no-keys.yaml"
	writeFile(t, noKeys, "aws:\n  imds: false\n")
	for i, trouble := range []struct {
		name    string
		options options
	}{
		{"unreachable endpoint, blocking", options{"awslogs-endpoint": nowhere, "mode": "blocking"}},
		{"unreachable endpoint, non-blocking", options{"awslogs-endpoint": nowhere, "mode": "non-blocking"}},
		{"missing group", options{"awslogs-group": "missing", "awslogs-create-group": "false"}},
		{"missing stream", options{"awslogs-create-stream": "false"}},
		{"no credentials", options{"config": noKeys}},
		{"unreachable credentials", options{"awslogs-credentials-endpoint": nowhere + "/credentials"}},
	} {
		t.Run(trouble.name, func(t *testing.T) {
			id := fmt.Sprintf("trouble%d", i)
			r.run(t, id, r.uri(r.awslogs(id).with(options{"cleanup-time": "1s"}).with(trouble.options)), "seq 1 10")
			line := r.balance(t, id)
			if line.Received != 10 || line.Delivered != 0 || line.Dropped != 10 || line.DroppedByReason["shutdown"] != 10 {
				t.Errorf("received %d, delivered %d, dropped %d by %v; want 10, 0, 10 by shutdown: %s",
					line.Received, line.Delivered, line.Dropped, line.DroppedByReason, line.Raw)
			}
		})
	}
}

// TestStartRequiresDestination checks the one way in which a destination may stop a container: its
// owner's wish. Under this containerd a logger that ends before it says that it is ready does not
// fail the start; the container's first write does.
func TestStartRequiresDestination(t *testing.T) {
	r := newRig(t)
	required := options{"start-requires-destination": ""}
	r.run(t, "there", r.uri(r.awslogs("there").with(required)), "echo one")
	wantLines(t, r, "there", stream, "one")
	gone := required.with(options{"awslogs-group": "missing", "awslogs-create-group": "false"})
	// A container's first process gets the error and not SIGPIPE, from which the kernel shields it.
	_, err := r.Run("gone", r.uri(r.awslogs("gone").with(gone)), "/bin/sh", "-c", "echo one || exit 9")
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 9 {
		t.Errorf("a container whose logger refused to start ended with %v, want the status 9 of a failed write", err)
	}
}

// TestWhyThereIsNoLogger checks that the reason for which a logger refused to start can be found,
// although containerd gives it no standard error: in its own log, in the state directory that even
// wrong options name.
func TestWhyThereIsNoLogger(t *testing.T) {
	r := newRig(t)
	if _, err := os.Stat("/run/systemd/journal/socket"); err == nil {
		t.Skip("not run here: the reason goes to this machine's journald, which is not for tests to read")
	}
	noCA := filepath.Join(r.stateDir, "no-ca.yaml")
	writeFile(t, noCA, "aws:\n  ca-file: /no-such-ca.pem\n  imds: false\n")
	for id, refused := range map[string]struct {
		options options
		why     string
	}{
		"wrong": {r.awslogs("wrong").with(options{"mode": "sometimes"}), "sometimes"},
		"no-ca": {r.awslogs("no-ca").with(options{"config": noCA}), "no-such-ca.pem"},
	} {
		t.Run(refused.why, func(t *testing.T) {
			if _, err := r.Run(id, r.uri(refused.options), "/bin/sh", "-c", "echo one || exit 9"); err == nil {
				t.Errorf("a container whose logger refused to start could write, want a failed write")
			}
			logs, err := filepath.Glob(filepath.Join(r.stateDir, "log", "*"))
			if err != nil {
				t.Fatal(err)
			}
			var said strings.Builder
			for _, log := range logs {
				said.WriteString(parts.Tail(log))
			}
			if !strings.Contains(said.String(), refused.why) {
				t.Errorf("the loggers' own logs say %q, want the reason, %q", said.String(), refused.why)
			}
		})
	}
}
