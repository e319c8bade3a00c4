// Package real holds the tests against real parts: containers that containerd and runc run, whose
// output goes through spillway-shim to a CloudWatch Logs server that others wrote; the spillway
// program as a person calls it; and Docker's own log driver as a client of our sandbox.
//
// The tests run with SPILLWAY_REAL=1 (make test-real), as root, and bring everything up by
// themselves through the package parts. Without the variable each is skipped, and says what it did
// not run. They check what arrived, read back by a client of their own, against what was written
// and against the balance that the program printed; they refuse to check how fast anything was.
package real

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spillway/spillway/test/launcher"
	"github.com/spillway/spillway/test/launcher/harness"
	"github.com/spillway/spillway/test/real/parts"
)

// Where the tests write to; the server is new for each test, so these never collide.
const (
	group  = "real"
	stream = "container"
	region = "us-east-1"
	// accessKey is the key in the credentials file of every rig.
	accessKey = "AKIDOFTHEFILE"
)

// rig is what a test of a container needs: both servers, both programs, and a state directory.
type rig struct {
	*parts.ContainerdServer
	moto     *parts.MotoServer
	cloud    parts.CloudWatch
	bin      *harness.Programs
	stateDir string
	// config is a node file whose credentials come from a file, since the shim's environment is
	// empty, and which keeps every process away from the instance metadata address.
	config string
}

// newRig brings the parts up, or skips or fails the test with the name of the missing one.
func newRig(t *testing.T) *rig {
	t.Helper()
	parts.Need(t, parts.Containerd, parts.Moto)
	r := &rig{bin: buildSpillway(t), moto: parts.StartMoto(t), stateDir: parts.WorkDir(t, "state")}
	r.cloud = parts.CloudWatch{Endpoint: r.moto.Endpoint}
	t.Cleanup(func() { r.showLogs(t) })
	credentials := filepath.Join(r.stateDir, "credentials")
	writeFile(t, credentials, "[default]\naws_access_key_id = "+accessKey+"\naws_secret_access_key = secret\n")
	r.config = filepath.Join(r.stateDir, "spillway.yaml")
	writeFile(t, r.config, "aws:\n  credentials-file: "+credentials+"\n  imds: false\n")
	// Last, so that it stops first: its end waits for loggers, which still need the destination.
	r.ContainerdServer = parts.StartContainerd(t)
	return r
}

// showLogs shows what the loggers said where a test failed. On a machine with journald they say it
// there.
func (r *rig) showLogs(t *testing.T) {
	if !t.Failed() {
		return
	}
	logs, err := filepath.Glob(filepath.Join(r.stateDir, "log", "*"))
	if err != nil {
		t.Errorf("look for the loggers' own logs: %v", err)
	}
	for _, log := range logs {
		if text := parts.Tail(log); text != "" {
			t.Logf("the end of %s:\n%s", filepath.Base(log), text)
		}
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatalf("write %s: %v", path, err)
	}
}

// options are the flags of one logger, without the leading dashes.
type options map[string]string

// with returns the options of the base with others added or replaced; the value "-" takes one away.
func (o options) with(others options) options {
	all := options{}
	for _, some := range []options{o, others} {
		for key, value := range some {
			if value == "-" {
				delete(all, key)
				continue
			}
			all[key] = value
		}
	}
	return all
}

// awslogs are the options of a logger that writes to moto with the rig's node file.
func (r *rig) awslogs(container string) options {
	return options{
		"log-driver": "awslogs", "container-id": container, "container-name": container,
		"config": r.config, "state-dir": r.stateDir,
		"awslogs-group": group, "awslogs-stream": stream, "awslogs-region": region,
		"awslogs-endpoint": r.moto.Endpoint, "awslogs-create-group": "true",
	}
}

// jsonFile are the options of a logger that writes to a file.
func (r *rig) jsonFile(container, path string) options {
	return options{
		"log-driver": "json-file", "container-id": container, "container-name": container,
		"config": r.config, "state-dir": r.stateDir, "log-path": path,
	}
}

// uri makes a log URI in the usual form: containerd passes each key and its value as two arguments.
func (r *rig) uri(o options) string {
	query := url.Values{}
	for key, value := range o {
		query.Set("--"+key, value)
	}
	return "binary://" + r.bin.Shim + "?" + query.Encode()
}

// uriJoined makes a log URI in the other form, whose keys hold `--flag=value` and whose values are
// empty: containerd passes the key and an empty argument.
func (r *rig) uriJoined(o options) string {
	query := url.Values{}
	for key, value := range o {
		query.Set("--"+key+"="+value, "")
	}
	return "binary://" + r.bin.Shim + "?" + query.Encode()
}

// run runs a shell script in a container to its end, and fails the test if that was not 0.
func (r *rig) run(t *testing.T, id, logURI, script string) {
	t.Helper()
	if out, err := r.Run(id, logURI, "/bin/sh", "-c", script); err != nil {
		t.Fatalf("run container %s: %v (stdout %q)", id, err, out.Stdout)
	}
}

// exitLine returns the last balance of a container's logger from the state directory, checked to
// add up; nil while there is none.
func (r *rig) exitLine(t *testing.T, container string) *launcher.ExitLine {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(r.stateDir, "exits.jsonl"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatalf("read the exit lines: %v", err)
	}
	// The quotes keep container c1 from finding the line of container c10.
	line := launcher.LastExitLine(text, `"`+container+`"`)
	if line != nil && (line.Unaccounted != 0 || line.Difference() != 0) {
		t.Errorf("the balance of %s does not add up: %s", container, line.Raw)
	}
	return line
}

// balance is the exit line of a logger that has ended, which must exist.
func (r *rig) balance(t *testing.T, container string) *launcher.ExitLine {
	t.Helper()
	line := r.exitLine(t, container)
	if line == nil {
		t.Fatalf("container %s has no exit line in %s", container, r.stateDir)
	}
	return line
}

// wantDelivered checks that a logger received so many records and delivered them all, with no drop
// and no loss marker.
func wantDelivered(t *testing.T, line *launcher.ExitLine, records int64) {
	t.Helper()
	if line.Received != records || line.Delivered != records || line.Dropped != 0 || line.Pending != 0 || line.Markers.Made != 0 {
		t.Errorf("received %d, delivered %d, dropped %d, pending %d, markers made %d; want %d, %d, 0, 0, 0: %s",
			line.Received, line.Delivered, line.Dropped, line.Pending, line.Markers.Made, records, records, line.Raw)
	}
}

// messages reads what a stream of the rig's group holds.
func (r *rig) messages(t *testing.T, stream string) []string {
	t.Helper()
	messages, err := r.cloud.Messages(group, stream)
	if err != nil {
		t.Fatalf("read stream %s back: %v", stream, err)
	}
	return messages
}

// trimmed strips what a container's terminal-less output never has but a file's lines do.
func trimmed(text string) []string {
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}
