package config

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

func TestParseArgs(t *testing.T) {
	group, stream := Setting{"awslogs-group", "g"}, Setting{"awslogs-stream", "s"}
	for _, c := range []struct {
		name string
		argv []string
		want []Setting
		err  []string // each must be in the error; none means no error
	}{
		{name: "nothing"},
		{name: "key and value", argv: []string{"--awslogs-group", "g", "--awslogs-stream", "s"}, want: []Setting{group, stream}},
		{name: "equals sign", argv: []string{"--awslogs-group=g", "-awslogs-stream=s"}, want: []Setting{group, stream}},
		{name: "single dash", argv: []string{"-awslogs-group", "g"}, want: []Setting{group}},
		{name: "equals sign and the empty argument of a key without a value", argv: []string{"--awslogs-group=g", "", "--awslogs-stream", "s"}, want: []Setting{group, stream}},
		{name: "value with an equals sign", argv: []string{"--tag=a=b"}, want: []Setting{{"tag", "a=b"}}},
		{name: "absent value does not take the next", argv: []string{"--tag", "", "--awslogs-group", "g"}, want: []Setting{group}},
		{name: "absent value behind an equals sign", argv: []string{"--tag=", "--awslogs-group", "g"}, want: []Setting{group}},
		{name: "boolean as next argument", argv: []string{"--verbose", "false", "--awslogs-create-group", "True"},
			want: []Setting{{"verbose", "false"}, {"awslogs-create-group", "True"}}},
		{name: "boolean alone, before an option", argv: []string{"--verbose", "--awslogs-group", "g"}, want: []Setting{{"verbose", "true"}, group}},
		{name: "boolean alone, at the end", argv: []string{"--awslogs-group", "g", "--verbose"}, want: []Setting{group, {"verbose", "true"}}},
		{name: "boolean with an absent value", argv: []string{"--verbose", "", "--awslogs-group", "g"}, want: []Setting{{"verbose", "true"}, group}},
		{name: "boolean with an empty value", argv: []string{"--verbose="}, want: []Setting{{"verbose", "true"}}},
		{name: "boolean with equals sign and absent value", argv: []string{"--verbose=false", ""}, want: []Setting{{"verbose", "false"}}},
		{name: "a word behind a boolean is its value, to be refused", argv: []string{"--verbose", "maybe"}, want: []Setting{{"verbose", "maybe"}}},
		{name: "values with dashes", argv: []string{"--uid", "-1", "--awslogs-multiline-pattern", "-foo", "--tag", "--"},
			want: []Setting{{"uid", "-1"}, {"awslogs-multiline-pattern", "-foo"}, {"tag", "--"}}},
		{name: "value that assigns to an option", argv: []string{"--tag", "--mode=x"}, want: []Setting{{"tag", "--mode=x"}}},
		{name: "forgotten value", argv: []string{"--awslogs-group", "--awslogs-stream", "s"}, want: []Setting{stream},
			err: []string{"--awslogs-group: found the option --awslogs-stream; expected its value; write --awslogs-group=VALUE"}},
		{name: "an option's name as value", argv: []string{"--awslogs-group=--mode"}, want: []Setting{{"awslogs-group", "--mode"}}},
		{name: "forgotten value at the end", argv: []string{"--awslogs-stream", "s", "--awslogs-group"}, want: []Setting{stream},
			err: []string{"--awslogs-group: found the end of the arguments; expected its value"}},
		{name: "unknown names stay", argv: []string{"--foo", "bar", "--awslogs-group", "g", "--baz", "--qux=1"},
			want: []Setting{{"foo", "bar"}, group, {"baz", ""}, {"qux", "1"}}},
		{name: "stray argument", argv: []string{"g", "--awslogs-stream", "s", "-", "--", "---x", "--=y"}, want: []Setting{stream},
			err: []string{`unexpected argument "g"`, `unexpected argument "-"`, `unexpected argument "--"`, `unexpected argument "---x"`, `unexpected argument "--=y"`}},
		{name: "repeated", argv: []string{"--awslogs-group", "g", "--awslogs-group=h"}, want: []Setting{group},
			err: []string{`--awslogs-group: found it twice: "g" and "h"; expected each option once`}},
		{name: "repeated under two names", argv: []string{"--env", "A", "--json-file-env", "B"}, want: []Setting{{"env", "A"}},
			err: []string{`found it twice under two names: --env "A" and --json-file-env "B"`}},
		{name: "repeated secret", argv: []string{"--splunk-token", "hush", "--splunk-token", "hush2"}, want: []Setting{{"splunk-token", "hush"}},
			err: []string{"--splunk-token: found it twice: a value that is not shown and a value that is not shown"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ParseArgs(c.argv)
			if diff := cmp.Diff(c.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("settings (-want +got):\n%s", diff)
			}
			wantError(t, err, c.err)
		})
	}
}

