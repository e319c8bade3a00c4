package catalog

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/spillway/spillway/internal/awsauth"
	"github.com/spillway/spillway/internal/config"
	"github.com/spillway/spillway/internal/sink"
	"github.com/spillway/spillway/internal/sink/cloudwatch"
	"github.com/spillway/spillway/internal/sink/sinktest"
)

// TestStreamName is the order of what names a log stream.
func TestStreamName(t *testing.T) {
	image := []string{"container-image-name=shop:1", `container-labels={"team":"red"}`, `container-env={"STAGE":"live"}`}
	for _, c := range []struct {
		options []string
		want    string
	}{
		{[]string{"awslogs-stream=s"}, "s"},
		{[]string{"awslogs-stream=s", "tag={{.Name}}"}, "s"},
		{[]string{"tag={{.Name}}/{{.ID}}"}, "web/c1"},
		{append(image, `tag={{index .ContainerLabels "team"}}-{{join .ContainerEnv ","}}-{{.DaemonName}}`), "red-STAGE=live-spillway"},
		{[]string{"tag=plain"}, "plain"},
	} {
		d := open(t, toAWS(c.options...), Surroundings{})
		if want := "awslogs g/" + c.want; d.Name != want {
			t.Errorf("%q: the destination is %q, want %q", c.options, d.Name, want)
		}
	}
	// What the service does not take as a name would be refused with each record.
	for option, want := range map[string]string{
		"tag={{.ImageName}}": `""`, `tag={{printf "%s:%s" .Name .ID}}`: `"web:c1"`, "tag={{.Name}}*": `"web*"`,
		`tag={{printf "%0600d" 1}}`: "512",
	} {
		_, err := Open(resolve(t, toAWS(option)), Surroundings{})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "tag") {
			t.Errorf("%s: the error is %v, want one with %s and the tag in it", option, err, want)
		}
	}
}

// TestCredentialsComeFromTheOptions: all of them reach awsauth, at the first call
// that needs them and not before.
func TestCredentialsComeFromTheOptions(t *testing.T) {
	node := "aws: {credentials-file: /etc/aws, profile: p, imds: true, proxy: 'http://u:secret@proxy:3128'}"
	options := []string{"awslogs-stream=s", "awslogs-credentials-endpoint=/v2/credentials/x", "awslogs-endpoint=http://127.0.0.1:1"}
	want := awsauth.Options{
		CredentialsEndpoint: "http://169.254.170.2/v2/credentials/x", CredentialsFile: "/etc/aws", Profile: "p", IMDS: true,
		Proxy: "http://u:secret@proxy:3128", Region: "eu-central-1", MaxInFlight: cloudwatch.InFlight,
	}
	var provider, region []awsauth.Options
	retrieved := 0
	errNone := errors.New("no credentials")
	d := open(t, withNode(t, toAWS(options...), node), Surroundings{
		Provider: func(o awsauth.Options) (aws.CredentialsProvider, error) {
			provider = append(provider, o)
			return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
				retrieved++
				return aws.Credentials{}, errNone
			}), nil
		},
		Region: func(_ context.Context, o awsauth.Options) (string, error) {
			region = append(region, o)
			return "eu-west-1", nil
		},
	})
	unexported := cmpopts.IgnoreUnexported(awsauth.Options{})
	if diff := cmp.Diff([]awsauth.Options{want}, provider, unexported); diff != "" {
		t.Errorf("credentials are looked for otherwise (-want +got):\n%s", diff)
	}
	if len(region) > 0 || retrieved > 0 {
		t.Errorf("opening asked for the region %d times, for credentials %d times", len(region), retrieved)
	}
	out := d.Sink.Send(t.Context(), sinktest.NewRequest(sinktest.Event{Body: "x"}))
	if out.Verdict != sink.Retry || !out.Config || !errors.Is(out.Err, errNone) {
		t.Errorf("the outcome is %+v, want that somebody must act", out)
	}
	if diff := cmp.Diff([]awsauth.Options{want}, region, unexported); diff != "" {
		t.Errorf("the region is looked for otherwise (-want +got):\n%s", diff)
	}
	if retrieved != 1 {
		t.Errorf("an attempt asked for credentials %d times", retrieved)
	}
}

