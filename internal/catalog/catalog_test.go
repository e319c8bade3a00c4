package catalog

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spillway/spillway/internal/config"
)

// TestEveryDriverDelivers opens each destination that the options can name, for
// each program that has it, and sends it a line.
func TestEveryDriverDelivers(t *testing.T) {
	t.Run("awslogs", func(t *testing.T) {
		server, url := newSandbox(t)
		options := []string{
			"awslogs-endpoint=" + url, "awslogs-credentials-endpoint=" + url + "/credentials", "awslogs-create-group=true",
			"awslogs-format=json/emf",
		}
		exec := append(options, "to=cloudwatch", "awslogs-group=g", "awslogs-region=eu-central-1", "awslogs-stream=exec")
		for stream, in := range map[string]config.Input{
			"shim": toAWS(append(options, "awslogs-stream=shim")...), "exec": input(config.ProgramExec, exec...),
		} {
			d := open(t, in, Surroundings{UserAgent: "spillway/test"})
			if want := "awslogs g/" + stream; d.Name != want || d.FlushInterval != 5*time.Second || len(d.Warnings) > 0 {
				t.Errorf("the destination is %+v, want the name %s", d, want)
			}
			if err := d.Sink.Check(t.Context()); err != nil {
				t.Error(err)
			}
			deliver(t, d, "a line 1")
			report := server.Report()
			st, ok := report.Stream("g", stream)
			if !ok || st.Events != 1 || st.Formats["json/emf"] != 1 {
				t.Errorf("the stream %s has %+v", stream, st)
			}
		}
	})
	t.Run("json-file", func(t *testing.T) {
		for program, in := range map[string]config.Input{
			"shim": shim("log-driver=json-file"), "exec": input(config.ProgramExec, "to=json-file"),
		} {
			path := filepath.Join(t.TempDir(), "c1-json.log")
			in.Own = append(in.Own, config.Setting{Name: "log-path", Value: path})
			d := open(t, in, Surroundings{})
			if d.Name != "json-file "+path || len(d.Warnings) > 0 {
				t.Errorf("%s: the destination is %+v", program, d)
			}
			deliver(t, d, "a line")
			if got := fileLine(t, path); got["log"] != "a line\n" || got["stream"] != "stdout" || got["attrs"] != nil {
				t.Errorf("%s: the file has %v", program, got)
			}
		}
	})
	t.Run("local", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "local")
		d := open(t, input(config.ProgramExec), Surroundings{Local: dir, Run: "make"})
		if d.Name != "local "+dir {
			t.Errorf("the destination is %+v", d)
		}
		deliver(t, d, "a line")
		if err := d.Sink.Close(); err != nil {
			t.Fatal(err)
		}
		files, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
		if err != nil || len(files) != 1 {
			t.Fatalf("the store has the segments %q: %v", files, err)
		}
		text, err := os.ReadFile(files[0])
		if err != nil || !strings.Contains(string(text), `"a line"`) || !strings.Contains(string(text), `"stdout"`) ||
			!strings.Contains(string(text), `"make"`) {
			t.Errorf("the store has %q (%v)", text, err)
		}
	})
}

// fileLine is the first line of a log file.
func fileLine(t *testing.T, path string) map[string]any {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	var got map[string]any
	if err := json.Unmarshal([]byte(line), &got); err != nil {
		t.Fatal(err)
	}
	return got
}

// TestNoDriver is what "explain" may resolve, and nobody can open.
func TestNoDriver(t *testing.T) {
	in := shim()
	in.Partial = true
	if d, err := Open(resolve(t, in), Surroundings{}); err == nil || !strings.Contains(err.Error(), "none") {
		t.Errorf("a logger without a driver: %+v, %v", d, err)
	}
	for _, later := range []string{"splunk"} {
		if _, err := config.Resolve(shim("log-driver=" + later)); err == nil || !strings.Contains(err.Error(), later) {
			t.Errorf("the driver %s: %v, want an error that names it", later, err)
		}
	}
}

// TestOpenErrors: what cannot be opened says so before anything starts.
func TestOpenErrors(t *testing.T) {
	for name, c := range map[string]struct {
		in   config.Input
		s    Surroundings
		want string
	}{
		"authorities that are not there": {withNode(t, toAWS("awslogs-stream=s"), "aws: {ca-file: /nonexistent}"), Surroundings{}, "/nonexistent"},
		"credentials in plain text":      {toAWS("awslogs-stream=s", "awslogs-credentials-endpoint=http://example.com/x"), Surroundings{}, "plain text"},
		"a store that has no place":      {input(config.ProgramExec), Surroundings{Local: "/dev/null/local"}, "local store"},
	} {
		if d, err := Open(resolve(t, c.in), c.s); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %+v, %v, want an error with %q in it", name, d, err, c.want)
		}
	}
}

// withNode adds a node file.
func withNode(t *testing.T, in config.Input, text string) config.Input {
	t.Helper()
	node, err := config.ParseNode("node.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	in.Node = node
	return in
}

// TestJoiner joins by the pattern of the options, up to a size that counts bad
// bytes as the service does.
func TestJoiner(t *testing.T) {
	for _, c := range []struct {
		option string
		lines  []string
		want   []string // with a bar for each newline
	}{
		{"awslogs-multiline-pattern=^ERR", []string{"a", "b", "ERR c", "d"}, []string{"a|b|", "ERR c|d|"}},
		{"awslogs-datetime-format=%Y-%m-%d", []string{"2026-11-20 a", "b", "2026-11-21 c"}, []string{"2026-11-20 a|b|", "2026-11-21 c|"}},
		{"awslogs-multiline-pattern=^ERR", []string{strings.Repeat("\xff", 30), "x", "eight by"}, []string{strings.Repeat("\xff", 30) + "|x|", "eight by|"}},
	} {
		d := open(t, toAWS("awslogs-stream=s", c.option, "awslogs-force-flush-interval-seconds=7"), Surroundings{})
		j, err := d.Joiner(100)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		emit := func(_ int64, body []byte) { got = append(got, strings.ReplaceAll(string(body), "\n", "|")) }
		j.Line(1, []byte("first"), emit)
		if at, ok := j.Deadline(); !ok || at != 1+int64(7*time.Second) {
			t.Errorf("%s: the first event is due at %d", c.option, at)
		}
		j.Close(emit)
		got = nil
		for _, line := range c.lines {
			j.Line(1, []byte(line), emit)
		}
		j.Close(emit)
		if strings.Join(got, " ") != strings.Join(c.want, " ") {
			t.Errorf("%s: the events are %q, want %q", c.option, got, c.want)
		}
	}
	if j, err := open(t, toAWS("awslogs-stream=s"), Surroundings{}).Joiner(100); j != nil || err != nil {
		t.Errorf("a joiner without a pattern: %v, %v", j, err)
	}
}

// TestChecksKnowWhatOpenRefuses, so that it is an error of usage that names the
// option.
func TestChecksKnowWhatOpenRefuses(t *testing.T) {
	for _, option := range []string{
		"tag={{.Nam}}", "tag={{", "awslogs-datetime-format=%Q", "awslogs-multiline-pattern=" + strings.Repeat("x", 5000),
		"awslogs-multiline-pattern=((a{100}){10}){20}",
	} {
		in := toAWS("awslogs-stream=s", option)
		name, _, _ := strings.Cut(option, "=")
		if _, err := config.Resolve(in); err == nil || !strings.Contains(err.Error(), "--"+name) {
			t.Errorf("%.60s: %v, want an error that names the option", option, err)
		}
	}
}
