package parts

import (
	"context"
	"os/exec"
	"testing"

	"github.com/spillway/spillway/test/launcher"
)

// SandboxServer is Spillway's own CloudWatch Logs endpoint, which enforces the limits that moto does
// not and can be told to fail.
type SandboxServer struct {
	*Process
	// Endpoint is its base address, `http://127.0.0.1:PORT`.
	Endpoint string
}

// StartSandbox starts `sandbox cloudwatch` of the given spillway program, with further flags, on a free port. It is a
// program under test, so one that does not come up is a failure and never a skip.
func StartSandbox(t testing.TB, spillway string, flags ...string) *SandboxServer {
	t.Helper()
	server, err := startSandbox(t, spillway, flags)
	if err != nil {
		t.Fatalf("start the sandbox: %v", err)
	}
	return server
}

func startSandbox(t testing.TB, spillway string, flags []string) (*SandboxServer, error) {
	t.Helper()
	address, err := launcher.FreeAddress()
	if err != nil {
		return nil, err
	}
	args := append([]string{"sandbox", "cloudwatch", "--listen", address}, flags...)
	process, err := start(t, "sandbox", WorkDir(t, "sandbox"), exec.Command(spillway, args...))
	if err != nil {
		return nil, err
	}
	server := &SandboxServer{Process: process, Endpoint: "http://" + address}
	return server, process.ready(func(ctx context.Context) error {
		return Get(ctx, server.Endpoint+"/healthz", nil)
	})
}
