package awsauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestEndpointOption(t *testing.T) {
	const secret = "hunter2"
	for _, c := range []struct{ option, want, wantError string }{
		{option: "/v2/credentials/x?y=z", want: "http://169.254.170.2/v2/credentials/x?y=z"},
		{option: "//other.example/x", want: "http://169.254.170.2//other.example/x"},
		{option: "http://127.0.0.1:51679/creds", want: "http://127.0.0.1:51679/creds"},
		{option: "http://LOCALHOST/", want: "http://LOCALHOST/"},
		{option: "http://[::1]:8080/", want: "http://[::1]:8080/"},
		{option: "http://[::ffff:127.0.0.1]/", want: "http://[::ffff:127.0.0.1]/"},
		{option: "http://169.254.170.23/v1/credentials", want: "http://169.254.170.23/v1/credentials"},
		{option: "http://[fd00:ec2::23]/v1/credentials", want: "http://[fd00:ec2::23]/v1/credentials"},
		{option: "https://credentials.example/x", want: "https://credentials.example/x"},
		{option: "http://169.254.169.254/x", wantError: "plain text"},
		{option: "http://localhost.example/x", wantError: "plain text"},
		{option: "http://127.0.0.1.example/x", wantError: "plain text"},
		{option: "http://u:" + secret + "@10.0.0.1/" + secret, wantError: "plain text"},
		{option: "http://u:" + secret + "#@host/", wantError: "expected a path"},
		{option: "v2/" + secret, wantError: "expected a path"},
		{option: "ftp://127.0.0.1/x", wantError: "expected a path"},
		{option: "http:///x", wantError: "expected a path"},
		{option: "http://127.0.0.1/\x00", wantError: "expected a path"},
	} {
		u, err := parseEndpointOption(c.option)
		if c.wantError != "" {
			if err == nil || !strings.Contains(err.Error(), c.wantError) || strings.Contains(err.Error(), secret) {
				t.Errorf("%q: error %v, want it to say %q and nothing secret", c.option, err, c.wantError)
			}
			if _, err := Provider(Options{CredentialsEndpoint: c.option}); err == nil {
				t.Errorf("%q: Provider took it", c.option)
			}
			continue
		}
		if err != nil || u.String() != c.want {
			t.Errorf("%q: %v, %v, want %q", c.option, u, err, c.want)
		}
	}
}

// TestEndpointAnswers checks that each answer is asked for once, becomes one clear line, and is never quoted where it
// could hold a key.
func TestEndpointAnswers(t *testing.T) {
	const secretPath = "/v2/credentials/0a1b2c3d-secret"
	answer := func(status int, kind, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(status)
			// A client that has read enough hangs up, so the write may fail.
			_, err := io.WriteString(w, body)
			if err != nil {
				return
			}
		}
	}
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		want    string
	}{
		"refused":      {answer(403, "application/json", `{"code":"Denied","message":"no\nrole"}`), "answered HTTP 403: Denied: no role"},
		"echo":         {answer(404, "text/plain", "no credentials at "+secretPath), "answered HTTP 404: no credentials at (hidden)"},
		"server error": {answer(503, "text/plain", ""), "answered HTTP 503"},
		"throttled":    {answer(429, "text/plain", "slow down"), "answered HTTP 429: slow down"},
		"redirect":     {answer(307, "text/plain", ""), "answered HTTP 307"},
		"null error":   {answer(500, "application/json", "null"), "answered HTTP 500: null"},
		"null":         {answer(200, "application/json", "null"), errNoObject.Error()},
		"list":         {answer(200, "application/json", `["s3cr3t"]`), errNoObject.Error()},
		"half":         {answer(200, "application/json", `{"SecretAccessKey":"s3cr3t`), errNoObject.Error()},
		"number":       {answer(200, "application/json", `{"SecretAccessKey":47114711}`), errNoObject.Error()},
		"date":         {answer(200, "application/json", `{"AccessKeyId":"k","SecretAccessKey":"s","Expiration":"s3cr3t"}`), errNoObject.Error()},
		"no keys":      {answer(200, "application/json", `{}`), "holds no access key"},
		"ended":        {keys("k", time.Now().Add(-time.Hour)), "ended at"},
		"flood":        {answer(200, "application/json", `{"x":"`+strings.Repeat("s3cr3t", 20_000)+`"}`), "longer than 65536 bytes"},
		"long words":   {answer(500, "text/plain", strings.Repeat("long ", 1000)), "…"},
	} {
		t.Run(name, func(t *testing.T) {
			isolate(t)
			server := serve(t, c.handler)
			_, err := retrieve(t, Options{CredentialsEndpoint: server.URL + secretPath})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want it to say %q", err, c.want)
			}
			for _, secret := range []string{"s3cr3t", "47114711", "0a1b2c3d", "\n"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("error shows %q: %v", secret, err)
				}
			}
			if len(err.Error()) > 1000 {
				t.Errorf("error of %d bytes", len(err.Error()))
			}
			if asked := server.asked.Load(); asked != 1 {
				t.Errorf("asked %d times, want once", asked)
			}
		})
	}
}

