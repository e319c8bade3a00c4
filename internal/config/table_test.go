package config

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The table keeps to its own rules, so that the code need not check them.
func TestTable(t *testing.T) {
	seen := map[string]bool{}
	for i := range table {
		o := &table[i]
		if seen[o.Name] {
			t.Errorf("%s: is there twice", o.Name)
		}
		seen[o.Name] = true
		if !regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`).MatchString(o.Name) {
			t.Errorf("%q: is no name for a flag", o.Name)
		}
		if o.Drivers == 0 || o.Programs == 0 {
			t.Errorf("%s: belongs to nobody", o.Name)
		}
		if o.Later() {
			continue
		}
		if !strings.HasSuffix(o.Help, ".") || strings.Contains(o.Help, ". ") {
			t.Errorf("%s: the help %q is not one sentence", o.Name, o.Help)
		}
		if (o.Kind == KindEnum) != (len(o.Enum) > 0) {
			t.Errorf("%s: kind %v with the values %q", o.Name, o.Kind, o.Enum)
		}
		for _, value := range o.Enum {
			if slices.Contains(o.notYet, value) {
				t.Errorf("%s: %s is there and is not there yet", o.Name, value)
			}
		}
		if target := indexOf(o.canonical()); target < 0 || table[target].AliasOf != "" || table[target].Kind != o.Kind ||
			table[target].Drivers&o.Drivers != o.Drivers || table[target].Programs&o.Programs != o.Programs {
			t.Errorf("%s: is no second spelling of %s", o.Name, o.canonical())
		}
		if o.Default != "" {
			v := newValue(o.Default, LevelBuiltIn, o.Name)
			if problem := v.parse(o); problem != nil {
				t.Errorf("%s: the default is refused: %v", o.Name, problem)
			}
		}
	}
}

// Every flag of shim-loggers-for-containerd is taken by the shim or known.
func TestTableHasTheFlagsOfShimLoggers(t *testing.T) {
	flags := strings.Fields(`log-driver container-id container-name mode max-buffer-size uid gid cleanup-time verbose
		container-image-id container-image-name container-env container-env-endpoint container-labels proxy-variable log-file-dir
		awslogs-group awslogs-region awslogs-stream awslogs-create-group awslogs-create-stream awslogs-credentials-endpoint
		awslogs-multiline-pattern awslogs-datetime-format awslogs-endpoint awslogs-format
		fluentd-address fluentd-async fluentd-sub-second-precision fluentd-buffer-limit fluentd-tag fluentd-write-timeout
		splunk-token splunk-token-endpoint splunk-url splunk-source splunk-sourcetype splunk-index splunk-capath splunk-caname
		splunk-insecureskipverify splunk-format splunk-verify-connection splunk-gzip splunk-gzip-level splunk-tag
		labels env env-regex log-path max-size max-file compress json-file-labels json-file-labels-regex json-file-env json-file-env-regex json-file-tag`)
	for _, name := range flags {
		if o, ok := Lookup(name); !ok || !o.Programs.Has(ProgramShim) {
			t.Errorf("the shim does not know --%s", name)
		}
	}
}

func TestTableIsACopy(t *testing.T) {
	Table()[0].Name = "changed"
	AWSKeys()[0].Name = "changed"
	if table[0].Name != "mode" || awsKeys[0].Name != "credentials-file" {
		t.Error("the table can be changed from outside")
	}
}

func TestOptions(t *testing.T) {
	var exec, shim []string
	for _, o := range Options(ProgramExec) {
		exec = append(exec, o.Name)
	}
	for _, o := range Options(ProgramShim) {
		shim = append(shim, o.Name)
	}
	for _, c := range []struct {
		name       string
		exec, shim bool
	}{
		{"mode", true, true}, {"to", true, false}, {"log-driver", false, true}, {"awslogs-group", true, true},
		{"uid", false, true}, {"json-file-tag", false, false}, {"fluentd-address", true, true}, {"fluentd-tag", false, false}, {"splunk-url", false, false},
	} {
		if slices.Contains(exec, c.name) != c.exec || slices.Contains(shim, c.name) != c.shim {
			t.Errorf("%s: offered by exec %v and by the shim %v, want %v and %v", c.name,
				slices.Contains(exec, c.name), slices.Contains(shim, c.name), c.exec, c.shim)
		}
	}
}
