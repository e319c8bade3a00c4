package real

import (
	"bufio"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spillway/spillway/test/real/parts"
)

const (
	taskARN  = "arn:aws:ecs:eu-central-1:111122223333:task/prod/158d1c8083dd49d6b527399fd6414f5c"
	taskText = `{"Cluster":"arn:aws:ecs:eu-central-1:111122223333:cluster/prod","TaskARN":"` + taskARN + `","Family":"web","Revision":"7"}`
	// routerScript starts what answers for the agent, and then the log router.
	routerScript = `httpd -p 127.0.0.1:8080 -h /task/www && exec /spillway run -c /task/spillway.yaml --state-dir /task/state --json`
	routerFile   = `sources:
  task: {type: forward, firelens: true}
sinks:
  kept: {type: file, path: /task/out.log, tag-key: tag, time-key: time}
routes:
  - {match: "**", to: kept}
`
)

// TestFireLens: a container of Spillway in the place of the log router of an ECS task, with everything where the agent
// puts it: the directory of the socket is the host's on one side and /var/run on the other, Docker's daemon sends to it as
// the agent tells it to, a library sends to port 24224 of the task's network, and the agent says which task this is. All
// records are there once, long lines whole, each with the fields of its task.
func TestFireLens(t *testing.T) {
	parts.Need(t, parts.Dockerd)
	bin, docker := buildSpillway(t), parts.StartDockerd(t)
	dir := parts.WorkDir(t, "firelens")
	socket := filepath.Join(dir, "socket")
	answers := filepath.Join(dir, "www", "v4", "abc")
	for _, d := range []string{socket, answers} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	writeFile(t, filepath.Join(answers, "task"), taskText)
	writeFile(t, filepath.Join(dir, "spillway.yaml"), routerFile)
	if _, err := docker.Docker("run", "-d", "--name", "log_router", "--network", "none", "-v", bin.Spillway+":/spillway:ro", "-v", dir+":/task",
		"-v", socket+":/var/run", "-e", "ECS_CONTAINER_METADATA_URI_V4=http://127.0.0.1:8080/v4/abc", "busybox:local", "/bin/sh", "-c", routerScript); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if out, err := docker.Docker("rm", "-f", "log_router"); err != nil {
			t.Error(err, out)
		}
	})
	awaitSocket(t, filepath.Join(socket, "fluent.sock"))
	if _, err := docker.Run([]string{
		"--log-driver", "fluentd", "--log-opt", "fluentd-address=unix://" + filepath.Join(socket, "fluent.sock"), "--log-opt", "fluentd-async=true",
		"--log-opt", "fluentd-sub-second-precision=true", "--log-opt", "tag=app-firelens-158d1c8083dd49d6b527399fd6414f5c",
	}, "/bin/sh", "-c", dockerScript); err != nil {
		t.Fatal(err)
	}
	// Containers of a task share its network, and have FLUENT_HOST and FLUENT_PORT.
	if _, err := docker.Docker("run", "--rm", "--network", "container:log_router", "--log-driver", "none", "busybox:local", "/bin/sh", "-c",
		`echo '["app.library",1700000000,{"log":"from a library"}]' | nc 127.0.0.1 24224`); err != nil {
		t.Fatal(err)
	}
	awaitRecords(t, filepath.Join(dir, "out.log"), dockerLines+3)
	if _, err := docker.Docker("stop", "log_router"); err != nil {
		t.Fatal(err)
	}
	checkFireLens(t, filepath.Join(dir, "out.log"))
	out, err := docker.Docker("logs", "log_router")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.Stderr), "\n")
	var b runBalance
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &b); err != nil {
		t.Fatalf("%v: %s", err, out.Stderr)
	}
	if b.Received != dockerLines+3 || b.Delivered != b.Received || b.Dropped+b.DeadLettered+b.Pending+b.Unaccounted != 0 {
		t.Errorf("the balance is %+v", b)
	}
}

func awaitSocket(t *testing.T, path string) {
	t.Helper()
	for over := time.After(20 * time.Second); ; {
		info, err := os.Stat(path)
		if err == nil {
			if info.Mode() != fs.ModeSocket|0o666 {
				t.Errorf("%s has the mode %v", path, info.Mode())
			}
			return
		}
		if !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-over:
			t.Fatalf("%s is not there", path)
		}
	}
}

// awaitRecords waits until a file has so many lines.
func awaitRecords(t *testing.T, path string, lines int) {
	t.Helper()
	for over := time.After(30 * time.Second); ; {
		text, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		n := strings.Count(string(text), "\n")
		if n >= lines {
			return
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-over:
			t.Fatalf("%s has %d lines, expected %d", path, n, lines)
		}
	}
}

func checkFireLens(t *testing.T, path string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	seen := map[string]int{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e struct {
			dockerRecord
			Cluster    string `json:"ecs_cluster"`
			Task       string `json:"ecs_task_arn"`
			Definition string `json:"ecs_task_definition"`
		}
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		if e.Cluster != "prod" || e.Task != taskARN || e.Definition != "web:7" || e.PartialID != "" {
			t.Fatalf("found %.400s", lines.Text())
		}
		if e.Tag == "app.library" {
			seen["a library"]++
			continue
		}
		if e.Tag != "app-firelens-158d1c8083dd49d6b527399fd6414f5c" || e.Source != "stdout" || len(e.ContainerID) != 64 {
			t.Fatalf("found %.400s", lines.Text())
		}
		switch e.Log {
		case strings.Repeat("a", 40_000), strings.Repeat("b", 100_000):
			seen["whole"]++
		default:
			seen["short"]++
		}
	}
	if err := lines.Err(); err != nil || seen["short"] != dockerLines || seen["whole"] != 2 || seen["a library"] != 1 {
		t.Errorf("%v, %v", seen, err)
	}
}
