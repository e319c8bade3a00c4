package real

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestForms runs one small container for each way of writing a log URI and each option whose effect
// can be seen in the destination, all through one containerd.
func TestForms(t *testing.T) {
	r := newRig(t)
	t.Run("keys and values", func(t *testing.T) {
		r.run(t, "pairs", r.uri(r.awslogs("pairs").with(options{"awslogs-stream": "pairs"})), "echo one; echo two")
		wantLines(t, r, "pairs", "pairs", "one", "two")
	})
	t.Run("key=value with an empty value", func(t *testing.T) {
		r.run(t, "joined", r.uriJoined(r.awslogs("joined").with(options{"awslogs-stream": "joined"})), "echo one; echo two")
		wantLines(t, r, "joined", "joined", "one", "two")
	})
	t.Run("boolean with an empty value", func(t *testing.T) {
		o := r.awslogs("bare").with(options{"awslogs-group": "bare", "awslogs-stream": "bare", "awslogs-create-group": ""})
		r.run(t, "bare", r.uri(o), "echo one")
		wantDelivered(t, r.balance(t, "bare"), 1)
		if got, err := r.cloud.Messages("bare", "bare"); err != nil || !slices.Equal(got, []string{"one"}) {
			t.Errorf("the group that a bare flag should have created holds %q, %v; want one line", got, err)
		}
	})
	t.Run("empty values are absent ones", func(t *testing.T) {
		o := r.awslogs("absent").with(options{"awslogs-stream": "absent", "awslogs-multiline-pattern": "", "awslogs-datetime-format": "", "max-buffer-size": "", "uid": ""})
		r.run(t, "absent", r.uri(o), "echo one")
		wantLines(t, r, "absent", "absent", "one")
	})
	t.Run("short id, from the environment", func(t *testing.T) {
		o := r.awslogs("c1").with(options{"container-id": "-", "container-name": "-", "awslogs-stream": "-", "tag": "{{.ID}}"})
		r.run(t, "c1", r.uri(o), "echo one")
		wantLines(t, r, "c1", "c1", "one")
	})
	t.Run("tag template", func(t *testing.T) {
		o := r.awslogs("0123456789abcdef").with(options{"container-name": "web", "awslogs-stream": "-", "tag": "{{.Name}}/{{.ID}}"})
		r.run(t, "0123456789abcdef", r.uri(o), "echo one")
		wantLines(t, r, "0123456789abcdef", "web/0123456789ab", "one")
	})
	t.Run("multiline pattern", func(t *testing.T) {
		o := r.awslogs("multi").with(options{"awslogs-stream": "multi", "awslogs-multiline-pattern": `^\[`})
		r.run(t, "multi", r.uri(o), `printf '[1] a\n  at b\n[2] c\n[3] d\n  at e\n'`)
		wantLines(t, r, "multi", "multi", "[1] a\n  at b\n", "[2] c\n", "[3] d\n  at e\n")
	})
	t.Run("non-blocking", func(t *testing.T) {
		o := r.awslogs("quick").with(options{"awslogs-stream": "quick", "mode": "non-blocking", "max-buffer-size": "4m"})
		r.run(t, "quick", r.uri(o), "echo one; echo two >&2")
		wantDelivered(t, r.balance(t, "quick"), 2)
		if got := r.messages(t, "quick"); len(got) != 2 {
			t.Errorf("a line of each stream gave %q, want both", got)
		}
	})
	t.Run("json-file", func(t *testing.T) { formJSONFile(t, r) })
}

// wantLines checks a stream's messages and that the balance says the same number.
func wantLines(t *testing.T, r *rig, container, stream string, want ...string) {
	t.Helper()
	wantDelivered(t, r.balance(t, container), int64(len(want)))
	if diff := cmp.Diff(want, r.messages(t, stream)); diff != "" {
		t.Errorf("stream %s (-want +got):\n%s", stream, diff)
	}
}

// formJSONFile writes to a file in a directory that is not there yet, in Docker's form.
func formJSONFile(t *testing.T, r *rig) {
	path := filepath.Join(r.stateDir, "logs", "app", "json.log")
	r.run(t, "file", r.uri(r.jsonFile("file", path)), "echo one; echo two >&2")
	wantDelivered(t, r.balance(t, "file"), 2)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("read the file that the logger wrote: %v", err)
	}
	got := map[string]string{}
	for _, line := range trimmed(string(text)) {
		var entry struct{ Log, Stream, Time string }
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatalf("line %q of the file: %v", line, err)
		}
		if entry.Time == "" {
			t.Errorf("line %q has no time", line)
		}
		got[entry.Stream] += entry.Log
	}
	if diff := cmp.Diff(map[string]string{"stdout": "one\n", "stderr": "two\n"}, got); diff != "" {
		t.Errorf("lines of the file by stream (-want +got):\n%s", diff)
	}
}
