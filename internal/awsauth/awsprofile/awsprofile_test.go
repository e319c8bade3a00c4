package awsprofile

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spillway/spillway/internal/awsauth"
)

// TestMain also plays `spillway aws-credentials`, so that the logger's way is tested with the real thing at its end.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "aws-credentials" {
		o := awsauth.Options{IMDS: true}
		for i := 2; i+1 < len(os.Args); i += 2 {
			switch os.Args[i] {
			case "--credentials-file":
				o.CredentialsFile = os.Args[i+1]
			case "--profile":
				o.Profile = os.Args[i+1]
			case "--ca-file":
				o.CAFile = os.Args[i+1]
			}
		}
		if err := WriteProcessCredentials(context.Background(), os.Stdout, o); err != nil {
			syscall.Exit(1) // Not os.Exit, with which the race detector waits a second for each program.
		}
		syscall.Exit(0)
	}
	os.Exit(m.Run())
}

const credentialsText = `
[default]
aws_access_key_id = AKDEFAULT
aws_secret_access_key = default-s3cr3t

[other]
aws_access_key_id = AKOTHER
aws_secret_access_key = other-s3cr3t
aws_session_token = other-token

[half]
aws_access_key_id = AKHALF

[process]
credential_process = sh -c 'echo "{\"Version\":1,\"AccessKeyId\":\"AKPROCESS\",\"SecretAccessKey\":\"s\",\"Expiration\":\"2099-01-01T00:00:00Z\"}"'

[chatty]
credential_process = sh -c 'echo my s3cr3t is 47114711'

[failing]
credential_process = sh -c 'echo s3cr3t; exit 3'
`

const configText = `
[default]
region = eu-south-1

[profile other]
region = eu-south-2

[profile region-only]
region = eu-north-1

[profile sso]
sso_start_url = https://sso.invalid/start
sso_region = eu-west-1
sso_account_id = 123456789012
sso_role_name = logs
region = eu-west-3

[profile mfa]
role_arn = arn:aws:iam::123456789012:role/logs
source_profile = other
mfa_serial = arn:aws:iam::123456789012:mfa/me
`

