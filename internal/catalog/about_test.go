package catalog

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/spillway/spillway/internal/config"
)

const sentinel = "pa55-sentinel-w0rd"

// remember writes down the destination of the options and returns the text, and
// the settings that another process makes of it with that node file.
func remember(t *testing.T, in config.Input, s Surroundings, node string) (config.About, *config.Resolved) {
	t.Helper()
	text := about(t, in, s)
	r := recall(t, text, node)
	var a config.About
	if err := json.Unmarshal(text, &a); err != nil {
		t.Fatal(err)
	}
	return a, r
}

func about(t *testing.T, in config.Input, s Surroundings) []byte {
	t.Helper()
	text, err := open(t, in, s).About(resolve(t, in))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// recall is what another process makes of the text: it has no environment but
// one that would mislead.
func recall(t *testing.T, text []byte, node string) *config.Resolved {
	t.Helper()
	n, err := config.ParseNode("node.yaml", []byte(node))
	if err != nil {
		t.Fatal(err)
	}
	r, err := config.FromAbout(text, config.Input{Node: n, Checks: Checks(), Getenv: func(string) string { return "elsewhere" }})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// again opens what was remembered.
func again(t *testing.T, r *config.Resolved, s Surroundings) *Destination {
	t.Helper()
	d, err := Open(r, s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Sink.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// TestAWSLogsAreRemembered: the stream has the name that the container's template
// gave it, with the credentials of the node.
func TestAWSLogsAreRemembered(t *testing.T) {
	server, url := newSandbox(t)
	in := toAWS("tag={{.Name}}/{{.ID}}/{{index .ContainerLabels \"team\"}}", `container-labels={"team":"red {{x}}","other":"`+sentinel+`"}`,
		"awslogs-endpoint=http://user:"+sentinel+"@"+strings.TrimPrefix(url, "http://"), "awslogs-create-group=true",
		"awslogs-credentials-endpoint=/"+sentinel, "mode=spill", "max-disk-size=3g", "durability=kernel", "cleanup-time=12s",
		"awslogs-force-flush-interval-seconds=7")
	text := about(t, in, Surroundings{})
	if strings.Contains(string(text), sentinel) {
		t.Errorf("a secret is written down: %s", text)
	}
	node := "defaults: {awslogs-group: other, awslogs-endpoint: 'http://elsewhere', mode: blocking, tag: other}\naws: {profile: p, imds: false}"
	r := recall(t, text, node)
	if diff := cmp.Diff([]string{"awslogs-credentials-endpoint"}, r.LeftOut()); diff != "" {
		t.Errorf("other secrets are missing (-want +got):\n%s", diff)
	}
	was := resolve(t, in)
	wantBuffer, wantAWS := was.Buffer(), was.AWSLogs()
	wantAWS.Stream, wantAWS.Tag, wantAWS.Endpoint, wantAWS.CredentialsURL = "web/c1/red {{x}}", "", url, ""
	if diff := cmp.Diff(wantBuffer, r.Buffer()); diff != "" {
		t.Errorf("the buffer has other settings (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(wantAWS, r.AWSLogs()); diff != "" {
		t.Errorf("the destination has other settings (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(config.AWS{Profile: "p"}, r.AWS()); diff != "" {
		t.Errorf("the node has other settings (-want +got):\n%s", diff)
	}
	if c := r.Container(); c.ID != "c1" || c.Name != "web" || r.Program() != config.ProgramShim {
		t.Errorf("it is of %v %+v", r.Program(), c)
	}
	// A node file that says where the credentials are stands in for the container.
	r = recall(t, text, "defaults: {awslogs-credentials-endpoint: "+url+"/credentials}\naws: {imds: false}")
	if len(r.LeftOut()) > 0 {
		t.Errorf("missing are %q", r.LeftOut())
	}
	deliver(t, again(t, r, Surroundings{UserAgent: "spillway/test"}), "late")
	report := server.Report()
	if st, ok := report.Stream("g", "web/c1/red {{x}}"); !ok || st.Events != 1 {
		t.Errorf("the stream has %+v, all have %+v", st, report)
	}
}

// TestAFileIsRemembered: its place, and the attributes of each line, among them
// what was chosen of an environment that nobody has any more.
func TestAFileIsRemembered(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c1.log")
	in := shim("log-driver=json-file", "log-path="+path, "labels=team", "env-regex=^ST", "tag={{.Name}} <{{.FullID}}>", "max-size=1m", "max-file=3", "compress=true",
		`container-labels={"team":"red","other":"x"}`, `container-env={"STAGE":"live","SECRET":"`+sentinel+`"}`)
	a, r := remember(t, in, Surroundings{}, "defaults: {labels: other, json-file-tag: other, max-size: 7m}")
	if text, err := json.Marshal(a); err != nil || strings.Contains(string(text), sentinel) {
		t.Errorf("a secret is written down: %s, %v", text, err)
	}
	o := r.JSONFile()
	if o.Path != path || o.MaxSize != 1e6 || o.MaxFile != 3 || !o.Compress || o.Tag != "" || o.Labels != nil || len(r.LeftOut()) > 0 {
		t.Errorf("the file is %+v, missing are %q", o, r.LeftOut())
	}
	deliver(t, again(t, r, Surroundings{}), "late")
	want := map[string]any{"team": "red", "STAGE": "live", "tag": "web <c1>"}
	if diff := cmp.Diff(any(want), fileLine(t, path)["attrs"]); diff != "" {
		t.Errorf("the attributes are others (-want +got):\n%s", diff)
	}

	// Without any the node's of today add none.
	path = filepath.Join(t.TempDir(), "plain.log")
	_, r = remember(t, shim("log-driver=json-file", "log-path="+path), Surroundings{}, "defaults: {json-file-tag: other}")
	deliver(t, again(t, r, Surroundings{}), "late")
	if got := fileLine(t, path)["attrs"]; got != nil {
		t.Errorf("the attributes are %v", got)
	}
}

// TestTooMuchIsNotRemembered: a buffer that could not be read back is not made.
func TestTooMuchIsNotRemembered(t *testing.T) {
	d := &Destination{attrs: []byte(`{"a":"` + strings.Repeat("x", config.MaxAbout) + `"}`)}
	if _, err := d.About(resolve(t, shim("log-driver=json-file", "log-path=/l"))); err == nil || !strings.Contains(err.Error(), "env-regex") {
		t.Errorf("attributes without bound: %v", err)
	}
}

// TestARelativePathIsRemembered as the place to which it led.
func TestARelativePathIsRemembered(t *testing.T) {
	t.Chdir(t.TempDir())
	in := input(config.ProgramExec, "to=json-file", "log-path=logs.json", "state-dir=state")
	text := about(t, in, Surroundings{})
	here, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	r := recall(t, text, "")
	if r.JSONFile().Path != filepath.Join(here, "logs.json") || r.StateDir() != filepath.Join(here, "state") {
		t.Errorf("they lead to %s and %s, want %s", r.JSONFile().Path, r.StateDir(), here)
	}
	in.Own[1].Value = "\xff.json"
	if _, err := open(t, in, Surroundings{}).About(resolve(t, in)); err == nil || !strings.Contains(err.Error(), "UTF-8") {
		t.Errorf("a path that cannot be written down: %v", err)
	}
}

// TestTheLocalStoreIsRemembered, with the name of the process.
func TestTheLocalStoreIsRemembered(t *testing.T) {
	state := t.TempDir()
	_, r := remember(t, input(config.ProgramExec, "state-dir="+state), Surroundings{Local: filepath.Join(state, "local"), Run: "make"}, "")
	if r.StateDir() != state || r.Run() != "make" || r.Driver() != config.DriverLocal || r.Program() != config.ProgramExec {
		t.Errorf("it is %v of %v in %s, run %q", r.Driver(), r.Program(), r.StateDir(), r.Run())
	}
	again(t, r, Surroundings{Local: filepath.Join(state, "local"), Run: r.Run()})
}

// TestNoSecretIsRemembered sets every secret of the table that the logger takes,
// with any of the other options beside.
func TestNoSecretIsRemembered(t *testing.T) {
	values := map[string]string{
		"container-env": `{"A":"` + sentinel + `","B":"` + sentinel + `"}`, "container-env-endpoint": "http://127.0.0.1:1/" + sentinel,
		"awslogs-credentials-endpoint": "/" + sentinel,
	}
	rapid.Check(t, func(rt *rapid.T) {
		in := rapid.SampledFrom([]config.Input{
			toAWS("awslogs-stream=s"), toAWS("tag={{.Name}}"), shim("log-driver=json-file", "log-path=/l"), input(config.ProgramExec),
			input(config.ProgramExec, "to=cloudwatch", "awslogs-group=g", "awslogs-stream=s", "awslogs-endpoint=https://u:"+sentinel+"@h"),
		}).Draw(rt, "logger")
		in.Own = slices.Clone(in.Own)
		driver := resolve(t, in).Driver()
		var secrets []string
		for _, o := range config.Table() {
			if !o.Secret() || !o.Programs.Has(in.Program) || !o.Drivers.Has(driver) {
				continue
			}
			value := values[o.Name]
			if value == "" {
				value = sentinel
			}
			in.Own = append(in.Own, config.Setting{Name: o.Name, Value: value})
			secrets = append(secrets, o.Name)
		}
		if rapid.Bool().Draw(rt, "spill") {
			in.Own = append(in.Own, config.Setting{Name: "mode", Value: "spill"}, config.Setting{Name: "durability", Value: "power"})
		}
		r := resolve(t, in)
		text, err := (&Destination{stream: "s"}).About(r)
		if err != nil || strings.Contains(string(text), sentinel) {
			rt.Fatalf("%q are set, and this is written down: %s, %v", secrets, text, err)
		}
		back := recall(t, text, "")
		if driver == config.DriverAWSLogs && !slices.Contains(back.LeftOut(), "awslogs-credentials-endpoint") {
			rt.Fatalf("missing are %q", back.LeftOut())
		}
		if twice, err := (&Destination{stream: "s"}).About(back); err != nil {
			rt.Fatal(err)
		} else if diff := cmp.Diff(withoutLeftOut(rt, text), withoutLeftOut(rt, twice)); diff != "" {
			rt.Fatalf("what is remembered of a memory differs (-first +second):\n%s", diff)
		}
	})
}

func withoutLeftOut(t *rapid.T, text []byte) (a config.About) {
	if err := json.Unmarshal(text, &a); err != nil {
		t.Fatal(err)
	}
	a.LeftOut = nil
	return a
}

// TestIdentity: a buffer is adopted only by who would deliver it to the same
// place.
func TestIdentity(t *testing.T) {
	seen := make(map[string]string)
	for name, in := range map[string]config.Input{
		"a container":        toAWS("awslogs-stream=s"),
		"another stream":     toAWS("awslogs-stream=s2"),
		"another region":     shim("log-driver=awslogs", "awslogs-group=g", "awslogs-region=eu-west-1", "awslogs-stream=s"),
		"another endpoint":   toAWS("awslogs-stream=s", "awslogs-endpoint=http://h"),
		"a slash here":       shim("log-driver=awslogs", "awslogs-group=a/b", "awslogs-region=r", "awslogs-stream=c"),
		"a slash there":      shim("log-driver=awslogs", "awslogs-group=a", "awslogs-region=r", "awslogs-stream=b/c"),
		"a file":             shim("log-driver=json-file", "log-path=/l"),
		"another container":  input(config.ProgramShim, "container-id=c2", "log-driver=json-file", "log-path=/l"),
		"a file of exec":     input(config.ProgramExec, "to=json-file", "log-path=/l"),
		"a store":            input(config.ProgramExec, "state-dir=/s"),
		"another store":      input(config.ProgramExec, "state-dir=/s2"),
		"exec to CloudWatch": input(config.ProgramExec, "to=cloudwatch", "awslogs-group=g", "awslogs-stream=s", "awslogs-region=eu-central-1"),
	} {
		r := resolve(t, in)
		d := &Destination{stream: r.AWSLogs().Stream}
		identity, err := d.Identity(r)
		if err != nil {
			t.Fatal(err)
		}
		if other, taken := seen[identity]; taken {
			t.Errorf("%s and %s are both %s", name, other, identity)
		}
		seen[identity] = name
		text, err := d.About(r)
		if err != nil {
			t.Fatal(err)
		}
		if later, err := d.Identity(recall(t, text, "")); err != nil || later != identity {
			t.Errorf("%s: %s is remembered as %s, %v", name, identity, later, err)
		}
	}
	if _, there := seen[`container//c1/awslogs/"" "eu-central-1" "g" "s"`]; !there {
		t.Errorf("the identities are %v", seen)
	}
}
