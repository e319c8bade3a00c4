package parts

import (
	"context"
	"fmt"
	"os/exec"
	"testing"
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
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	address := fmt.Sprintf("127.0.0.1:%d", port)
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