// wantError checks that the error has a line with each text, and no line more.
func wantError(t *testing.T, err error, want []string) {
	t.Helper()
	if len(want) == 0 {
		if err != nil {
			t.Errorf("unexpected error: %v", err)
		}
		return
	}
	if err == nil {
		t.Errorf("no error, want %q", want)
		return
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != len(want) {
		t.Errorf("%d errors, want %d:\n%v", len(lines), len(want), err)
	}
	for _, text := range want {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("error:\n%v\nhas no %q", err, text)
		}
	}
}

// Any map of options, written in any of the forms and in any order, is read
// back as the same map.
func TestParseArgsGivesBackWhatWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := map[string]string{}
		var groups [][]string
		for _, row := range rapid.SliceOfNDistinct(rapid.IntRange(0, len(table)-1), 0, len(table), rapid.ID).Draw(t, "rows") {
			o := &table[row]
			if o.AliasOf != "" {
				continue // It would be its target a second time.
			}
			text, argv := drawOption(t, o)
			if text != "" {
				want[o.Name] = text
			}
			groups = append(groups, argv)
		}
		seed := rapid.Uint64().Draw(t, "order")
		rand.New(rand.NewPCG(seed, 0)).Shuffle(len(groups), func(i, j int) { groups[i], groups[j] = groups[j], groups[i] })
		settings, err := ParseArgs(slices.Concat(groups...))
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, s := range settings {
			got[s.Name] = s.Value
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// drawOption draws a value, "" for unset, and one way to write it.
func drawOption(t *rapid.T, o *Option) (text string, argv []string) {
	dashes := rapid.SampledFrom([]string{"-", "--"}).Draw(t, "dashes")
	name := dashes + o.Name
	if o.Kind == KindBool {
		text = rapid.SampledFrom([]string{"true", "false", "True", "0"}).Draw(t, "bool")
		forms := [][]string{{name, text}, {name + "=" + text}, {name + "=" + text, ""}}
		if text == "true" {
			forms = append(forms, []string{name}, []string{name, ""}, []string{name + "="})
		}
		return text, rapid.SampledFrom(forms).Draw(t, "form")
	}
	text = rapid.OneOf(rapid.String(), rapid.StringMatching(`-{0,3}[a-z]{0,3}=?`), rapid.SampledFrom([]string{"--mode", "-1"})).Draw(t, "text")
	forms := [][]string{{name + "=" + text}, {name + "=" + text, ""}}
	if !isOptionName(text) {
		forms = append(forms, []string{name, text})
	}
	return text, rapid.SampledFrom(forms).Draw(t, "form")
}

// Whatever is handed over, reading ends, gives each option once, and the
// settings mean the same when they are written out and read again.
func FuzzParseArgs(f *testing.F) {
	f.Add("--log-driver\x00awslogs\x00--verbose\x00\x00-uid\x00-1")
	f.Add("--tag\x00--mode\x00=\x00--\x00-x=\x00--x")
	f.Fuzz(func(t *testing.T, joined string) {
		if len(joined) > 4096 {
			return
		}
		settings, err := ParseArgs(strings.Split(joined, "\x00"))
		wantLines(t, err)
		seen := map[string]bool{}
		var argv []string
		for _, s := range settings {
			if _, known := Lookup(s.Name); known && seen[canonicalName(s.Name)] {
				t.Errorf("option %q twice", s.Name)
			}
			seen[canonicalName(s.Name)] = true
			argv = append(argv, "--"+s.Name+"="+s.Value)
		}
		again, err := ParseArgs(argv)
		if err != nil {
			t.Errorf("settings %q read again: %v", settings, err)
		}
		if diff := cmp.Diff(settings, again, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("(-first +again):\n%s", diff)
		}
		resolved, err := Resolve(Input{Program: ProgramShim, Own: settings})
		if (resolved == nil) == (err == nil) {
			t.Errorf("resolved %v and the error %v", resolved, err)
		}
		wantLines(t, err)
	})
}

// wantLines checks that foreign text has not broken the lines of an error.
func wantLines(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		if !strings.Contains(line, ": found ") || !strings.Contains(line, "; expected ") {
			t.Errorf("the line %q of an error", line)
		}
	}
}
