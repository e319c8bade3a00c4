package runcatalog_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tinylib/msgp/msgp"

	"github.com/spillway/spillway/forward"
	"github.com/spillway/spillway/internal/awsauth/awsprofile"
	"github.com/spillway/spillway/internal/catalog/runcatalog"
	"github.com/spillway/spillway/internal/config/runfile"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/run"
)

// refuses takes no dead letters: there are none in these tests.
type refuses struct{ t *testing.T }

func (r refuses) Put(_ context.Context, all []record.Letter) error {
	for _, l := range all {
		r.t.Errorf("a dead letter: %+v", l)
	}
	return nil
}

// start starts a run of a file, whose text has $DIR for the test's directory.
func start(t *testing.T, dir, text string, getenv func(string) string) *run.Run {
	t.Helper()
	file, err := runfile.Parse(filepath.Join(dir, "spillway.yaml"), []byte(strings.ReplaceAll(text, "$DIR", dir)), getenv)
	if err != nil {
		t.Fatal(err)
	}
	state, err := os.MkdirTemp(dir, "state")
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	s := runcatalog.Surroundings{Getenv: getenv, StateDir: state, UserAgent: "test", Log: log}
	r, err := run.Start(file, run.Config{StateDir: state, OpenSink: s.OpenSink, OpenSource: s.OpenSource, DeadLetters: refuses{t}, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		report, err := r.Stop(time.Now().Add(2 * time.Minute))
		if err != nil || report.Unaccounted != 0 || report.Pending != 0 {
			t.Errorf("at the end: %v, %+v", err, report.Sheet)
		}
	})
	return r
}

// certificate writes a certificate for 127.0.0.1 and its key into dir.
func certificate(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, &c, &c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	text, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "EC PRIVATE KEY", Bytes: text}} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// freeAddr is an address on which nobody listens.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// TestTwoRuns: records go from one run to another by TLS with certificates on both
// sides, a shared key and a user, into a file, with the fields that ECS gives and
// the sender's address; each run acknowledges when the last has them.
func TestTwoRuns(t *testing.T) {
	dir := t.TempDir()
	certificate(t, dir)
	agent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"Cluster":"prod","TaskARN":"arn:task","Family":"web","Revision":"7"}`)
	}))
	defer agent.Close()
	getenv := func(name string) string {
		return map[string]string{"KEY": "secret", "PASSWORD": "word", "ECS_CONTAINER_METADATA_URI_V4": agent.URL, "AWS_EC2_METADATA_DISABLED": "true"}[name]
	}
	addr := freeAddr(t)
	start(t, dir, `
sources:
  in:
    type: forward
    listen: tls://`+addr+`
    tls-cert-file: $DIR/cert.pem
    tls-key-file: $DIR/key.pem
    tls-client-ca-file: $DIR/cert.pem
    shared-key: ${KEY}
    self-hostname: receiver
    users: [{name: me, password: "${PASSWORD}"}]
    add-tag-prefix: from
sinks:
  kept: {type: file, path: "$DIR/out/{tag}.log"}
routes:
  - {match: "from.**", to: kept}
`, getenv)
	start(t, dir, `
sources:
  in: {type: forward, listen: "unix:$DIR/in", ecs-metadata: true, source-hostname-key: host}