// isolate clears the environment of AWS, gives a home directory with the files above, and turns instance metadata off.
func isolate(t *testing.T) string {
	t.Helper()
	for _, entry := range os.Environ() {
		if name, _, _ := strings.Cut(entry, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "")
		}
	}
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	if err := os.Mkdir(filepath.Join(home, ".aws"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"credentials": credentialsText, "config": configText} {
		if err := os.WriteFile(filepath.Join(home, ".aws", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return home
}

// TestProfiles asks for each profile in both ways: within this process, and by running a program as the logger does.
// They must give the same.
func TestProfiles(t *testing.T) {
	elsewhere := filepath.Join(t.TempDir(), "elsewhere")
	if err := os.WriteFile(elsewhere, []byte("[default]\naws_access_key_id = AKELSEWHERE\naws_secret_access_key = s\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name                         string
		o                            awsauth.Options
		env                          map[string]string
		wantID, wantRegion, wantText string
	}{
		{name: "default", wantID: "AKDEFAULT", wantRegion: "eu-south-1"},
		{name: "named", o: awsauth.Options{Profile: "other"}, wantID: "AKOTHER", wantRegion: "eu-south-2"},
		{name: "of the environment", env: map[string]string{"AWS_PROFILE": "other"}, wantID: "AKOTHER", wantRegion: "eu-south-2"},
		{name: "file", o: awsauth.Options{CredentialsFile: elsewhere}, wantID: "AKELSEWHERE", wantRegion: "eu-south-1"},
		{
			name: "file beats web identity", o: awsauth.Options{CredentialsFile: elsewhere}, wantID: "AKELSEWHERE", wantRegion: "eu-south-1",
			env: map[string]string{"AWS_WEB_IDENTITY_TOKEN_FILE": "/missing", "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/logs"},
		},
		{name: "process", o: awsauth.Options{Profile: "process"}, wantID: "AKPROCESS"},
		{name: "missing profile", o: awsauth.Options{Profile: "nobody"}, wantText: `has a profile "nobody"`},
		{name: "missing file", o: awsauth.Options{CredentialsFile: elsewhere + ".missing"}, wantText: "no such file"},
		{name: "file without the profile", o: awsauth.Options{CredentialsFile: elsewhere, Profile: "third"}, wantText: `has a profile "third"`},
		{name: "region only", o: awsauth.Options{Profile: "region-only"}, wantRegion: "eu-north-1", wantText: "holds no credentials"},
		{name: "half a pair", o: awsauth.Options{Profile: "half"}, wantText: "partial credentials"},
		{name: "sso without a session", o: awsauth.Options{Profile: "sso"}, wantRegion: "eu-west-3", wantText: "SSO"},
		{name: "role with a second factor", o: awsauth.Options{Profile: "mfa"}, wantText: "MFA"},
		{name: "chatty process", o: awsauth.Options{Profile: "chatty"}, wantText: "credential_process gave no object"},
		{name: "failing process", o: awsauth.Options{Profile: "failing"}, wantText: "credential_process failed (exit status 3)"},
	} {
		for way, o := range map[string]awsauth.Options{"heavy": {}, "light": {ProgramPath: program}} {
			t.Run(c.name+"/"+way, func(t *testing.T) {
				isolate(t)
				for name, value := range c.env {
					t.Setenv(name, value)
				}
				o.Profile, o.CredentialsFile = c.o.Profile, c.o.CredentialsFile
				providerOf, regionOf := Provider, Region
				if way == "light" {
					providerOf, regionOf = awsauth.Provider, awsauth.Region
				}
				provider, err := providerOf(o)
				if err != nil {
					t.Fatal(err)
				}
				creds, err := provider.Retrieve(t.Context())
				if creds.AccessKeyID != c.wantID || (err != nil) != (c.wantID == "") {
					t.Errorf("credentials of %q, %v, want those of %q", creds.AccessKeyID, err, c.wantID)
				}
				checkText(t, err, c.wantText)
				region, err := regionOf(t.Context(), o)
				if region != c.wantRegion {
					t.Errorf("region %q, %v, want %q", region, err, c.wantRegion)
				}
				checkText(t, err, "")
			})
		}
	}
}

func checkText(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil {
		return
	}
	text := err.Error()
	if !strings.Contains(text, want) {
		t.Errorf("error %v, want it to say %q", err, want)
	}
	if strings.Contains(text, "s3cr3t") || strings.Contains(text, "47114711") || strings.Contains(text, "\n") {
		t.Errorf("error shows a secret or is not one line: %q", text)
	}
}

// sts answers AssumeRoleWithWebIdentity, with a failure if fail is set, and counts the calls.
func sts(t *testing.T, fail bool) (*httptest.Server, *atomic.Int64) {
	t.Helper()
	calls := new(atomic.Int64)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		if err := r.ParseForm(); err != nil || r.Form.Get("WebIdentityToken") != "web-s3cr3t" {
			t.Errorf("form %v, %v", r.Form, err)
		}
		w.Header().Set("Content-Type", "text/xml")
		if fail {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `<ErrorResponse><Error><Code>InvalidIdentityToken</Code><Message>the provider was not found</Message></Error></ErrorResponse>`)
			return
		}
		fmt.Fprintf(w, `<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>
			<AccessKeyId>AKWEB</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>
			<Expiration>%s</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`,
			time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	}))
	t.Cleanup(server.Close)
	return server, calls
}

// TestWebIdentity covers the environment of an EKS pod, and that a refusal which the SDK likes to retry is asked once.
func TestWebIdentity(t *testing.T) {
	for _, fail := range []bool{false, true} {
		t.Run(fmt.Sprintf("fail=%t", fail), func(t *testing.T) {
			home := isolate(t)
			server, calls := sts(t, fail)
			token := filepath.Join(home, "token")
			if err := os.WriteFile(token, []byte("web-s3cr3t"), 0o600); err != nil {
				t.Fatal(err)
			}
			for name, value := range map[string]string{
				"AWS_WEB_IDENTITY_TOKEN_FILE": token, "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/logs",
				"AWS_ENDPOINT_URL_STS": server.URL, "AWS_REGION": "eu-west-1", "AWS_MAX_ATTEMPTS": "5", "AWS_RETRY_MODE": "adaptive",
			} {
				t.Setenv(name, value)
			}
			provider, err := Provider(awsauth.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if calls.Load() != 0 {
				t.Error("making the provider asked STS")
			}
			creds, err := provider.Retrieve(t.Context())
			if fail {
				checkText(t, err, "STS AssumeRoleWithWebIdentity: answered HTTP 400: InvalidIdentityToken: the provider was not found")
			}
			if (creds.AccessKeyID == "AKWEB") == fail || (err != nil) != fail || calls.Load() != 1 {
				t.Errorf("key %q, %v after %d calls", creds.AccessKeyID, err, calls.Load())
			}
		})
	}
}

// TestWriteProcessCredentials compares what the command prints.
func TestWriteProcessCredentials(t *testing.T) {
	ends := time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC)
	for profile, want := range map[string]awsauth.ProcessDocument{
		"other":   {Version: 1, AccessKeyID: "AKOTHER", SecretAccessKey: "other-s3cr3t", SessionToken: "other-token", Region: "eu-south-2"},
		"process": {Version: 1, AccessKeyID: "AKPROCESS", SecretAccessKey: "s", Expiration: &ends},
		"region-only": {
			Version: 1, Region: "eu-north-1", NotConfigured: true, Reason: "not configured: it holds no credentials",
		},
	} {
		isolate(t)
		var out bytes.Buffer
		err := WriteProcessCredentials(t.Context(), &out, awsauth.Options{Profile: profile})
		if errors.Is(err, awsauth.ErrNotConfigured) != want.NotConfigured || (err != nil) != want.NotConfigured {
			t.Errorf("%s: error %v", profile, err)
		}
		var got awsauth.ProcessDocument
		if err := json.Unmarshal(out.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", profile, diff)
		}
		if strings.Count(out.String(), "\n") != 1 {
			t.Errorf("%s: want one line, found %q", profile, out.String())
		}
	}
}

func TestWriteFailure(t *testing.T) {
	isolate(t)
	reader, writer := io.Pipe()
	reader.Close()
	if err := WriteProcessCredentials(t.Context(), writer, awsauth.Options{}); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("error %v, want that of the writer", err)
	}
}

// TestUnreadableFile checks that a file which the SDK would take as empty is named.
func TestUnreadableFile(t *testing.T) {
	home := isolate(t)
	path := filepath.Join(home, ".aws", "credentials")
	// A symbolic link to itself cannot be opened by anyone, root included.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(path, path); err != nil {
		t.Fatal(err)
	}
	provider, err := Provider(awsauth.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = provider.Retrieve(t.Context())
	if err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v, want it to name %s", err, path)
	}
}

// TestDefaultsModeAsksNothing checks that loading never asks for instance metadata, whatever the mode says. The client
// of the stand-in service would have to dial it, so that a request is a failure of the test.
func TestDefaultsModeAsksNothing(t *testing.T) {
	isolate(t)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("metadata was asked for %s", r.URL.Path)
	}))
	defer server.Close()
	t.Setenv("AWS_EC2_METADATA_DISABLED", "")
	t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", server.URL)
	t.Setenv("AWS_DEFAULTS_MODE", "auto")
	for _, profile := range []string{"", "region-only"} {
		err := WriteProcessCredentials(t.Context(), io.Discard, awsauth.Options{Profile: profile, IMDS: true})
		if (err == nil) != (profile == "") {
			t.Errorf("profile %q: %v", profile, err)
		}
	}
}
