package real

import (
	"bytes"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"testing"

	"github.com/spillway/spillway/test/launcher"
	"github.com/spillway/spillway/test/real/parts"
)

// TestExecToCloudWatch runs the main program as a person does, with keys in the environment, around
// a command that writes 200,000 lines.
func TestExecToCloudWatch(t *testing.T) {
	const lines = 200_000
	parts.Need(t, parts.Moto)
	bin := buildSpillway(t)
	moto := parts.StartMoto(t)
	cloud := parts.CloudWatch{Endpoint: moto.Endpoint}
	if err := cloud.Create(group, ""); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin.Spillway, "exec", "--to", "cloudwatch", "--json", "--state-dir", parts.WorkDir(t, "state"),
		"--awslogs-group", group, "--awslogs-stream", stream, "--awslogs-region", region, "--awslogs-endpoint", moto.Endpoint,
		"--", "sh", "-c", "seq 1 "+strconv.Itoa(lines)+"; exit 7")
	cmd.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test", "AWS_EC2_METADATA_DISABLED=true")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != 7 {
		t.Fatalf("spillway exec ended with %v, want the command's own status 7:\n%s", err, stderr.Bytes())
	}
	rows := bytes.Split(bytes.TrimSpace(stderr.Bytes()), []byte("\n"))
	last := rows[len(rows)-1]
	line := launcher.LastExitLine(last, "")
	if line == nil {
		t.Fatalf("the last line on stderr is no balance: %s", last)
	}
	if line.Unaccounted != 0 || line.Difference() != 0 {
		t.Errorf("the balance does not add up: %s", line.Raw)
	}
	wantDelivered(t, line, lines)

	got, err := cloud.Messages(group, stream)
	if err != nil {
		t.Fatal(err)
	}
	want := make([]string, lines)
	for i := range want {
		want[i] = strconv.Itoa(i + 1)
	}
	if !slices.Equal(got, want) {
		t.Errorf("the destination has %d lines, want 1 to %d, each once and in order", len(got), lines)
	}
}
