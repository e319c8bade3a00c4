package tag

import (
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// web is a container with all that a template can say.
func web() Info {
	return Info{
		Config:              map[string]string{"tag": "x", "mode": "blocking"},
		ContainerID:         "0123456789abcdef0123456789abcdef",
		ContainerName:       "/web-1",
		ContainerEntrypoint: "/bin/server",
		ContainerArgs:       []string{"--port", "80"},
		ContainerImageID:    "sha256:fedcba9876543210",
		ContainerImageName:  "registry/app:1.2",
		ContainerCreated:    time.Date(2024, 2, 29, 23, 59, 59, 0, time.UTC),
		ContainerEnv:        []string{"TIER=front", "TOKEN=s3cr3t"},
		ContainerLabels:     map[string]string{"team": "a&b", "com.example.part": "x"},
		LogPath:             "/var/log/x",
		DaemonName:          "docker",
	}
}

func TestRender(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ template, want string }{
		{"", ""},
		{"plain }} text", "plain }} text"},
		{"{{.ID}}", "0123456789ab"},
		{"{{.FullID}}", "0123456789abcdef0123456789abcdef"},
		{"{{.Name}}/{{.ID}}", "web-1/0123456789ab"},
		{"{{.Command}}", "/bin/server --port 80"},
		{"{{.ImageID}} {{.ImageFullID}} {{.ImageName}}", "sha256:fedcb sha256:fedcba9876543210 registry/app:1.2"},
		{"{{.Hostname}}", host},
		{"{{.ContainerName}} {{.DaemonName}} {{.LogPath}}", "/web-1 docker /var/log/x"},
		{"{{.ContainerCreated.Year}}", "2024"},
		{"{{.ContainerArgs}}", "[--port 80]"},
		{"{{.ContainerLabels.team}}", "a&b"},
		{`{{index .ContainerLabels "com.example.part"}}`, "x"},
		{`{{index .ContainerLabels "none"}}`, ""},
		{`{{index .Config "mode"}}`, "blocking"},
		{"{{json .ContainerLabels}}", `{"com.example.part":"x","team":"a&b"}`},
		{`{{join .ContainerArgs "-"}}`, "--port-80"},
		{`{{index (split .ImageName "/") 1}}`, "app:1.2"},
		{`{{title "hello big world"}} {{lower "ABC"}} {{upper .Name}}`, "Hello Big World abc WEB-1"},
		{`[{{pad "x" 2 1}}][{{pad "" 2 1}}]`, "[  x ][]"},
		{`{{truncate "abcdef" 3}} {{truncate "ab" 3}} {{truncate "aé" 2}} {{truncate "" 0}}`, "abc ab a "},
		{"{{range .ContainerArgs}}<{{.}}>{{else}}none{{end}}", "<--port><80>"},
		{`{{range $i, $a := .ContainerArgs}}{{if $i}},{{end}}{{$a}}{{end}}`, "--port,80"},
		{`{{if eq .DaemonName "docker"}}d{{else if .LogPath}}l{{end}}`, "d"},
		{`{{with .ContainerLabels}}{{.team}}{{end}}`, "a&b"},
		{`{{printf "%s-%04d" .Name 7}} {{print 1 2}} {{html "<"}} {{urlquery "a b"}} {{js "'"}}`, "web-1-0007 1 2 &lt; a+b \\'"},
		{`{{printf "12345*%% %2.3[1]d %-7s|" 7 "x"}}`, "12345*% 007 x      |"},
		{`{{- .Name -}} `, "web-1"},
		{`{{define "unused"}}x{{end}}{{.Name}}`, "web-1"},
		{"{{range 1024}}{{end}}", ""},
	} {
		got, err := Render(c.template, web())
		if err != nil {
			t.Errorf("template %q: %v", c.template, err)
		} else if got != c.want {
			t.Errorf("template %q: got %q, want %q", c.template, got, c.want)
		}
	}
}

func TestRenderOfUnknownContainer(t *testing.T) {
	for _, id := range []string{"", "c1", "0123456789a", "0123456789ab", "ééééééé"} {
		i := Info{ContainerID: id, ContainerImageID: id, ContainerArgs: []string{"sh"}}
		got, err := Render("{{.ID}}|{{.ImageID}}|{{.Name}}|{{.Command}}|{{.ContainerLabels.team}}", i)
		short := id
		if len(id) > 12 {
			short = "éééééé"
		}
		if want := short + "|" + short + "||sh|<no value>"; err != nil || got != want {
			t.Errorf("id %q: got %q and error %v, want %q", id, got, err, want)
		}
	}
}

func TestJSONOfAllHasTheNamesAndOrderOfDocker(t *testing.T) {
	got, err := Render("{{json .}}", Info{})
	want := `{"Config":null,"ContainerID":"","ContainerName":"","ContainerEntrypoint":"","ContainerArgs":null,"ContainerImageID":"",` +
		`"ContainerImageName":"","ContainerCreated":"0001-01-01T00:00:00Z","ContainerEnv":null,"ContainerLabels":null,"LogPath":"","DaemonName":""}`
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("error %v, JSON differs (-want +got):\n%s", err, diff)
	}
}

