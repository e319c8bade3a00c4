package real

import (
	"context"
	"net"
	"testing"

	"github.com/spillway/spillway/internal/sandbox/cloudwatch"
	"github.com/spillway/spillway/test/real/parts"
)

// TestDockerWritesToTheSandbox lets a client that others wrote, the awslogs driver inside Docker's
// daemon, use the sandbox: what it accepts from us it must accept from them, within the limits that
// it enforces. In blocking mode and with no fault the driver loses nothing.
func TestDockerWritesToTheSandbox(t *testing.T) {
	parts.Need(t, parts.Dockerd)
	bin := buildSpillway(t)
	docker := parts.StartDockerd(t, "AWS_ACCESS_KEY_ID="+cloudwatch.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+cloudwatch.SecretAccessKey,
		"AWS_EC2_METADATA_DISABLED=true")
	t.Run("as people run it", func(t *testing.T) {
		dockerWrites(t, docker, parts.StartSandbox(t, bin.Spillway).Endpoint)
	})
	// The signatures of AWS's own library are the proof that the sandbox verifies them rightly, and
	// only then its verdict on ours means anything.
	t.Run("verifying signatures", func(t *testing.T) {
		endpoint := serveVerifying(t)
		dockerWrites(t, docker, endpoint)
		if err := (parts.CloudWatch{Endpoint: endpoint}).Create("unsigned", ""); err == nil {
			t.Error("a request with a signature of zeros was accepted, want a refusal")
		}
	})
}

// dockerWrites runs a container of numbered lines with Docker's driver against a sandbox, and checks
// the sandbox's own report.
func dockerWrites(t *testing.T, docker *parts.DockerServer, endpoint string) {
	t.Helper()
	const (
		lines = 20_000
		width = 200
	)
	log := []string{
		"--log-driver", "awslogs", "--log-opt", "mode=blocking",
		"--log-opt", "awslogs-region=" + region, "--log-opt", "awslogs-endpoint=" + endpoint,
		"--log-opt", "awslogs-group=" + group, "--log-opt", "awslogs-stream=" + stream, "--log-opt", "awslogs-create-group=true",
	}
	if _, err := docker.Run(log, "/bin/sh", "-c", numbered("out", lines, width)); err != nil {
		t.Fatal(err)
	}
	// Docker does not wait for its driver's last request when a container ends.
	var report cloudwatch.Report
	until(t, "the driver's lines arrived", func() bool {
		report = sandboxReport(t, endpoint)
		return report.Totals.Events >= lines
	})
	got := report.Totals
	if got.Events != lines || got.Bytes != lines*(width-1) || got.Missing != 0 || got.Duplicates != 0 || got.OutOfOrder != 0 {
		t.Errorf("the sandbox reports %+v, want %d events of %d bytes each, none missing, repeated or out of order", got, lines, width-1)
	}
	put := report.Requests["PutLogEvents"]
	if put.OK == 0 || put.OK != put.Requests {
		t.Errorf("PutLogEvents: %+v, want all of them accepted", put)
	}
}

// sandboxReport asks a sandbox what has arrived.
func sandboxReport(t *testing.T, endpoint string) cloudwatch.Report {
	t.Helper()
	var report cloudwatch.Report
	if err := parts.Get(t.Context(), endpoint+"/report", &report); err != nil {
		t.Fatal(err)
	}
	return report
}

// serveVerifying serves a sandbox within the test that verifies each signature, and returns its
// address.
func serveVerifying(t *testing.T) string {
	t.Helper()
	server, err := cloudwatch.New(cloudwatch.Options{VerifyPayload: true})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen for the sandbox: %v", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx, listener) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Errorf("serve the sandbox: %v", err)
		}
	})
	return "http://" + listener.Addr().String()
}
