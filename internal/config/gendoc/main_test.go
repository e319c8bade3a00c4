package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spillway/spillway/internal/config"
	"github.com/spillway/spillway/internal/config/runfile"
)

// The pages in the repository say what the tables say.
func TestPagesAreFresh(t *testing.T) {
	all, err := render()
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range all {
		onDisk, err := os.ReadFile(filepath.Join("..", "..", "..", reference, name))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(text, string(onDisk)); diff != "" {
			t.Errorf("%s is stale, run \"go run ./internal/config/gendoc\" (-table +page):\n%s", name, diff)
		}
	}
}

// Each example is a whole file that is good, without a warning.
func TestExamplesAreGood(t *testing.T) {
	example := regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$")
	for _, name := range runPages {
		text, err := renderRun(name)
		if err != nil {
			t.Fatal(err)
		}
		found := example.FindAllStringSubmatch(text, -1)
		if len(found) == 0 {
			t.Errorf("%s has no example", name)
		}
		for _, m := range found {
			file, err := runfile.Parse(name, []byte(m[1]), func(string) string { return "" })
			if err != nil || len(file.Warnings) > 0 {
				t.Errorf("%v\nin\n%s", err, m[1])
			}
		}
	}
}

// The page of ECS is written by hand: its file is good, and its task definition is JSON
// whose router is one.
func TestTaskDefinitionIsGood(t *testing.T) {
	page, err := os.ReadFile("../../../docs/ecs.md")
	if err != nil {
		t.Fatal(err)
	}
	file, blocks := "", []string{}
	for _, m := range regexp.MustCompile("(?ms)^```(yaml|json)\n(.*?)^```$").FindAllStringSubmatch(string(page), -1) {
		if m[1] == "yaml" {
			file = m[2]
		} else {
			blocks = append(blocks, m[2])
		}
	}
	f, err := runfile.Parse("spillway.yaml", []byte(file), func(string) string { return "" })
	if err != nil || len(f.Warnings) > 0 || !f.Sources[0].Forward.FireLens {
		t.Fatal(err, f)
	}
	var task struct {
		ContainerDefinitions []struct {
			Name                  string
			StopTimeout           int
			FirelensConfiguration map[string]string
			LogConfiguration      struct{ LogDriver string }
		}
	}
	var policy struct{ Statement []map[string]any }
	if err := errors.Join(json.Unmarshal([]byte(blocks[0]), &task), json.Unmarshal([]byte(blocks[1]), &policy)); err != nil {
		t.Fatal(err)
	}
	router, app := task.ContainerDefinitions[0], task.ContainerDefinitions[1]
	if router.FirelensConfiguration["type"] != "fluentbit" || app.LogConfiguration.LogDriver != "awsfirelens" || len(policy.Statement) != 1 ||
		f.ShutdownTimeout >= time.Duration(router.StopTimeout)*time.Second {
		t.Errorf("%+v of %v, %v", task, f.ShutdownTimeout, policy)
	}
}

// Where a page says what an option of fluentd is called here, that option exists.
func TestOptionsOfTheComparisonExist(t *testing.T) {
	var known []string
	for _, o := range config.Options(config.ProgramRoute) {
		known = append(known, o.Name)
	}
	for _, kind := range slices.Concat(runfile.SourceTypes(), runfile.SinkTypes()) {
		for _, o := range kind.Options {
			known = append(known, o.Name)
		}
	}
	inTicks := regexp.MustCompile("`([a-z]+(-[a-z]+)*)`")
	for _, name := range []string{"sources.md", "sinks.md"} {
		text, err := pages.ReadFile("pages/" + name)
		if err != nil {
			t.Fatal(err)
		}
		_, comparison, found := strings.Cut(string(text), "### For those who know fluentd")
		if !found {
			t.Fatalf("%s has no comparison", name)
		}
		for line := range strings.SplitSeq(comparison, "\n") {
			cells := strings.Split(line, " | ")
			if len(cells) != 2 {
				continue
			}
			for _, m := range inTicks.FindAllStringSubmatch(cells[1], -1) {
				if !slices.Contains(known, m[1]) && m[1] != "to" {
					t.Errorf("%s: there is no option %s", name, m[1])
				}
			}
		}
	}
}
