package config

import (
	"flag"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func rowsByName(r *Resolved) map[string]Row {
	rows := map[string]Row{}
	for _, row := range r.Explain() {
		row.Help = ""
		rows[row.Name] = row
	}
	return rows
}

func TestExplain(t *testing.T) {
	r := mustResolve(t, Input{Program: ProgramShim}, []string{"--log-driver=awslogs", "--awslogs-group=g", "--awslogs-stream=s", "--max-buffer-size=1k",
		"--awslogs-create-group=T", "--awslogs-endpoint=http://u:hush@h", "--awslogs-credentials-endpoint=/hush", `--container-env={"A":"hush"}`, "--mode=non-blocking"},
		"defaults: {awslogs-max-buffered-events: 9, max-block: 1s}\naws: {proxy: 'http://u:hush@h:1', profile: p}",
		"AWS_REGION=r", "CONTAINER_ID=c1", "SPILLWAY_STATE_DIR=/s", "AWS_EC2_METADATA_DISABLED=true")
	rows := rowsByName(r)
	for _, want := range []Row{
		{Name: "mode", Value: "non-blocking", Level: LevelContainer},
		{Name: "drop", Value: "newest", Level: LevelBuiltIn},
		{Name: "max-buffer-size", Value: "64k", Level: LevelContainer, Note: "raised from 1k"},
		{Name: "max-block", Level: LevelBuiltIn, Note: "the value at f:1:55 is ignored beside the container's own mode"},
		{Name: "state-dir", Value: "/s", Level: LevelEnvironment, Note: "from SPILLWAY_STATE_DIR"},
		{Name: "container-id", Value: "c1", Level: LevelEnvironment, Note: "from CONTAINER_ID"},
		{Name: "container-name", Value: "c1", Level: LevelBuiltIn, Note: "the container's id"},
		{Name: "container-env", Value: "(hidden)", Level: LevelContainer},
		{Name: "awslogs-region", Value: "r", Level: LevelEnvironment, Note: "from AWS_REGION"},
		{Name: "awslogs-endpoint", Value: "http://u:xxxxx@h", Level: LevelContainer},
		{Name: "awslogs-credentials-endpoint", Value: "(hidden)", Level: LevelContainer},
		{Name: "awslogs-create-group", Value: "true", Level: LevelContainer},
		{Name: "awslogs-datetime-format", Level: LevelBuiltIn},
		{Name: "awslogs-max-buffered-events", Value: "9", Level: LevelNode, Where: "f:1:41", Note: "no effect: there is no second queue; the buffer is bounded in bytes by max-buffer-size"},
		{Name: "aws.proxy", Value: "http://u:xxxxx@h:1", Level: LevelNode, Where: "f:2:14"},
		{Name: "aws.profile", Value: "p", Level: LevelNode, Where: "f:2:44"},
		{Name: "aws.imds", Value: "false", Level: LevelEnvironment, Note: "from AWS_EC2_METADATA_DISABLED"},
		{Name: "aws.ca-file", Level: LevelBuiltIn},
	} {
		if diff := cmp.Diff(want, rows[want.Name]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", want.Name, diff)
		}
	}
	for name, row := range rows {
		if strings.Contains(row.Value+row.Note, "hush") {
			t.Errorf("%s shows a secret: %+v", name, row)
		}
	}
	for _, name := range []string{"log-path", "to", "splunk-url", "json-file-tag"} {
		if _, there := rows[name]; there {
			t.Errorf("%s is explained to a logger that does not have it", name)
		}
	}
	if _, there := rowsByName(mustResolve(t, Input{Program: ProgramExec}, nil, ""))["aws.imds"]; there {
		t.Error("the section aws is explained to the local store")
	}
}

// The flags of a command-line library give the same settings as ParseArgs.
func TestFlags(t *testing.T) {
	var given Flags
	set := flag.NewFlagSet("exec", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	for _, o := range Options(ProgramExec) {
		set.Var(given.Var(o), o.Name, o.Usage())
	}
	if err := set.Parse([]string{"--to", "json-file", "--log-path=/l", "--compress", "--mode="}); err != nil {
		t.Fatal(err)
	}
	want := []Setting{{"to", "json-file"}, {"log-path", "/l"}, {"compress", "true"}}
	if diff := cmp.Diff(want, given.Settings()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	err := set.Parse([]string{"--to=local"})
	if err == nil || !strings.Contains(err.Error(), `found it twice: "json-file" and "local"`) {
		t.Errorf("a repeated flag: %v", err)
	}
	set.VisitAll(func(f *flag.Flag) {
		if o, _ := Lookup(f.Name); f.DefValue != o.Default || f.Usage == "" {
			t.Errorf("flag %s has the default %q and the usage %q", f.Name, f.DefValue, f.Usage)
		}
	})
	set.PrintDefaults() // It makes zero values of the flag's type.
}

func TestWriteFlags(t *testing.T) {
	var b strings.Builder
	if err := WriteFlags(&b, ProgramShim); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"  --mode enum\n        Says what a full buffer does: blocking makes the writer wait, non-blocking drops and counts, spill goes on to the disk. One of blocking, non-blocking or spill. Default: blocking.\n",
		"  --json-file-labels string\n", "  --container-env secret\n", "Accepted without effect: it is for Windows;",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the list has no %q:\n%s", want, b.String())
		}
	}
	if strings.Contains(b.String(), "--to ") || strings.Contains(b.String(), "splunk-url") {
		t.Errorf("the list has options that the shim does not take:\n%s", b.String())
	}
	r, w := io.Pipe()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := WriteFlags(w, ProgramShim); err == nil {
		t.Error("a failed write is no error")
	}
}
