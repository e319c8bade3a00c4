package convert

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write what is converted into testdata")

// TestGolden holds what is converted, and the warnings, against testdata.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.properties")
	if err != nil || len(files) < 4 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".properties")
		for _, o := range []Options{
			{File: filepath.Base(file), To: ToFluentd, Brokers: []string{"kafka1:9092", "kafka2:9092"}},
			{File: filepath.Base(file), To: ToElasticsearch, Hosts: []string{"https://search.example:9200"}, Index: "app-%Y.%m.%d"},
			{File: filepath.Base(file)},
		} {
			golden := name + "." + string(o.To)
			if o.To == "" {
				golden = name + ".alone"
			}
			t.Run(golden, func(t *testing.T) {
				content, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				got, err := KafkaFluentdConsumer(content, o)
				if err != nil {
					t.Fatal(err)
				}
				hold(t, golden+".yaml", got.YAML)
				hold(t, golden+".warnings", strings.Join(got.Warnings, "\n")+"\n")
			})
		}
	}
}

// Names in a pattern of time were in the language of the old program's host, which no property says.
func TestNamesOfAnotherLanguage(t *testing.T) {
	for pattern, want := range map[string]string{
		"dd/MMM/yyyy:HH:mm:ss Z":      "months",
		"EEE, d MMMM yyyy h:mm a z":   "months, weekdays, halves of the day, time zones",
		"LLL d yyyy HH:mm:ss X":       "months",
		"yyyy-MM-dd'T'HH:mm:ss.SSSZ":  "",
		"'MMM EEE a z' yyyy-MM-dd X":  "",
		"yyyy-MM-dd''EEE'' HH:mm:ssX": "weekdays",
	} {
		got, err := KafkaFluentdConsumer([]byte("zookeeper.connect=z:2181\ngroup.id=g\nfluentd.consumer.threads=1\nfluentd.consumer.topics=t\nfluentd.tag=t\n"+
			"fluentd.connect=localhost:24224\nfluentd.record.time.field=at\nfluentd.record.time.pattern="+pattern+"\n"), Options{File: "old"})
		if err != nil {
			t.Fatal(err)
		}
		said := ""
		for _, w := range got.Warnings {
			if _, rest, found := strings.Cut(w, " has names of "); found {
				said, _, _ = strings.Cut(rest, ":")
			}
		}
		if said != want {
			t.Errorf("%s: the warning is of %q, want %q", pattern, said, want)
		}
	}
}

func hold(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s is not what is converted (-want +got):\n%s", name, diff)
	}
}

// TestEveryPropertyIsTold asks of each line of the old file what became of it.
func TestEveryPropertyIsTold(t *testing.T) {
	content, err := os.ReadFile("testdata/all.properties")
	if err != nil {
		t.Fatal(err)
	}
	for _, to := range []Destination{ToFluentd, ToElasticsearch} {
		got, err := KafkaFluentdConsumer(content, Options{File: "f", To: to})
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(content)) {
			name := strings.TrimSpace(strings.SplitN(line, "=", 2)[0])
			if name == "" || name[0] == '#' {
				continue
			}
			if !strings.Contains(got.YAML, "# "+name+"=") && !strings.Contains(got.YAML, " "+name+"=") {
				t.Errorf("--to %s says nothing of %s", to, name)
			}
		}
	}
}

func TestFilesThatTheOldProgramRefuses(t *testing.T) {
	const good = "fluentd.tag=t\nfluentd.consumer.topics=a\nzookeeper.connect=z\ngroup.id=g\n"
	for text, want := range map[string]string{
		"":                                              "fluentd.consumer.topics is missing",
		"fluentd.tag=t\n":                               "zookeeper.connect is missing",
		good + "group.id=\\u00":                         "expected Java properties",
		good + "fluentd.tag.prefix=p\n":                 "are both there",
		good + "fluentd.record.format=msgpack\n":        "expected json or regexp",
		good + "fluentd.record.format=regexp\n":         "fluentd.record.pattern is missing",
		good + "fluentd.record.time.field=a\n":          "fluentd.record.time.pattern is missing",
		good + "fluentd.connect=host\n":                 "expected HOST:PORT",
		good + "fluentd.consumer.topics.pattern=grey\n": "expected whitelist or blacklist",
		good + "auto.offset.reset=middle\n":             "expected smallest or largest",
	} {
		_, err := KafkaFluentdConsumer([]byte(text), Options{File: "old.properties"})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "old.properties: ") {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	if _, err := KafkaFluentdConsumer([]byte(good), Options{To: "splunk"}); err == nil {
		t.Error("converted to a destination that there is not")
	}
}

func TestRubyToGo(t *testing.T) {
	for pattern, want := range map[string]string{
		`(?<a>.*)`:           `(?<a>.*)`,
		`^(?<a>.*)$`:         `(?m)^(?<a>.*)$`,
		`[^$]\^`:             `[^$]\^`,
		`(?m).+`:             `(?s).+`,
		`(?i-m:a.)`:          `(?i-s:a.)`,
		`(?<m>x)(?:m)`:       `(?<m>x)(?:m)`,
		`\[(?<t>[^\]]*)\] $`: `(?m)\[(?<t>[^\]]*)\] $`,
	} {
		got := rubyToGo(pattern)
		if got != want {
			t.Errorf("%s: got %s, want %s", pattern, got, want)
		}
		if _, err := regexp.Compile(got); err != nil {
			t.Errorf("%s: %v", got, err)
		}
	}
}

func TestPartsOfPatternsAreNamedOneByOne(t *testing.T) {
	got := notInGo(`(?=a)\1(?<n>b)++\(?>`)
	want := []string{"look-ahead, (?= at character 1", `a reference to a group, \1 at character 6`, "a possessive quantifier, ++ at character 15"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := otherInGo(`[a-z&&[^q]][[:alpha:]\[][]a]`); len(got) != 2 {
		t.Errorf("got %q, want an intersection and a class in a class", got)
	}
}

// FuzzKafkaFluentdConsumer: whatever the old file holds, a comment stays a comment.
func FuzzKafkaFluentdConsumer(f *testing.F) {
	f.Add("x", "y", "z")
	f.Add("a\\nb: c", "'", "\\u2028- d")
	f.Fuzz(func(t *testing.T, tag, group, other string) {
		text := "fluentd.consumer.topics=a\nzookeeper.connect=z\nfluentd.tag=" + tag + "\ngroup.id=" + group + "\nother=" + other + "\n"
		got, err := KafkaFluentdConsumer([]byte(text), Options{File: "f"})
		if err != nil {
			return
		}
		for line := range strings.Lines(got.YAML) {
			line = strings.TrimSpace(line)
			if line == "" || line[0] == '#' || known.MatchString(line) {
				continue
			}
			t.Fatalf("a line of foreign text: %q in\n%s", line, got.YAML)
		}
	})
}

var known = regexp.MustCompile(`^(- )?(sources|kafka|type|brokers|group|start|topics|format|time|tag|sinks|fluentd|servers|ack|routes|match|to|max-buffer-size):( |$)`)
