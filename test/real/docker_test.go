package real

import (
	"testing"

	"github.com/spillway/spillway/test/real/parts"
)

// TestDockerWritesToTheSandbox lets a client that others wrote, the awslogs driver inside Docker's
// daemon, use the sandbox: what it accepts from us it must accept from them, within the limits that
// it enforces. In blocking mode and with no fault the driver loses nothing.
func TestDockerWritesToTheSandbox(t *testing.T) {
	const (
		lines = 20_000
		width = 200
	)
	parts.Need(t, parts.Dockerd)
	bin := parts.BuildSpillway(t)
	endpoint := startSandbox(t, bin)
	docker := parts.StartDockerd(t, "AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test", "AWS_EC2_METADATA_DISABLED=true")
	log := []string{
		"--log-driver", "awslogs", "--log-opt", "mode=blocking",
		"--log-opt", "awslogs-region=" + region, "--log-opt", "awslogs-endpoint=" + endpoint,
		"--log-opt", "awslogs-group=" + group, "--log-opt", "awslogs-stream=" + stream, "--log-opt", "awslogs-create-group=true",
	}
	if _, err := docker.Run(log, "/bin/sh", "-c", numbered("out", lines, width)); err != nil {
		t.Fatal(err)
	}
	// Docker does not wait for its driver's last request when a container ends.
	cloud := parts.CloudWatch{Endpoint: endpoint}
	until(t, "the driver's lines arrived", func() bool {
		messages, err := cloud.Messages(group, stream)
		return err == nil && len(messages) >= lines
	})
	seen := mustFollow(t, cloud, stream)
	seen.want(t, "out", lines)
	if seen.repeats != 0 {
		t.Errorf("%d lines arrived more than once, want none", seen.repeats)
	}
}
