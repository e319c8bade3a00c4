package awsauth

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// testProxy is the proxy of the environment in these tests. net/http reads it once, so it is set before anything runs.
const testProxy = "http://proxy.invalid:3128"

// TestMain also plays the spillway program: tests give this test binary as ProgramPath.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "aws-credentials" {
		// Not os.Exit, with which the race detector waits a second for each program.
		syscall.Exit(playProgram(os.Args[2:]))
	}
	for _, name := range []string{"HTTPS_PROXY", "HTTP_PROXY"} {
		if err := os.Setenv(name, testProxy); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m)
}

// playProgram does what the profile's name says. The credentials file is where it leaves what the test wants to know.
func playProgram(args []string) int {
	flags := map[string]string{}
	for i := 0; i+1 < len(args); i += 2 {
		flags[args[i]] = args[i+1]
	}
	note := flags["--credentials-file"]
	switch flags["--profile"] {
	case "", "good":
		fmt.Println(`{"Version":1,"AccessKeyId":"AKPROGRAM","SecretAccessKey":"program-secret","SessionToken":"program-token","Expiration":"2099-01-01T00:00:00Z","Region":"eu-south-2"}`)
	case "region-only":
		fmt.Println(`{"Version":1,"Region":"eu-south-2","NotConfigured":true,"Reason":"not configured: it holds no credentials"}`)
		return 1
	case "none":
		fmt.Println(`{"Version":1,"NotConfigured":true,"Reason":"not configured: it holds no credentials"}`)
		return 1
	case "refused":
		leaveNote(note, "x")
		fmt.Println(`{"Version":1,"Reason":"STS AssumeRole: answered HTTP 403: AccessDenied"}`)
		return 1
	case "flood":
		for {
			if _, err := os.Stdout.WriteString(strings.Repeat("f", 4096)); err != nil {
				return 1
			}
		}
	case "garbage":
		fmt.Println(`SECRETGARBAGE {"SecretAccessKey":`)
	case "number":
		fmt.Println(`{"Version":1,"AccessKeyId":47114711}`)
	case "keyless":
		fmt.Println(`{"Version":1,"AccessKeyId":"AKPROGRAM"}`)
	case "env":
		leaveNote(note, strings.Join(os.Environ(), "\n"))
		fmt.Println(`{"Version":1,"AccessKeyId":"AKPROGRAM","SecretAccessKey":"program-secret"}`)
	case "hang":
		hang(note)
	}
	return 0
}

func leaveNote(path, text string) {
	if path == "" {
		return
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		panic(err)
	}
	defer file.Close()
	if _, err := file.WriteString(text); err != nil {
		panic(err)
	}
}

// hang keeps a FIFO open, here and in a child that also holds the standard output, and waits for ever.
func hang(fifo string) {
	file, err := os.OpenFile(fifo, os.O_WRONLY, 0)
	if err != nil {
		panic(err)
	}
	child := exec.Command("/bin/sleep", "600")
	child.Stdout = os.Stdout
	child.ExtraFiles = []*os.File{file}
	if err := child.Start(); err != nil {
		panic(err)
	}
	if _, err := file.WriteString("x"); err != nil {
		panic(err)
	}
	time.Sleep(10 * time.Minute)
}

// isolate clears what the surroundings of a test could add, and turns instance metadata off.
func isolate(t *testing.T) {
	t.Helper()
	for _, entry := range os.Environ() {
		if name, _, _ := strings.Cut(entry, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "")
		}
	}
	t.Setenv("HOME", t.TempDir())
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
}

// loopbackClient refuses to dial anything but loopback.
func loopbackClient(t *testing.T) *http.Client {
	t.Helper()
	dialer := &net.Dialer{Control: func(_, address string, _ syscall.RawConn) error {
		host, _, err := net.SplitHostPort(address)
		if err != nil || !net.ParseIP(host).IsLoopback() {
			return fmt.Errorf("a test must not reach %s", address)
		}
		return nil
	}}
	transport := &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true}
	return &http.Client{Transport: transport, CheckRedirect: noRedirect}
}

// endpoint is a stand-in for a container's credentials endpoint.
type endpoint struct {
	*httptest.Server
	asked atomic.Int64
}

func serve(t *testing.T, handler http.HandlerFunc) *endpoint {
	t.Helper()
	e := &endpoint{}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.asked.Add(1)
		handler(w, r)
	}))
	t.Cleanup(e.Close)
	return e
}

// keys answers as the ECS agent does.
func keys(id string, ends time.Time) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		answer := map[string]string{"AccessKeyId": id, "SecretAccessKey": "s", "Token": "t", "Expiration": ends.UTC().Format(time.RFC3339)}
		if err := json.NewEncoder(w).Encode(answer); err != nil {
			panic(err)
		}
	}
}

// serveMetadata is a stand-in for the instance metadata service, and points the SDK at it.
func serveMetadata(t *testing.T, id string) *endpoint {
	t.Helper()
	e := serve(t, func(w http.ResponseWriter, r *http.Request) {
		answer := ""
		switch r.URL.Path {
		case "/latest/api/token":
			w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "300")
			answer = "metadata-token"
		case "/latest/meta-data/iam/security-credentials/":
			answer = "role"
		case "/latest/meta-data/iam/security-credentials/role":
			answer = fmt.Sprintf(`{"Code":"Success","AccessKeyId":%q,"SecretAccessKey":"s","Token":"t","Expiration":%q}`,
				id, time.Now().Add(6*time.Hour).UTC().Format(time.RFC3339))
		case "/latest/dynamic/instance-identity/document":
			answer = `{"region":"ap-south-2"}`
		default:
			w.WriteHeader(http.StatusNotFound)
		}
		if _, err := w.Write([]byte(answer)); err != nil {
			panic(err)
		}
	})
	t.Setenv("AWS_EC2_METADATA_DISABLED", "")
	t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", e.URL)
	return e
}

func self(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// retrieve makes a provider and asks it once.
func retrieve(t *testing.T, o Options) (string, error) {
	t.Helper()
	provider, err := Provider(o)
	if err != nil {
		t.Fatalf("Provider: %v", err)
	}
	creds, err := provider.Retrieve(context.Background())
	return creds.AccessKeyID, err
}

// eachCombination runs a test for every choice of places; want is the first of those that
// are on, or empty.
func eachCombination(t *testing.T, places []string, test func(t *testing.T, on func(place int) bool, want string)) {
	for combination := range 1 << len(places) {
		on := func(place int) bool { return combination>>place&1 == 1 }
		want, name := "", "none"
		for i, place := range places {
			if !on(i) {
				continue
			}
			want = cmp.Or(want, place)
			name += "+" + place
		}
		t.Run(name, func(t *testing.T) { test(t, on, want) })
	}
}