func TestEndpointRefusesConnection(t *testing.T) {
	isolate(t)
	server := serve(t, keys("k", time.Now().Add(time.Hour)))
	target := server.URL + "/secret-path"
	server.Close()
	_, err := retrieve(t, Options{CredentialsEndpoint: target})
	if err == nil || !strings.Contains(err.Error(), "connection refused") || strings.Contains(err.Error(), "secret-path") {
		t.Errorf("error %v, want the refused connection without the path", err)
	}
}

// TestEndpointOverTLS checks that an endpoint beyond the node is believed only with the right authority.
func TestEndpointOverTLS(t *testing.T) {
	isolate(t)
	server := httptest.NewUnstartedServer(keys("k", time.Now().Add(time.Hour)))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // It would report the handshake that is meant to fail.
	server.StartTLS()
	defer server.Close()
	if got, err := retrieve(t, Options{CredentialsEndpoint: server.URL}); err == nil || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("without the authority: %q, %v, want it refused", got, err)
	}
	if got, err := retrieve(t, Options{CredentialsEndpoint: server.URL, CAFile: authorityFile(t, server)}); got != "k" {
		t.Errorf("with the authority: %q, %v", got, err)
	}
}

// TestHangingEndpoint checks that a caller is held no longer than its context, and that nothing was asked before.
func TestHangingEndpoint(t *testing.T) {
	isolate(t)
	arrived := make(chan struct{})
	server := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
	})
	provider, err := Provider(Options{CredentialsEndpoint: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	if asked := server.asked.Load(); asked != 0 {
		t.Fatalf("making the provider asked %d times", asked)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-arrived
		cancel()
	}()
	if _, err := provider.Retrieve(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that of the context", err)
	}
	server.CloseClientConnections()
}

func TestContainerToken(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	for _, c := range []struct {
		name, variable, path, text string
		wantHeader, wantError      string
	}{
		{name: "none"},
		{name: "variable", variable: "Basic abc", wantHeader: "Basic abc"},
		{name: "file wins", variable: "Basic abc", path: file, text: "Bearer def", wantHeader: "Bearer def"},
		{name: "line end", path: file, text: "Bearer def\r\n", wantHeader: "Bearer def"},
		{name: "two lines", path: file, text: "t0ken\nX-Evil: 1", wantError: "expected one line"},
		{name: "empty", path: file, text: "\n", wantError: "expected one line"},
		{name: "long", path: file, text: strings.Repeat("t0ken", 20_000), wantError: "expected one line"},
		{name: "missing", path: file + ".missing", wantError: "no such file"},
		{name: "directory", path: filepath.Dir(file), wantError: "is a directory"},
		{name: "echoed", variable: "t0ken", wantHeader: "t0ken", wantError: "bad token (hidden)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			isolate(t)
			header := make(chan string, 1)
			server := serve(t, func(w http.ResponseWriter, r *http.Request) {
				header <- r.Header.Get("Authorization")
				if c.name == "echoed" {
					w.WriteHeader(http.StatusForbidden)
					fmt.Fprintf(w, "bad token %s", r.Header.Get("Authorization"))
					return
				}
				keys("k", time.Now().Add(time.Hour))(w, r)
			})
			if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", server.URL+"/creds")
			t.Setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", c.variable)
			t.Setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", c.path)
			_, err := retrieve(t, Options{})
			if c.wantError == "" && err != nil {
				t.Fatal(err)
			}
			if c.wantError != "" && (err == nil || !strings.Contains(err.Error(), c.wantError) || strings.Contains(err.Error(), "t0ken")) {
				t.Fatalf("error %v, want it to say %q and not the token", err, c.wantError)
			}
			if c.wantError == "" || c.wantHeader != "" {
				if got := <-header; got != c.wantHeader {
					t.Errorf("Authorization %q, want %q", got, c.wantHeader)
				}
			}
		})
	}
}

