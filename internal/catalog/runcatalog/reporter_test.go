package runcatalog

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	protocol "github.com/spillway/spillway/forward"
)

// TestReporterSaysWhatThereIs: an event without an error or a tag is told without
// them, and the next of its kind is not told at once.
func TestReporterSaysWhatThereIs(t *testing.T) {
	var text bytes.Buffer
	r := newReporter(slog.New(slog.NewTextHandler(&text, nil)), "app")
	r.report(protocol.Event{Reason: "linger"})
	r.report(protocol.Event{Reason: "linger"})
	r.report(protocol.Event{Reason: "denied", Tag: "a.b", Err: errors.New("wrong password")})
	lines := strings.Split(strings.TrimSpace(text.String()), "\n")
	if len(lines) != 2 {
		t.Fatalf("the log is %q, want two lines", lines)
	}
	if strings.Contains(lines[0], "error=") || strings.Contains(lines[0], "tag=") {
		t.Errorf("it tells of what is not there: %s", lines[0])
	}
	if !strings.HasSuffix(lines[1], `tag=a.b error="wrong password"`) {
		t.Errorf("it does not tell all: %s", lines[1])
	}
}