sinks:
  relay:
    type: forward
    servers: [tls://`+addr+`]
    tls-ca-file: $DIR/cert.pem
    tls-cert-file: $DIR/cert.pem
    tls-key-file: $DIR/key.pem
    shared-key: ${KEY}
    username: me
    password: ${PASSWORD}
    self-hostname: sender
    compress: zstd
routes:
  - {match: "**", to: relay}
`, getenv)
	conn, err := forward.Dial(t.Context(), forward.DialOptions{Network: "unix", Address: filepath.Join(dir, "in")})
	if err != nil {
		t.Fatal(err)
	}
	entry := msgp.AppendString(msgp.AppendString(msgp.AppendMapHeader(forward.AppendEntry(nil, 1e18), 1), "log"), "hello")
	if err := conn.Deliver(t.Context(), &forward.OutChunk{Tag: "app", Entries: [][]byte{entry}, Records: 1, ID: "1"}); err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "out", "from.app.log"))
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	delete(got, "time")
	delete(got, "tag")
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"log": "hello", "ecs_cluster": "prod", "ecs_task_arn": "arn:task", "ecs_task_definition": "web:7", "host": host}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestOpenFails: what cannot be opened says where it stands in the file.
func TestOpenFails(t *testing.T) {
	dir := t.TempDir()
	s := runcatalog.Surroundings{Getenv: func(string) string { return "" }, StateDir: dir, Log: slog.New(slog.DiscardHandler)}
	for _, c := range []struct{ text, want string }{
		{`sources: {in: {type: forward, listen: "unix:$DIR/in", shared-key: "${NONE}"}}`, "NONE"},
		{`sources: {in: {type: forward, listen: "tls://127.0.0.1:0", tls-cert-file: $DIR/none, tls-key-file: $DIR/none}}`, "none"},
		{`sources: {in: {type: forward, listen: "unix:$DIR/no/such/folder"}}`, "folder"},
	} {
		file, err := runfile.Parse("spillway.yaml", []byte(strings.ReplaceAll(c.text, "$DIR", dir)+
			"\nsinks: {kept: {type: file, path: /tmp/x}}\nroutes: [{match: x, to: kept}]\n"), s.Getenv)
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.OpenSource(&file.Sources[0], run.SourceOptions{Memory: 1 << 20})
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "spillway.yaml:1:") {
			t.Errorf("%s: %v", c.text, err)
		}
	}
}

// TestChangedAWS: a section aws that has changed changes the sinks that use it, and one
// whose credentials are not there is not used.
func TestChangedAWS(t *testing.T) {
	dir := t.TempDir()
	creds := filepath.Join(dir, "credentials")
	if err := os.WriteFile(creds, []byte("[default]\naws_access_key_id=a\naws_secret_access_key=b\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	getenv := func(string) string { return "" }
	file := func(aws string) *runfile.File {
		text := "aws: {imds: false" + aws + "}\nsources: {in: {type: forward, listen: \"unix:" + dir + "/in\"}}\n" +
			"sinks: {logs: {type: cloudwatch, group: g, stream: s, region: eu-central-1, endpoint: \"http://127.0.0.1:1\"}, kept: {type: file, path: " + dir + "/kept}}\n" +
			"routes: [{match: a, to: logs}, {match: b, to: kept}]\n"
		f, err := runfile.Parse(filepath.Join(dir, "spillway.yaml"), []byte(text), getenv)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	s := runcatalog.Surroundings{Getenv: getenv, UserAgent: "test", Log: log, Provider: awsprofile.Provider, Region: awsprofile.Region}
	r, err := run.Start(file(""), run.Config{OpenSink: s.OpenSink, OpenSource: s.OpenSource, DeadLetters: refuses{t}, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if _, err := r.Stop(time.Now().Add(2 * time.Minute)); err != nil {
			t.Error(err)
		}
	}()
	if did, err := r.Reload(file(", credentials-file: " + creds)); err != nil || len(did.LegsChanged) != 1 || !strings.Contains(did.LegsChanged[0], "logs") {
		t.Errorf("%+v, %v", did, err)
	}
	_, err = r.Reload(file(", credentials-file: " + dir + "/none"))
	if err == nil || !strings.Contains(err.Error(), "credentials-file: found no file "+dir+"/none (no such file or directory)") {
		t.Errorf("without its credentials: %v", err)
	}
	if missing := file(", credentials-file: " + dir + "/none").Missing(getenv); len(missing) != 1 || !strings.Contains(missing[0], dir+"/none") {
		t.Errorf("check says %q", missing)
	}
}
