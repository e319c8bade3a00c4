package tag

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestExtra(t *testing.T) {
	info := Info{
		ContainerLabels: map[string]string{"app": "web", "app.version": "2", "team": "x", "": "odd"},
		ContainerEnv:    []string{"TIER=front", "app=from-env", "NAME=a=b", "TWICE=1", "TWICE=2", "NOVALUE", "EMPTY="},
	}
	for _, c := range []struct {
		name   string
		choose Selection
		want   map[string]string
	}{
		{"nothing", Selection{}, map[string]string{}},
		{"labels by name", Selection{Labels: "team, app,none,"}, map[string]string{"team": "x", "app": "web"}},
		{"labels by pattern alone", Selection{LabelsRegex: "pp"}, map[string]string{"app": "web", "app.version": "2"}},
		{"anchored pattern", Selection{LabelsRegex: "^team$"}, map[string]string{"team": "x"}},
		{"env by name", Selection{Env: "TIER,NAME,TWICE,NOVALUE,EMPTY"}, map[string]string{"TIER": "front", "NAME": "a=b", "TWICE": "2", "EMPTY": ""}},
		{"env by pattern", Selection{EnvRegex: "I"}, map[string]string{"TIER": "front", "TWICE": "2"}},
		{"env overwrites a label", Selection{Labels: "app", Env: "app"}, map[string]string{"app": "from-env"}},
		{"env by pattern overwrites a label by pattern", Selection{LabelsRegex: "^app", EnvRegex: "^a"}, map[string]string{"app": "from-env", "app.version": "2"}},
		{"all together", Selection{Labels: "team", LabelsRegex: "version", Env: "TIER", EnvRegex: "NAM"},
			map[string]string{"team": "x", "app.version": "2", "TIER": "front", "NAME": "a=b"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Extra(info, c.choose)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("pairs differ (-want +got):\n%s", diff)
			}
		})
	}
}

func TestExtraNamesTheBadPattern(t *testing.T) {
	for want, c := range map[string]Selection{
		`compile labels-regex "("`: {LabelsRegex: "("},
		`compile env-regex "["`:    {EnvRegex: "["},
	} {
		if _, err := Extra(Info{}, c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want one that says %q", err, want)
		}
	}
}

// FuzzExtra checks that every pair comes from the container.
func FuzzExtra(f *testing.F) {
	f.Add("app,team", "^a", "TIER", "T.*", "TIER=x", "app", "web")
	f.Fuzz(func(t *testing.T, labels, labelsRegex, env, envRegex, variable, label, value string) {
		info := Info{ContainerEnv: []string{variable, "A=1"}, ContainerLabels: map[string]string{label: value}}
		got, err := Extra(info, Selection{Labels: labels, LabelsRegex: labelsRegex, Env: env, EnvRegex: envRegex})
		if (got == nil) == (err == nil) {
			t.Fatalf("got %v and error %v, want one of them", got, err)
		}
		for name, v := range got {
			if name+"="+v != variable && name+"="+v != "A=1" && (name != label || v != value) {
				t.Fatalf("got pair %q=%q, want one of the container", name, v)
			}
		}
	})
}
