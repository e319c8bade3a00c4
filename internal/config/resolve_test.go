package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// shim are the arguments of a containerd logger that lacks nothing.
var shim = map[string][]string{
	"awslogs":   {"--log-driver=awslogs", "--container-id=c1", "--awslogs-group=g", "--awslogs-stream=s", "--awslogs-region=r"},
	"json-file": {"--log-driver=json-file", "--container-id=c1", "--log-path=/l"},
}

// resolve reads arguments, a node file's text and an environment.
func resolve(t *testing.T, in Input, argv []string, node string, environment ...string) (*Resolved, error) {
	t.Helper()
	own, err := ParseArgs(argv)
	if err != nil {
		t.Fatal(err)
	}
	in.Own = own
	if in.Node, err = ParseNode("f", []byte(node)); err != nil {
		t.Fatal(err)
	}
	in.Getenv = getenv(environment...)
	return Resolve(in)
}

func getenv(environment ...string) func(string) string {
	return func(name string) string {
		for _, line := range environment {
			if value, ok := strings.CutPrefix(line, name+"="); ok {
				return value
			}
		}
		return ""
	}
}

func mustResolve(t *testing.T, in Input, argv []string, node string, environment ...string) *Resolved {
	t.Helper()
	r, err := resolve(t, in, argv, node, environment...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func with(driver string, more ...string) []string {
	return append(append([]string(nil), shim[driver]...), more...)
}

func TestBuiltIn(t *testing.T) {
	r := mustResolve(t, Input{Program: ProgramShim}, shim["awslogs"], "")
	wantBuffer := Buffer{Mode: Blocking, Limit: 10 << 20, Drop: DropNewest, LossMarkers: true}
	wantAWS := AWSLogs{Region: "r", Group: "g", Stream: "s", CreateStream: true, FlushInterval: 5 * time.Second}
	wantShim := Shim{CleanupTime: 5 * time.Second, UID: -1, GID: -1, StateDir: StateDir("", getenv())}
	wantContainer := Container{ID: "c1", Name: "c1"}
	for _, c := range []struct{ want, got any }{
		{wantBuffer, r.Buffer()}, {wantAWS, r.AWSLogs()}, {wantShim, r.Shim()}, {wantContainer, r.Container()},
		{AWS{IMDS: true}, r.AWS()}, {DriverAWSLogs, r.Driver()}, {ProgramShim, r.Program()}, {[]string(nil), r.Warnings},
	} {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	r = mustResolve(t, Input{Program: ProgramShim}, shim["json-file"], "")
	if diff := cmp.Diff(JSONFile{Path: "/l", MaxFile: 1}, r.JSONFile()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if r := mustResolve(t, Input{Program: ProgramExec}, nil, ""); r.Driver() != DriverLocal {
		t.Errorf("exec without options goes to %v", r.Driver())
	}
}

func TestEveryOptionArrives(t *testing.T) {
	r := mustResolve(t, Input{Program: ProgramShim}, []string{"--log-driver=cloudwatch", "--container-id=c1", "--container-name=web",
		"--container-image-id=sha", "--container-image-name=img", `--container-env={"A":"1"}`, `--container-labels={"l":"2"}`, "--container-env-endpoint=http://h/env",
		"--mode=non-blocking", "--max-buffer-size=25m", "--drop=oldest", "--loss-markers=off", "--verbose", "--state-dir=/s",
		"--start-requires-destination", "--cleanup-time=1500ms", "--uid=1", "--gid=2",
		"--awslogs-region=eu-central-1", "--awslogs-endpoint=http://127.0.0.1:1", "--awslogs-group=/a/b", "--tag={{.Name}}", "--awslogs-create-group=True",
		"--awslogs-create-stream=false", "--awslogs-datetime-format=%Y", "--awslogs-force-flush-interval-seconds=7", "--awslogs-credentials-endpoint=/v2/id"},
		"aws: {profile: p}", "CONTAINER_NAMESPACE=default", "CONTAINER_ID=other", "AWS_EC2_METADATA_DISABLED=TRUE")
	wantAWS := AWSLogs{Region: "eu-central-1", Endpoint: "http://127.0.0.1:1", Group: "/a/b", Tag: "{{.Name}}", CreateGroup: true,
		DatetimeFormat: "%Y", FlushInterval: 7 * time.Second, CredentialsURL: "http://169.254.170.2/v2/id"}
	for _, c := range []struct{ want, got any }{
		{Buffer{Mode: NonBlocking, Limit: 25 << 20, Drop: DropOldest}, r.Buffer()},
		{wantAWS, r.AWSLogs()},
		{Shim{CleanupTime: 1500 * time.Millisecond, UID: 1, GID: 2, StartRequiresDestination: true, Verbose: true, StateDir: "/s"}, r.Shim()},
		{Container{ID: "c1", Name: "web", Namespace: "default", ImageID: "sha", ImageName: "img", Env: map[string]string{"A": "1"},
			EnvEndpoint: "http://h/env", Labels: map[string]string{"l": "2"}}, r.Container()},
		{AWS{Profile: "p"}, r.AWS()},
	} {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	r = mustResolve(t, Input{Program: ProgramShim}, with("json-file", "--max-size=1k", "--max-file=3", "--compress", "--json-file-labels=a, b,", "--labels-regex=^l",
		"--env=E", "--json-file-env-regex=^E", "--json-file-tag=t", "--max-block=2s"), "")
	want := JSONFile{Path: "/l", MaxSize: 1000, MaxFile: 3, Compress: true, Labels: []string{"a", "b"}, LabelsRegex: "^l", Env: []string{"E"}, EnvRegex: "^E", Tag: "t"}
	if diff := cmp.Diff(want, r.JSONFile()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := r.Buffer().MaxBlock; got != 2*time.Second {
		t.Errorf("max-block is %v", got)
	}
	if r := mustResolve(t, Input{Program: ProgramExec}, []string{"--to=awslogs", "--awslogs-group=g", "--awslogs-stream=s", "--awslogs-format=json/emf"}, ""); !r.AWSLogs().EMF || r.Driver() != DriverAWSLogs {
		t.Errorf("driver %v, %+v", r.Driver(), r.AWSLogs())
	}
}

func TestPrecedence(t *testing.T) {
	const node = "defaults:\n  awslogs-region: node\n  state-dir: /node\n  drop: oldest\n  max-size: 1m\n  json-file-tag: no\n  env: A\n"
	environment := []string{"AWS_REGION=env", "SPILLWAY_STATE_DIR=/env", "CONTAINER_ID=env"}
	bare := []string{"--log-driver=awslogs", "--awslogs-group=g", "--awslogs-stream=s"}
	for _, c := range []struct {
		name          string
		argv          []string
		node          string
		environment   []string
		region, state string
		id            string
		level         Level
	}{
		{"own", append(bare[:3:3], "--awslogs-region=own", "--state-dir=/own", "--container-id=own"), node, environment, "own", "/own", "own", LevelContainer},
		{"absent own", append(bare[:3:3], "--awslogs-region", "", "--state-dir="), node, environment, "node", "/node", "env", LevelNode},
		{"node", bare, node, environment, "node", "/node", "env", LevelNode},
		{"environment", bare, "", environment, "env", "/env", "env", LevelEnvironment},
		{"built in", append(bare[:3:3], "--container-id=x"), "", nil, "", StateDir("", getenv()), "x", LevelBuiltIn},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := mustResolve(t, Input{Program: ProgramShim}, c.argv, c.node, c.environment...)
			if got := r.AWSLogs().Region; got != c.region {
				t.Errorf("region %q, want %q", got, c.region)
			}
			if got := r.StateDir(); got != c.state {
				t.Errorf("state directory %q, want %q", got, c.state)
			}
			if got := r.Container().ID; got != c.id {
				t.Errorf("container %q, want %q", got, c.id)
			}
			if got := r.value("awslogs-region").level; got != c.level {
				t.Errorf("level %q, want %q", got, c.level)
			}
			// The node's options for files say nothing here, without a warning.
			if r.value("tag").given || r.value("max-size").given || len(r.Warnings) > 0 {
				t.Errorf("options of another driver arrived; warnings %q", r.Warnings)
			}
		})
	}
}

func TestStateDir(t *testing.T) {
	for _, c := range []struct {
		given       string
		environment []string
		euid        int
		want        string
	}{
		{"/g", []string{"SPILLWAY_STATE_DIR=/e"}, 0, "/g"},
		{"", []string{"SPILLWAY_STATE_DIR=/e"}, 1, "/e"},
		{"", []string{"HOME=/root"}, 0, "/var/lib/spillway"},
		{"", []string{"XDG_STATE_HOME=/x", "HOME=/h"}, 1, "/x/spillway"},
		{"", []string{"XDG_STATE_HOME=x", "HOME=/h"}, 1, "/h/.local/state/spillway"},
		{"", nil, 1, "/var/lib/spillway"},
	} {
		if got := stateDir(c.given, getenv(c.environment...), c.euid); got != c.want {
			t.Errorf("stateDir(%q, %q, %d) = %q, want %q", c.given, c.environment, c.euid, got, c.want)
		}
	}
}

// A start with bad arguments and a bad node file shows the problems of both,
// and does not call missing what may stand in the bad part.
func TestLoadArgs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node.yaml")
	if err := os.WriteFile(path, []byte("defaults:\n  awslogs-grup: g\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := LoadArgs([]string{"stray", "--config", path, "--log-driver", "awslogs", "--mode", "fast"}, Input{Program: ProgramShim})
	wantError(t, err, []string{`unexpected argument "stray"`, path + `:2:3: found the unknown option "awslogs-grup"; expected the name of an option, the nearest is "awslogs-group"`, `--mode: found "fast"`})
	var problem *Problem
	if !errors.As(err, &problem) {
		t.Errorf("%T is no Problem", err)
	}

	_, err = LoadArgs(with("awslogs", "--config", path+".missing"), Input{Program: ProgramShim})
	wantError(t, err, []string{path + ".missing: found an unreadable node file (no such file or directory)"})
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v hides its cause", err)
	}

	if err := os.WriteFile(path, []byte("defaults:\n  mode: non-blocking\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := LoadArgs(with("awslogs", "--config", path), Input{Program: ProgramShim})
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Buffer().Mode; got != NonBlocking || r.NodePath() != path {
		t.Errorf("mode %q from %q", got, r.NodePath())
	}
}

func TestChecksOfTheCaller(t *testing.T) {
	in := Input{Program: ProgramShim, Checks: map[string]func(string) error{"tag": func(text string) error {
		if text == "{{" {
			return errors.New("unclosed action")
		}
		return nil
	}}}
	_, err := resolve(t, in, with("json-file", "--json-file-tag={{"), "")
	wantError(t, err, []string{`--json-file-tag: found "{{" (unclosed action); expected another value`})
	_, err = resolve(t, in, shim["json-file"], "defaults: {tag: '{{'}")
	wantError(t, err, []string{`f:1:17: tag: found "{{" (unclosed action)`})
	mustResolve(t, in, with("json-file", "--tag={{.}}"), "")
}