func TestNoMetadataUnlessAllowed(t *testing.T) {
	in := withNode(t, toAWS("awslogs-stream=s"), "aws: {imds: false}")
	if o := awsOptions(resolve(t, in)); o.IMDS {
		t.Errorf("the options are %v, want no instance metadata", o)
	}
}

// TestAttributesOfAFile are what the options choose of the container.
func TestAttributesOfAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	d := open(t, shim("log-driver=json-file", "log-path="+path, "labels=team", "env-regex=^ST", "tag={{.Name}}",
		`container-labels={"team":"red","other":"x"}`, `container-env={"STAGE":"live","SECRET":"x"}`), Surroundings{})
	deliver(t, d, "x")
	want := map[string]any{"team": "red", "STAGE": "live", "tag": "web"}
	if diff := cmp.Diff(any(want), fileLine(t, path)["attrs"]); diff != "" {
		t.Errorf("the attributes are others (-want +got):\n%s", diff)
	}
}

// TestEnvironmentEndpoint is asked where an option needs the environment, and no
// container fails for it. Its address is a secret.
func TestEnvironmentEndpoint(t *testing.T) {
	for name, c := range map[string]struct {
		status  int
		answer  string
		option  string
		asked   bool
		want    any
		warning string
	}{
		"chosen":      {200, `{"env":{"STAGE":"live","B":"c"}}`, "env=STAGE", true, map[string]any{"STAGE": "live"}, ""},
		"not needed":  {200, `{"env":{"STAGE":"live"}}`, "labels=x", false, nil, ""},
		"not there":   {404, `gone`, "env=STAGE", true, nil, "404"},
		"not JSON":    {200, `<html>`, "env=STAGE", true, nil, "no object"},
		"of no bound": {200, `{"env":{"STAGE":"` + strings.Repeat("x", environmentMax) + `"}}`, "env=STAGE", true, nil, "no object"},
	} {
		t.Run(name, func(t *testing.T) {
			asked := false
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				asked = true
				w.WriteHeader(c.status)
				if _, err := w.Write([]byte(c.answer)); err != nil {
					t.Error(err)
				}
			}))
			defer server.Close() // It also ends the connections of the default client.
			path := filepath.Join(t.TempDir(), "log")
			d := open(t, shim("log-driver=json-file", "log-path="+path, c.option,
				"container-env-endpoint="+server.URL+"/secret"), Surroundings{})
			deliver(t, d, "x")
			if diff := cmp.Diff(c.want, fileLine(t, path)["attrs"]); diff != "" || asked != c.asked {
				t.Errorf("asked: %v; the attributes are others (-want +got):\n%s", asked, diff)
			}
			said := strings.Join(d.Warnings, " ")
			if (said == "") != (c.warning == "") || !strings.Contains(said, c.warning) || strings.Contains(said, "secret") {
				t.Errorf("the warnings are %q", d.Warnings)
			}
		})
	}
	t.Run("nobody there", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "log")
		d := open(t, shim("log-driver=json-file", "log-path="+path, "env=STAGE", "container-env-endpoint=http://127.0.0.1:1/secret"), Surroundings{})
		if said := strings.Join(d.Warnings, " "); !strings.Contains(said, "no answer") || strings.Contains(said, "secret") {
			t.Errorf("the warnings are %q", d.Warnings)
		}
	})
}

// TestAContainerIsWhatItsOptionsSay, as templates see it.
func TestAContainerIsWhatItsOptionsSay(t *testing.T) {
	c := config.Container{ID: "i", Name: "n", ImageID: "ii", ImageName: "in", Labels: map[string]string{"l": "1"}, Env: map[string]string{"E": "2"}}
	info := containerInfo(c)
	got := []any{info.ContainerID, info.ContainerName, info.ContainerImageID, info.ContainerImageName, info.ContainerLabels, info.ContainerEnv}
	want := []any{"i", "n", "ii", "in", map[string]string{"l": "1"}, []string{"E=2"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("a container is something else (-want +got):\n%s", diff)
	}
}
