package awsauth

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"
)

func newTestProgram(t *testing.T, profile, note string) *program {
	t.Helper()
	isolate(t)
	p, err := newProgram(Options{ProgramPath: self(t), Profile: profile, CredentialsFile: note})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestProgramCredentials(t *testing.T) {
	got, err := newTestProgram(t, "good", "").Credentials(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := aws.Credentials{
		AccessKeyID: "AKPROGRAM", SecretAccessKey: "program-secret", SessionToken: "program-token", Source: "profile",
		CanExpire: true, Expires: time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("credentials (-want +got):\n%s", diff)
	}
}

// TestProgramFailures checks that every failure names the command, and none quotes what the program printed.
func TestProgramFailures(t *testing.T) {
	for profile, want := range map[string]string{
		"refused":     "answered HTTP 403: AccessDenied",
		"none":        "not configured: it holds no credentials",
		"region-only": "not configured: it holds no credentials",
		"garbage":     "printed no credential process object",
		"number":      "printed no credential process object",
		"keyless":     "an object without keys",
		"flood":       "printed more than 65536 bytes",
		"silent":      "exit status 0",
	} {
		t.Run(profile, func(t *testing.T) {
			_, err := newTestProgram(t, profile, "").Credentials(t.Context())
			if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "aws-credentials --profile "+profile) {
				t.Fatalf("error %v, want it to say %q and the command", err, want)
			}
			if strings.Contains(err.Error(), "SECRETGARBAGE") || strings.Contains(err.Error(), "47114711") {
				t.Errorf("error quotes the output: %v", err)
			}
			if wantNone := profile == "none" || profile == "region-only"; errors.Is(err, ErrNotConfigured) != wantNone {
				t.Errorf("not configured: %t, want %t", !wantNone, wantNone)
			}
		})
	}
}

func TestProgramMissing(t *testing.T) {
	isolate(t)
	_, err := retrieve(t, Options{ProgramPath: filepath.Join(t.TempDir(), "spillway"), Profile: "p"})
	if err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("error %v, want the missing program", err)
	}
}

// TestProgramBeside checks where the program is looked for when nobody says where.
func TestProgramBeside(t *testing.T) {
	p, err := newProgram(Options{})
	if err != nil || p.path != filepath.Join(filepath.Dir(self(t)), "spillway") {
		t.Errorf("%v, %v, want spillway beside the test binary", p, err)
	}
}

// TestProgramEnvironment checks that the program gets what it needs under containerd, whose loggers have neither HOME
// nor PATH, and nothing else.
func TestProgramEnvironment(t *testing.T) {
	isolate(t)
	t.Setenv("DATABASE_PASSWORD", "hunter2")
	t.Setenv("AWS_PROFILE", "from-environment")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "")
	t.Setenv("NO_PROXY", "10.0.0.0/8")
	for _, name := range []string{"HOME", "PATH", "SSL_CERT_FILE", "SSL_CERT_DIR"} {
		t.Setenv(name, "") // So that it is set again afterwards.
		if err := os.Unsetenv(name); err != nil {
			t.Fatal(err)
		}
	}
	note := filepath.Join(t.TempDir(), "note")
	p, err := newProgram(Options{
		ProgramPath: self(t), Profile: "env", CredentialsFile: note, Proxy: "http://u:p@proxy.example:1", CAFile: "/ca.pem", Region: "eu-north-1",
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Credentials(t.Context()); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(note)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, entry := range strings.Split(string(text), "\n") {
		name, value, _ := strings.Cut(entry, "=")
		if value != "" {
			got[name] = value
		}
	}
	home, err := homeDir()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"HOME": home, "PATH": fallbackPath, "AWS_PROFILE": "from-environment", "NO_PROXY": "10.0.0.0/8",
		"HTTP_PROXY": "http://u:p@proxy.example:1", "HTTPS_PROXY": "http://u:p@proxy.example:1",
		"AWS_REGION": "eu-north-1", "AWS_EC2_METADATA_DISABLED": "true",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
	arguments := []string{"aws-credentials", "--credentials-file", note, "--profile", "env", "--ca-file", "/ca.pem"}
	if diff := cmp.Diff(arguments, p.args); diff != "" {
		t.Errorf("arguments (-want +got):\n%s", diff)
	}
}

// TestProgramHang checks that the program and its children die with the context: the FIFO they hold open ends.
func TestProgramHang(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	p := newTestProgram(t, "hang", fifo)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := p.Credentials(ctx)
		ended <- err
	}()
	file, err := os.Open(fifo)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := io.ReadFull(file, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "no answer in time") {
		t.Errorf("error %v, want that there was no answer", err)
	}
	if _, err := io.ReadAll(file); err != nil {
		t.Errorf("read until the children died: %v", err)
	}
}

// TestProgramFailureIsHeld checks that callers who ask all the time do not start a program each time.
func TestProgramFailureIsHeld(t *testing.T) {
	note := filepath.Join(t.TempDir(), "note")
	p := newTestProgram(t, "refused", note)
	runs := func() int {
		text, err := os.ReadFile(note)
		if err != nil {
			t.Fatal(err)
		}
		return len(text)
	}
	for range 3 {
		if _, err := p.Credentials(t.Context()); err == nil {
			t.Fatal("a refused profile gave credentials")
		}
	}
	if got := runs(); got != 1 {
		t.Errorf("%d runs for three failures at once, want 1", got)
	}
	p.failedAt = p.failedAt.Add(-failureHold)
	if _, err := p.Credentials(t.Context()); err == nil || runs() != 2 {
		t.Errorf("%v after %d runs, want another failure after 2", err, runs())
	}
}

// TestWithoutProfileNoProgram checks that nothing is run where there is no sign of a profile.
func TestWithoutProfileNoProgram(t *testing.T) {
	isolate(t)
	_, err := retrieve(t, Options{ProgramPath: self(t)})
	if err == nil || !strings.Contains(err.Error(), "exists") {
		t.Errorf("error %v, want that no file exists", err)
	}
	if _, err := Region(t.Context(), Options{ProgramPath: self(t)}); err == nil || !strings.Contains(err.Error(), "exists") {
		t.Errorf("error %v, want that no file exists", err)
	}
}

// FuzzProcessDocument reads any output of a program: it must give two keys or an error that quotes nothing.
func FuzzProcessDocument(f *testing.F) {
	f.Add([]byte(`{"Version":1,"AccessKeyId":"k","SecretAccessKey":"s","Expiration":"2026-01-01T00:00:00Z"}`))
	f.Add([]byte(`{"Version":1,"NotConfigured":true,"Reason":"r\n"}`))
	f.Add([]byte(`null`))
	f.Add([]byte(`{"Version":2}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		document, err := parseProcessDocument(text)
		if err != nil {
			if !errors.Is(err, errNoDocument) {
				t.Errorf("error %v", err)
			}
			return
		}
		creds, err := document.credentials()
		if (err == nil) != creds.HasKeys() {
			t.Errorf("keys %t with error %v", creds.HasKeys(), err)
		}
		if err != nil && (strings.ContainsAny(err.Error(), "\n\x1b") || len(err.Error()) > maxAnswerText+100) {
			t.Errorf("error is not one short line: %q", err)
		}
	})
}
