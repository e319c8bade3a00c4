package config

import (
	"strings"
	"testing"
	"time"
)

func TestRefusals(t *testing.T) {
	const noRegion = "--awslogs-region: found no region: not in the options, not in f, not in AWS_REGION, and the instance metadata service may not be asked"
	for _, c := range []struct {
		name string
		exec bool
		argv []string
		node string
		err  []string
	}{
		{"no driver", false, []string{"--container-id=c"}, "", []string{"--log-driver: found nothing; expected awslogs, json-file or fluentd; give --log-driver VALUE, or set log-driver in the section defaults of f"}},
		{"driver of a later version", false, []string{"--log-driver=splunk", "--container-id=c", "--splunk-url=h:1", "--awslogs-group=g"}, "",
			[]string{`--log-driver: found "splunk"; expected awslogs, json-file or fluentd; "splunk" is not in this version of Spillway, it comes in a later one`}},
		{"splunk", false, []string{"--log-driver=splunk", "--container-id=c", "--splunk-token=hush"}, "", []string{`"splunk" is not in this version`}},
		{"unknown driver", false, []string{"--log-driver=gelf", "--container-id=c"}, "", []string{`--log-driver: found "gelf"; expected awslogs, json-file or fluentd`}},
		{"no container", false, shim["awslogs"][2:], "defaults: {log-driver: awslogs}", []string{"--container-id: found nothing; expected the id of the container, which containerd gives in CONTAINER_ID; give --container-id VALUE"}},
		{"no group, stream, region", false, []string{"--log-driver=awslogs", "--container-id=c"}, "aws: {imds: false}", []string{"--awslogs-group: found nothing", "--awslogs-stream: found nothing", noRegion}},
		{"no log-path", false, []string{"--log-driver=json-file", "--container-id=c"}, "", []string{"--log-path: found nothing; expected the path of the file"}},
		{"relative log-path", false, []string{"--log-driver=json-file", "--container-id=c", "--log-path=l"}, "", []string{`--log-path: found "l"; expected an absolute path`}},
		{"exec needs group and stream", true, []string{"--to=cloudwatch"}, "aws: {imds: false}", []string{"--awslogs-group: found nothing", "--awslogs-stream: found nothing"}},
		{"exec needs a path", true, []string{"--to=json-file"}, "", []string{"--log-path: found nothing"}},

		{"unknown option", false, with("awslogs", "--awslogs-grup=g2"), "", []string{`--awslogs-grup: found an unknown option; expected an option of spillway-shim for the driver awslogs, the nearest is "awslogs-group"; correct the name or remove it`}},
		{"unknown option hides its value", false, with("awslogs", "--splunk-tokn=hush"), "", []string{"--splunk-tokn: found an unknown option"}},
		{"unknown option with a line break", false, with("awslogs", "--a\nb=1"), "", []string{`"--a\nb": found an unknown option`}},
		{"pattern with a line break", false, with("awslogs", "--awslogs-multiline-pattern=(\n"), "", []string{`missing closing ) at "(\n"`}},
		{"option of another driver", false, with("awslogs", "--max-size=1m"), "", []string{"--max-size: found an option that belongs to the driver json-file; expected an option of spillway-shim for the driver awslogs, the nearest is \"max-"}},
		{"option of a later driver", false, with("awslogs", "--splunk-url=h:1"), "", []string{"--splunk-url: found an option that belongs to the driver splunk"}},
		{"option of another driver", false, with("awslogs", "--fluentd-address=h:1"), "", []string{"--fluentd-address: found an option that belongs to the driver fluentd"}},
		{"option of several drivers", false, with("awslogs", "--labels=a"), "", []string{"belongs to the driver json-file, fluentd or splunk"}},
		{"option of the other program", false, with("awslogs", "--to=local"), "", []string{"--to: found an option of spillway exec; expected an option of spillway-shim"}},
		{"option of the other program", true, []string{"--uid=1"}, "", []string{"--uid: found an option of spillway-shim; expected an option of spillway exec for the driver local"}},

		{"bad mode", false, with("awslogs", "--mode=fast"), "", []string{`--mode: found "fast"; expected blocking, non-blocking or spill`}},
		{"bad size", false, with("awslogs", "--max-buffer-size=10x"), "", []string{`--max-buffer-size: found "10x"; expected a size above 0 such as 512k, 10m or 1g`}},
		{"no size", false, with("awslogs", "--max-buffer-size=0"), "", []string{`--max-buffer-size: found "0"`}},
		{"negative size", false, with("awslogs", "--max-buffer-size=-1m"), "", []string{`--max-buffer-size: found "-1m"`}},
		{"size that overflows", false, with("awslogs", "--max-buffer-size=99999999p"), "", []string{`--max-buffer-size: found "99999999p"`}},
		{"max-block in non-blocking mode", false, with("awslogs", "--mode=non-blocking", "--max-block=2s"), "", []string{`--max-block: found "2s" beside mode non-blocking (container); expected mode blocking`}},
		{"max-block, the node is non-blocking", false, with("awslogs", "--max-block=2s"), "defaults: {mode: non-blocking}", []string{"beside mode non-blocking (node)"}},
		{"max-block, both of the node", false, shim["awslogs"], "defaults: {mode: non-blocking, max-block: 2s}", []string{`f:1:43: max-block: found "2s" beside mode non-blocking (node)`}},
		{"no max-block", false, with("awslogs", "--max-block=0s"), "", []string{`--max-block: found "0s"; expected a duration above 0`}},
		{"cleanup-time too long", false, with("awslogs", "--cleanup-time=12001ms"), "", []string{`--cleanup-time: found "12001ms"; expected a duration from 0s to 12s`}},
		{"negative cleanup-time", false, with("awslogs", "--cleanup-time=-1s"), "", []string{`--cleanup-time: found "-1s"`}},
		{"root", false, with("awslogs", "--uid=0", "--gid=0"), "", []string{`--uid: found "0"; expected -1 (keep) or an id from 1 to 4294967294; 0 (root) is refused`, `--gid: found "0"`}},
		{"no id", false, with("awslogs", "--uid=4294967295", "--gid=-2"), "", []string{`--uid: found "4294967295"`, `--gid: found "-2"`}},
		{"bad bool", false, with("awslogs", "--verbose", "maybe"), "", []string{`--verbose: found "maybe"; expected true or false`}},

		{"datetime and multiline", false, with("awslogs", "--awslogs-datetime-format=%Y", "--awslogs-multiline-pattern=x"), "",
			[]string{`--awslogs-datetime-format: found it beside awslogs-multiline-pattern "x"; expected at most one of`}},
		{"datetime and format", false, with("awslogs", "--awslogs-datetime-format=%Y", "--awslogs-format=json/emf"), "", []string{`--awslogs-format: found it beside awslogs-datetime-format "%Y"`}},
		{"all three, two of the node", false, with("awslogs", "--awslogs-datetime-format=%Y", "--awslogs-format=json/emf"), "defaults: {awslogs-multiline-pattern: x}", []string{"--awslogs-format: found it beside awslogs-datetime-format"}},
		{"two of the node", false, shim["awslogs"], "defaults: {awslogs-multiline-pattern: x, awslogs-format: json/emf}", []string{"f:1:58: awslogs-format: found it beside awslogs-multiline-pattern"}},
		{"bad pattern", false, with("awslogs", "--awslogs-multiline-pattern=(["), "", []string{"--awslogs-multiline-pattern: found \"([\"; expected a Go regular expression (RE2 syntax), and this has: missing closing ] at \"[\""}},
		{"bad format", false, with("awslogs", "--awslogs-format=json"), "", []string{`--awslogs-format: found "json"; expected json/emf`}},
		{"no interval", false, with("awslogs", "--awslogs-force-flush-interval-seconds=0"), "", []string{`--awslogs-force-flush-interval-seconds: found "0"; expected a whole number of seconds from 1 to 86400`}},
		{"no events", false, with("awslogs", "--awslogs-max-buffered-events=-1"), "", []string{`--awslogs-max-buffered-events: found "-1"; expected a whole number of at least 1`}},
		{"bad names", false, []string{"--log-driver=awslogs", "--container-id=c", "--awslogs-group=a b", "--awslogs-stream=a:b", "--awslogs-region=evil.example/"}, "aws: {imds: false}",
			[]string{`--awslogs-group: found "a b"`, `--awslogs-stream: found "a:b"`, `--awslogs-region: found "evil.example/"`}},
		{"bad endpoint", false, with("awslogs", "--awslogs-endpoint=localhost:4566"), "", []string{`--awslogs-endpoint: found "localhost:4566"; expected a URL`}},
		{"bad credentials endpoint stays hidden", false, with("awslogs", "--awslogs-credentials-endpoint=v2/hush"), "", []string{"--awslogs-credentials-endpoint: found a value that is not shown; expected a path"}},

		{"compress without a size", false, with("json-file", "--compress"), "", []string{"--compress: found it without a rotated file to compress; expected max-size and a max-file of at least 2"}},
		{"compress one file", false, with("json-file", "--compress", "--max-size=1m"), "", []string{"--compress: found it"}},
		{"no files", false, with("json-file", "--max-file=0"), "", []string{`--max-file: found "0"`}},
		{"bad expressions", false, with("json-file", "--labels-regex=(", "--json-file-env-regex=)"), "", []string{`--labels-regex: found "("`, `--json-file-env-regex: found ")"`}},
		{"environment that is not JSON stays hidden", false, with("json-file", "--container-env=hush", "--container-labels=[]"), "",
			[]string{"--container-env: found a value that is not shown; expected a JSON object of strings", `--container-labels: found "[]"; expected a JSON object of strings`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			program := ProgramShim
			if c.exec {
				program = ProgramExec
			}
			_, err := resolve(t, Input{Program: program}, c.argv, c.node)
			wantError(t, err, c.err)
			if err != nil && strings.Contains(err.Error(), "hush") {
				t.Errorf("the error shows a secret:\n%v", err)
			}
		})
	}
}

