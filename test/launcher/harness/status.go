package harness

import (
	"context"
	"encoding/json"
	"os/exec"
	"testing"
	"time"

	"github.com/spillway/spillway/test/launcher"
)

// Status is what "spillway status --json" prints about the loggers of a state directory.
type Status struct {
	launcher.Counts
	Processes []struct {
		Container string `json:"container_id"`
		Health    struct {
			Up          bool   `json:"up"`
			Error       string `json:"error"`
			NeedsAction bool   `json:"needs_action"`
		} `json:"health"`
	} `json:"processes"`
}

// AskStatus asks the loggers of a state directory how they are. text is what the same command prints for people.
func AskStatus(t testing.TB, programs *Programs, state string) (s Status, text string) {
	t.Helper()
	if programs.Spillway == "" {
		t.Skip("not run: there is no spillway program beside the logger to ask for the status")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	ask := func(flags ...string) []byte {
		out, err := exec.CommandContext(ctx, programs.Spillway, append([]string{"status", "--state-dir", state}, flags...)...).Output()
		if err != nil {
			t.Fatalf("ask for the status: %v", err)
		}
		return out
	}
	if out := ask("--json"); json.Unmarshal(out, &s) != nil {
		t.Fatalf("the status is no JSON object: %s", out)
	}
	return s, string(ask())
}