func TestBadTemplateIsOneClearError(t *testing.T) {
	for _, c := range []struct{ template, want string }{
		{"{{", "unclosed action"},
		{"{{.ID", "unclosed action"},
		{"{{.Nmae}}", "can't evaluate field Nmae"},
		{"{{.Nmae}}", "a template may say .ID .FullID .Name"},
		{"{{nosuch .ID}}", `function "nosuch" not defined; a template may say`},
		{"{{if .ID}}", "unexpected EOF"},
		{strings.Repeat("x", maxTemplate+1), "it has 4097 bytes, expected at most 4096"},
		{`{{truncate .ID -1}}`, "truncate to -1 bytes: expected none below 0"},
		{`{{pad .ID -1 0}}`, "expected none below 0"},
		{`{{pad .ID 4000 4000}}`, "the tag is longer than 4096 bytes"},
		{`{{pad .ID 1000000000000 0}}`, "the template does too much"},
		{`{{range 1000000000000}}{{end}}`, "at most 1024 rounds of loops"},
		{`{{range 100}}{{range 100}}{{end}}{{end}}`, "the template does too much"},
		{`{{if true}}{{with 1}}{{if false}}{{else}}{{range 1000000000000}}{{end}}{{end}}{{end}}{{end}}`, "the template does too much"},
		{`{{range $i := 1000000000000}}{{continue}}{{end}}`, "the template does too much"},
		{`{{define "tag"}}{{range 1000000000000}}{{end}}{{end}}`, "the template does too much"},
		{`{{$x := "ab"}}{{range 1000}}{{$x = print $x $x}}{{end}}`, "the template does too much"},
		{`{{$x := "ab"}}{{range 1000}}{{$x = js "\\" $x $x}}{{end}}`, "the template does too much"},
		{`{{$x := "ab"}}{{range 1000}}{{$x = join (split $x "") $x}}{{end}}`, "the template does too much"},
		{`{{$x := "ab"}}{{range 1000}}{{$x = printf "%s%s" $x $x}}{{end}}`, "the template does too much"},
		{`{{range 1000}}{{upper (printf "%9999s" "x")}}{{end}}`, "the tag is longer"},
		{`{{printf "a%-010000d" 1}}`, "widths and precisions of at most 4 digits"},
		{`{{printf "%3.10000f" 1.0}}`, "widths and precisions of at most 4 digits"},
		{`{{printf "%[2]*[1]d" 1 1000000}}`, "and none as *"},
		{`{{define "a"}}{{template "a"}}{{end}}{{template "a"}}`, `found {{template "a"}}`},
		{`{{block "a" .}}x{{end}}`, `found {{template "a"}}`},
		{`{{range .ContainerArgs}}{{template "tag"}}{{end}}`, `found {{template "tag"}}`},
		{`{{range index .ContainerEnv 1}}{{end}}`, "range can't iterate over this value"},
	} {
		got, err := Render(c.template, web())
		if err == nil {
			t.Errorf("template %.60q: got %q, want an error", c.template, got)
			continue
		}
		if !strings.Contains(err.Error(), c.want) {
			t.Errorf("template %.60q: got error %q, want one that says %q", c.template, err, c.want)
		}
		if strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("template %.60q: error %q has a value of the environment in it", c.template, err)
		}
	}
}

func FuzzRender(f *testing.F) {
	for _, s := range []string{
		"{{.Name}}/{{.ID}}", "{{json .}}", "{{range 1000000}}{{.}}{{end}}", `{{truncate .Name 3 | printf "%9s"}}`,
		`{{$x := "a"}}{{range .ContainerArgs}}{{$x = print $x .}}{{else}}{{break}}{{end}}`, `{{define "tag"}}{{end}}`,
		`{{block "a" .}}{{end}}`, "{{with $y := .ContainerEnv}}{{index $y 1}}{{end}}", "{{/* x */}}", "{{- -}}",
	} {
		f.Add(s, "c1", "/name")
	}
	f.Fuzz(func(t *testing.T, text, id, name string) {
		i := web()
		i.ContainerID, i.ContainerName = id, name
		got, err := Render(text, i)
		if err != nil {
			if strings.Contains(err.Error(), "s3cr3t") && !strings.Contains(text, "s3cr3t") {
				t.Fatalf("error %q has a value of the environment in it", err)
			}
			return
		}
		if len(got) > maxTag || len(text) > maxTemplate {
			t.Fatalf("got %d bytes of a template of %d, want limits to hold", len(got), len(text))
		}
		if short := i.ID(); len(short) > 12 || !strings.HasPrefix(id, short) || utf8.ValidString(id) != utf8.ValidString(short) && utf8.ValidString(id) {
			t.Fatalf("got short id %q of %q", short, id)
		}
	})
}