func TestRepeatedForOtherCallers(t *testing.T) {
	_, err := Resolve(Input{Program: ProgramExec, Own: []Setting{{"mode", "blocking"}, {"mode", "non-blocking"}}})
	wantError(t, err, []string{`--mode: found it twice: "blocking" and "non-blocking"`})
}

func TestEnvironmentIsChecked(t *testing.T) {
	_, err := resolve(t, Input{Program: ProgramExec}, []string{"--to=cloudwatch", "--awslogs-group=g", "--awslogs-stream=s"}, "", "AWS_REGION=a/b")
	wantError(t, err, []string{`the environment variable AWS_REGION: found "a/b"; expected the name of a region`})
}

func TestMissingRegion(t *testing.T) {
	for _, asked := range []bool{true, false} {
		text := MissingRegion("", asked).Error()
		for _, place := range []string{"--awslogs-region", DefaultNodePath, "AWS_REGION", "instance metadata service"} {
			if !strings.Contains(text, place) {
				t.Errorf("%q does not name %s", text, place)
			}
		}
	}
	// The instance metadata service may know it, so nothing is wrong yet.
	argv := []string{"--log-driver=awslogs", "--container-id=c", "--awslogs-group=g", "--awslogs-stream=s"}
	if r := mustResolve(t, Input{Program: ProgramShim}, argv, ""); r.AWSLogs().Region != "" || !r.AWS().IMDS {
		t.Errorf("region %q, imds %v", r.AWSLogs().Region, r.AWS().IMDS)
	}
	_, err := resolve(t, Input{Program: ProgramShim}, argv, "", "AWS_EC2_METADATA_DISABLED=true")
	wantError(t, err, []string{"--awslogs-region: found no region"})
	mustResolve(t, Input{Program: ProgramShim, Partial: true}, nil, "aws: {imds: false}")
}

