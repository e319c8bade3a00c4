package convert

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spillway/spillway/internal/config/yamlfile"
)

// oldProperties are enough for the old program to start.
const oldProperties = "fluentd.tag.prefix=kafka.\nfluentd.consumer.topics=a\nzookeeper.connect=z\ngroup.id=g\noffsets.storage=kafka\n"

// TestFluentdGolden holds what fluentd's output becomes, and the warnings, against testdata.
func TestFluentdGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.conf")
	if err != nil || len(files) < 2 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".conf") + ".conf"
		t.Run(name, func(t *testing.T) {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got, err := KafkaFluentdConsumer([]byte(oldProperties), Options{File: "old.properties", To: ToElasticsearch, Brokers: []string{"k:9092"}, Fluentd: name, FluentdContent: content})
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(got.YAML+strings.Join(got.Warnings, ""), "hunter2") {
				t.Error("a secret is copied")
			}
			hold(t, name+".yaml", got.YAML)
			hold(t, name+".warnings", strings.Join(got.Warnings, "\n")+"\n")
			for line := range strings.Lines(string(content)) {
				option, _, _ := strings.Cut(strings.TrimSpace(line), " ")
				if strings.HasPrefix(line, "    ") && line[4] != ' ' && !strings.ContainsAny(option[:1], "@<#") && !strings.Contains(got.YAML, " "+option+"=") {
					t.Errorf("nothing is said of %s", option)
				}
			}
		})
	}
}

// A file that is none of fluentd's, or has nothing to convert, is an error that says where and what.
func TestFluentdErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                                   "f.conf: found no <match> and no <store> of type elasticsearch, ",
		"<match **>\n@type stdout\n</match>": "f.conf: found no <match> and no <store> of type elasticsearch, ",
		"<match **>\n@type elasticsearch\n":  "f.conf:1: found <match **> without its end; expected </match>",
		"<match **>\n</source>\n":            "f.conf:2: found </source>; expected the end of a section that is open",
		"</match>\n":                         "f.conf:1: found </match>; expected the end of a section that is open",
		"<match **\n":                        "f.conf:1: found <match **; expected a section such as <match app.**>",
		strings.Repeat("<a>\n", 17):          "f.conf:17: found <a>; expected a section such as",
	} {
		_, err := KafkaFluentdConsumer([]byte(oldProperties), Options{File: "old.properties", To: ToElasticsearch, Fluentd: "f.conf", FluentdContent: []byte(text)})
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// What a flag says beats what the file says, and TLS options need a host that speaks it.
func TestFluentdBeside(t *testing.T) {
	convert := func(o Options, params string) string {
		t.Helper()
		o.To, o.Fluentd, o.FluentdContent = ToElasticsearch, "f.conf", []byte("<match **>\n@type elasticsearch\n"+params+"\n</match>")
		got, err := KafkaFluentdConsumer([]byte(oldProperties), o)
		if err != nil {
			t.Fatal(err)
		}
		return got.YAML + strings.Join(got.Warnings, "\n")
	}
	for _, c := range []struct {
		o            Options
		params, want string
	}{
		{Options{Hosts: []string{"https://b:1"}}, "host a\nca_file /ca", "hosts: ['https://b:1']\n    # ca_file=/ca\n    tls-ca-file: '/ca'"},
		{Options{Index: "i-%Y"}, "index_name j", "# from --index\n    index: 'i-%Y'"},
		{Options{}, "host a\nssl_verify false\nscheme https", "tls-insecure-skip-verify: true"},
		{Options{}, "hosts u:hunter2@a:1,https://v:w@b/p", "hosts: ['http://a:1', 'https://b/p']"},
		{Options{}, "hosts u:hunter2@a:1", "a user or a password stands in a URL"},
		{Options{}, "path /es/\nhost a", "hosts: ['http://a:9200/es']"},
		{Options{}, `host "#{ENV['H']}"`, "is Ruby, which is not run"},
		{Options{}, "index_name x-${$.a.b}-${$['c']['d']}-${k}", "index: 'x-{record[a.b]}-{record[c.d]}-{record[k]}'"},
		{Options{}, "index_name i", "time-key: none"},
		{Options{}, "cloud_id c:d\ncloud_auth u:hunter2", "cloud-id: 'c:d'\n    # cloud_auth=(not shown)\n    username: u\n    # cloud_auth=(not shown)\n    password: ${ES_PASSWORD}"},
		{Options{}, "client_key_pass hunter2", "keys with a password are not read"},
		{Options{}, "logstash_format true\ntime_key t", "set time: field, time-key and time-format in the source"},
		{Options{}, "@include other.conf\nnonsense 1", "#   nonsense=1 of fluentd"},
	} {
		if got := convert(c.o, c.params); !strings.Contains(got, c.want) || strings.Contains(got, "hunter2") {
			t.Errorf("%s: no %q, or a secret, in\n%s", c.params, c.want, got)
		}
	}
}

// FuzzFluentd: whatever stands in fluentd's file, the result is one document of YAML, or there is none.
func FuzzFluentd(f *testing.F) {
	files, err := filepath.Glob("testdata/*.conf")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(content)
	}
	f.Add([]byte("<match **>\n@type opensearch\nhost \"a\\\"b\"\nindex_name ${tag}\u2028\n</match>"))
	f.Fuzz(func(t *testing.T, content []byte) {
		got, err := KafkaFluentdConsumer([]byte(oldProperties), Options{File: "f", To: ToElasticsearch, Fluentd: "f.conf", FluentdContent: content})
		if err != nil {
			return
		}
		if _, err := yamlfile.Parse("f", []byte(got.YAML), yamlfile.Kind{Name: "configuration"}); err != nil {
			t.Errorf("%v in\n%s", err, got.YAML)
		}
	})
}