// TestEndpointOptionSendsNoToken checks that a token goes only to the endpoint it belongs to.
func TestEndpointOptionSendsNoToken(t *testing.T) {
	isolate(t)
	t.Setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "t0ken")
	header := make(chan string, 1)
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		header <- r.Header.Get("Authorization")
		keys("k", time.Now().Add(time.Hour))(w, r)
	})
	if _, err := retrieve(t, Options{CredentialsEndpoint: server.URL}); err != nil {
		t.Fatal(err)
	}
	if got := <-header; got != "" {
		t.Errorf("Authorization %q, want none", got)
	}
}

func TestRelativeURI(t *testing.T) {
	isolate(t)
	t.Setenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/id")
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1/other")
	u, err := containerEndpoint()
	if err != nil || u.String() != "http://169.254.170.2/v2/credentials/id" {
		t.Errorf("%v, %v, want the ECS host and the relative path", u, err)
	}
}

// TestOptionsShowNoSecret prints options in every way there is.
func TestOptionsShowNoSecret(t *testing.T) {
	o := Options{CredentialsEndpoint: "/v2/credentials/s3cr3t", Proxy: "http://u:s3cr3t@proxy.example:3128", Profile: "p"}
	asJSON, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	document := ProcessDocument{Version: 1, AccessKeyID: "s3cr3t", SecretAccessKey: "s3cr3t", SessionToken: "s3cr3t"}
	for _, text := range []string{
		fmt.Sprint(o), fmt.Sprintf("%+v", o), fmt.Sprintf("%#v", o), fmt.Sprintf("%s %q", o, &o), string(asJSON),
		fmt.Sprintf("%v %+v %#v", document, document, &document),
	} {
		if strings.Contains(text, "s3cr3t") {
			t.Errorf("shows a secret: %s", text)
		}
	}
	if text := fmt.Sprint(o); !strings.Contains(text, "proxy:http://proxy.example:3128") || !strings.Contains(text, "profile:p") {
		t.Errorf("shows too little: %s", text)
	}
}

// FuzzEndpointAnswer feeds any answer to the endpoint's decoder: it must neither panic, nor take an
// error for a success, nor make an error of more than one short line.
func FuzzEndpointAnswer(f *testing.F) {
	f.Add(200, "application/json", []byte(`{"AccessKeyId":"k","SecretAccessKey":"s"}`))
	f.Add(200, "application/json", []byte(`null`))
	f.Add(404, "application/json", []byte(`null`))
	f.Add(500, "text/plain", []byte("no"))
	f.Fuzz(func(t *testing.T, status int, kind string, body []byte) {
		if status < 200 || status > 599 {
			status = http.StatusOK
		}
		o := Options{HTTPClient: &http.Client{Transport: answering{status, kind, body}, CheckRedirect: noRedirect}}
		target := &url.URL{Scheme: "http", Host: "127.0.0.1", Path: "/secret-path"}
		creds, err := askEndpoint(t.Context(), o, target, "secret-token")
		if status/100 != 2 && (err == nil || creds.HasKeys()) {
			t.Errorf("an answer with status %d was taken for a success", status)
		}
		if err != nil {
			if text := err.Error(); strings.Contains(text, "\n") || len(text) > maxAnswerText+100 || strings.Contains(text, "secret-token") {
				t.Errorf("error is not one short line: %q", text)
			}
		}
	})
}

// answering is a transport without a network.
type answering struct {
	status int
	kind   string
	body   []byte
}

func (a answering) RoundTrip(request *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: a.status, Header: http.Header{"Content-Type": {a.kind}}, Request: request,
		Body: io.NopCloser(strings.NewReader(string(a.body))), ProtoMajor: 1, ProtoMinor: 1,
	}, nil
}
