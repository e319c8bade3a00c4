package contract

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spillway/spillway/test/launcher"
	"github.com/spillway/spillway/test/launcher/harness"
)

// entry is a line of a json-file log.
type entry struct {
	Log    *string           `json:"log"`
	Stream string            `json:"stream"`
	Attrs  map[string]string `json:"attrs"`
	Time   time.Time         `json:"time"` // encoding/json takes RFC 3339 alone
}

// logFile is a path that json-file tests log to, in a folder that exists or not.
func logFile(t *testing.T, folderExists bool) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "jsonfile-logs")
	if folderExists {
		if err := os.Mkdir(dir, 0o750); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, harness.ContainerID+"-json.log")
}

// entries reads one file; a line that is no entry fails the test.
func entries(t *testing.T, path string) (all []entry) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(path, ".gz") {
		r, err := gzip.NewReader(bytes.NewReader(text))
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if text, err = io.ReadAll(r); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	if len(text) > 0 && text[len(text)-1] != '\n' {
		t.Errorf("%s does not end with a line end", path)
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		var e entry
		d := json.NewDecoder(bytes.NewReader(lines.Bytes()))
		d.DisallowUnknownFields()
		if err := d.Decode(&e); err != nil || d.More() || e.Log == nil || e.Time.IsZero() {
			t.Fatalf("%s: %q is no entry of a json-file log: %v", path, lines.Text(), err)
		}
		if e.Stream != "stdout" && e.Stream != "stderr" {
			t.Errorf("%s: stream %q", path, e.Stream)
		}
		all = append(all, e)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// generations lists the log and its rotated siblings, the oldest first.
func generations(t *testing.T, path string) []string {
	t.Helper()
	found, err := filepath.Glob(path + "*")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(found)
	slices.Reverse(found)
	return found
}

// checkTail fails the test unless the files hold the last of n numbered lines without a gap, and gives the first.
func checkTail(t *testing.T, files []string, format string, n int) (first int) {
	t.Helper()
	var got []string
	for _, f := range files {
		for _, e := range entries(t, f) {
			got = append(got, *e.Log)
		}
	}
	for i, line := range got {
		if want := fmt.Sprintf(format+"\n", n-len(got)+1+i); line != want {
			t.Fatalf("line %d of %d in %v is %q, want %q", i+1, len(got), files, line, want)
		}
	}
	if len(got) == 0 {
		t.Fatalf("no line in %v", files)
	}
	return n - len(got) + 1
}

func TestJSONFileWritesDockersEntryForEachLine(t *testing.T) {
	path := logFile(t, true)
	container := toFile(path).Start(t)
	container.Shell(`printf 'one\n\n"two"\t\377<&>\n'; sleep 0.05; echo three >&2; sleep 0.05; printf half`)
	container.Remove()
	got := entries(t, path)
	want := []struct{ log, stream string }{
		{"one\n", "stdout"}, {"\n", "stdout"}, {"\"two\"\t\ufffd<&>\n", "stdout"}, {"three\n", "stderr"}, {"half", "stdout"}}
	if len(got) != len(want) {
		t.Fatalf("%d entries, want %d: %+v", len(got), len(want), got)
	}
	for i, w := range want {
		// Docker writes a half line without a line end if it is part of a longer one, and with one otherwise.
		if log := *got[i].Log; got[i].Stream != w.stream || log != w.log && !(i == 4 && log == w.log+"\n") {
			t.Errorf("entry %d is %q on %s, want %q on %s", i, log, got[i].Stream, w.log, w.stream)
		}
	}
}

// rotations are the cases that count files.
var rotations = []struct {
	name             string
	set              []string
	lines            int
	atLeast, atMost  int
	compressed, full bool
}{
	{name: "rotates when max-size is exceeded", set: []string{"--max-size", "1k", "--max-file", "3"},
		lines: 50, atLeast: 2, atMost: 3},
	{name: "never keeps more files than max-file", set: []string{"--max-size", "1k", "--max-file", "2"},
		lines: 200, atLeast: 2, atMost: 2},
	{name: "does not rotate below max-size", set: []string{"--max-size", "1m", "--max-file", "5"},
		lines: 10, atLeast: 1, atMost: 1, full: true},
	{name: "compresses what was rotated", set: []string{"--max-size", "1k", "--max-file", "3", "--compress", "true"},
		lines: 200, atLeast: 3, atMost: 3, compressed: true},
	{name: "does not compress with compress false", set: []string{"--max-size", "1k", "--max-file", "3", "--compress", "false"},
		lines: 200, atLeast: 3, atMost: 3},
}

func TestJSONFileRotation(t *testing.T) {
	for _, c := range rotations {
		t.Run(c.name, func(t *testing.T) {
			path := logFile(t, true)
			container := toFile(path, c.set...).Start(t)
			container.Shell(fmt.Sprintf("for i in $(seq 1 %d); do echo line-$i-padding-padding-padding; done", c.lines))
			container.Remove()
			files := generations(t, path)
			if len(files) < c.atLeast || len(files) > c.atMost {
				t.Errorf("files %v, want %d to %d", files, c.atLeast, c.atMost)
			}
			for _, f := range files {
				if want := c.compressed && f != path; strings.HasSuffix(f, ".gz") != want {
					t.Errorf("file %s: compressed is %v, want %v", f, !want, want)
				}
			}
			if first := checkTail(t, files, "line-%d-padding-padding-padding", c.lines); c.full && first != 1 {
				t.Errorf("the first line is number %d, want all", first)
			}
		})
	}
}

func TestJSONFileHasMode0640(t *testing.T) {
	path := logFile(t, true)
	container := toFile(path, "--max-size", "1k", "--max-file", "2").Start(t)
	container.Shell("for i in $(seq 1 50); do echo line-$i-padding-padding-padding; done")
	container.Remove()
	for _, f := range generations(t, path) {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != 0o640 {
			t.Errorf("%s has mode %v, want 0640", f, info.Mode())
		}
	}
}

func TestJSONFileStaysWellFormedUnderPressureInNonBlockingMode(t *testing.T) {
	path := logFile(t, true)
	container := toFile(path, "--mode", "non-blocking", "--max-buffer-size", "64k").Start(t)
	lines := harness.Lines{Size: 50}
	if err := lines.Write(container.Stdout, 40_000); err != nil {
		t.Fatal(err)
	}
	end := container.Remove()
	if programs.Foreign {
		if len(entries(t, path)) == 0 {
			t.Error("no line came through")
		}
		return
	}
	var messages []string
	for _, e := range entries(t, path) {
		messages = append(messages, strings.TrimSuffix(*e.Log, "\n"))
	}
	harness.Read(t, messages, "", lines.Written()).CheckAccounted(t, lines.Written(), end)
}

func TestJSONFileMakesItsFolder(t *testing.T) {
	path := logFile(t, false)
	container := toFile(path).Start(t)
	container.Shell("printf " + someLine)
	container.Remove()
	info, err := os.Stat(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	if want := os.ModeDir | os.ModeSetgid | 0o750; info.Mode() != want {
		t.Errorf("the folder has mode %v, want %v", info.Mode(), want)
	}
	if n := len(entries(t, path)); n != 1 {
		t.Errorf("%d entries, want 1", n)
	}
}

func TestJSONFileWithoutALogPathFails(t *testing.T) {
	setup := toFile("")
	delete(setup.Set, "--log-path")
	container := setup.Start(t)
	if container.Ready != launcher.ReadyEOF {
		t.Errorf("fd 5 gave %q, want the end without a byte", container.Ready)
	}
	if end := container.Wait(launcher.KillDelay); end.ExitCode <= 0 {
		t.Errorf("ended with status %d, want a failure", end.ExitCode)
	}
	if err := container.Run(shell("sleep 0.1; printf " + someLine)); err == nil {
		t.Error("the container's process ended well without a logger")
	}
}

func TestJSONFileTagLabelsAndEnvironmentBecomeAttributes(t *testing.T) {
	path := logFile(t, true)
	container := toFile(path, "--json-file-tag", "{{.Name}}/{{.ID}}", "--json-file-labels", "team,absent",
		"--container-labels", `{"team":"blue","other":"x"}`, "--json-file-env", "STAGE",
		"--container-env", `{"STAGE":"test","SECRET":"no"}`).Start(t)
	container.Shell("echo one")
	container.Remove()
	got := entries(t, path)
	want := map[string]string{"tag": harness.ContainerName + "/" + harness.ContainerID[:12], "team": "blue", "STAGE": "test"}
	if len(got) != 1 || fmt.Sprint(got[0].Attrs) != fmt.Sprint(want) {
		t.Errorf("entries %+v, want one with the attributes %v", got, want)
	}
}