func TestWarnings(t *testing.T) {
	for _, c := range []struct {
		name, driver string
		argv         []string
		node         string
		want         string
	}{
		{"raised", "awslogs", []string{"--max-buffer-size=10k"}, "", "max-buffer-size 10k is raised to 64k"},
		{"raised for the node", "awslogs", nil, "defaults: {max-buffer-size: 1}", "f:1:29: max-buffer-size 1 is raised to 64k"},
		{"lowered", "awslogs", []string{"--cleanup-time=12s"}, "", "cleanup-time 12s means 11s"},
		{"accepted only", "awslogs", []string{"--awslogs-max-buffered-events=1"}, "", "--awslogs-max-buffered-events has no effect: there is no second queue"},
		{"Windows", "awslogs", []string{"--log-file-dir=x"}, "", "--log-file-dir has no effect: it is for Windows"},
		{"drop", "awslogs", []string{"--drop=oldest"}, "", "--drop has no effect: mode blocking without max-block"},
		{"tag", "awslogs", []string{"--tag=x"}, "", "--tag has no effect: awslogs-stream names the stream"},
		{"files", "json-file", []string{"--max-file=2"}, "", "--max-file has no effect: without max-size"},

		{"node's accepted only", "awslogs", nil, "defaults: {awslogs-max-buffered-events: 1}", ""},
		{"node's drop, tag", "awslogs", nil, "defaults: {drop: oldest, tag: x}", ""},
		{"drop with max-block", "awslogs", []string{"--drop=oldest", "--max-block=1s"}, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := mustResolve(t, Input{Program: ProgramShim}, with(c.driver, c.argv...), c.node)
			got := strings.Join(r.Warnings, "\n")
			if c.want == "" && got != "" || !strings.HasPrefix(got, c.want) || strings.Contains(got, "\n") {
				t.Errorf("warnings %q, want %q", got, c.want)
			}
		})
	}
	r := mustResolve(t, Input{Program: ProgramShim}, with("awslogs", "--max-buffer-size=10k", "--cleanup-time=12s"), "")
	if r.Buffer().Limit != 64<<10 || r.Shim().CleanupTime != 11*time.Second {
		t.Errorf("limit %d and cleanup time %v", r.Buffer().Limit, r.Shim().CleanupTime)
	}
}

// What the container chose itself beats a node default that contradicts it.
func TestNodeDefaultsYield(t *testing.T) {
	r := mustResolve(t, Input{Program: ProgramShim}, with("awslogs", "--mode=non-blocking", "--awslogs-multiline-pattern=x"),
		"defaults: {max-block: 2s, awslogs-datetime-format: '%Y', awslogs-format: json/emf}")
	if a := r.AWSLogs(); a.DatetimeFormat != "" || a.EMF || a.MultilinePattern != "x" {
		t.Errorf("%+v", a)
	}
	if got := r.Buffer().MaxBlock; got != 0 {
		t.Errorf("max-block %v beside mode non-blocking", got)
	}
	r = mustResolve(t, Input{Program: ProgramShim}, with("json-file", "--max-file=1"), "defaults: {compress: true, max-size: 1m, max-file: 2}")
	if r.JSONFile().Compress {
		t.Error("compress with one file")
	}
	if note := r.value("compress").note; note != "the value at f:1:22 is ignored beside the container's own max-file" {
		t.Errorf("note %q", note)
	}
}
