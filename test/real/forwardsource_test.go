package real

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/spillway/spillway/test/launcher"
	"github.com/spillway/spillway/test/launcher/harness"
	"github.com/spillway/spillway/test/real/parts"
)

// relay is a spillway run whose source speaks the forward protocol over TCP, TLS and a unix socket,
// and whose sink is a file.
type relay struct {
	t              *testing.T
	tcp, tls, unix string
	dir, file      string
	process        *runProcess
}

// Secrets of the tests; a configuration names variables of the environment.
const (
	sharedKey = "the key"
	password  = "secret"
)

// startRelay starts one. settings are further lines of the source, such as a shared key.
func startRelay(t *testing.T, bin *harness.Programs, settings string) *relay {
	t.Helper()
	return startRelayBy(t, bin, settings, "")
}

// startRelayBy is startRelay with more keys of the route, such as ", mode: spill".
func startRelayBy(t *testing.T, bin *harness.Programs, settings, route string) *relay {
	t.Helper()
	r := &relay{t: t, dir: parts.WorkDir(t, "relay")}
	r.tcp, r.tls, r.unix = freeAddress(t), freeAddress(t), filepath.Join(r.dir, "app.sock")
	r.file = filepath.Join(r.dir, "out.log")
	certificate(t, r.dir)
	config := filepath.Join(r.dir, "spillway.yaml")
	writeFile(t, config, fmt.Sprintf(`sources:
  app:
    type: forward
    listen: ["%s", "tls://%s", "unix:%s"]
    tls-cert-file: %s
    tls-key-file: %s
%s
sinks:
  kept: {type: file, path: "%s", tag-key: tag, time-key: time}
routes:
  - {match: "real.**", to: kept%s}
`, r.tcp, r.tls, r.unix, filepath.Join(r.dir, "cert.pem"), filepath.Join(r.dir, "key.pem"), settings, r.file, route))
	r.process = startRun(t, bin.Spillway, config, filepath.Join(r.dir, "state"), "SHARED_KEY="+sharedKey, "PASSWORD="+password)
	for _, address := range []struct{ network, at string }{{"tcp", r.tcp}, {"tcp", r.tls}, {"unix", r.unix}} {
		r.process.await(address.network, address.at)
	}
	return r
}

// order is one to this relay.
func (r *relay) order(network string) parts.ForwardOrder {
	address := map[string]string{"tcp": r.tcp, "tls": r.tls, "unix": r.unix}[network]
	return parts.ForwardOrder{Network: network, Address: address, Records: 500, Tags: 7}
}

// check ends the run and compares what is in the file with what was ordered: every record once, with
// its tag, its text and its time to the nanosecond that was sent.
func (r *relay) check(order parts.ForwardOrder) {
	r.t.Helper()
	report := r.process.stop()
	if n := int64(order.Records); report.Received != n || report.Delivered != n || report.Dropped+report.DeadLettered+report.Pending+report.Unaccounted != 0 {
		r.t.Errorf("the balance is %+v, expected %d records received and delivered", report, n)
	}
	f, err := os.Open(r.file)
	if err != nil {
		r.t.Fatal(err)
	}
	defer f.Close()
	seen := make([]int, order.Records)
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var e struct {
			N         int
			Tag, Text string
			Time      time.Time
		}
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil || e.N < 0 || e.N >= order.Records {
			r.t.Fatalf("found the line %q (%v)", lines.Text(), err)
		}
		at := time.Unix(1_700_000_000+int64(e.N)/1000, int64(e.N)%1000*1_000_003).UTC()
		if order.Seconds {
			at = at.Truncate(time.Second)
		}
		if e.Tag != fmt.Sprint("real.", e.N%order.Tags) || e.Text != "wörter, \"quoted\"\n" || !e.Time.Equal(at) {
			r.t.Fatalf("record %d is %s; expected its tag, and the time %s", e.N, lines.Text(), at.Format(time.RFC3339Nano))
		}
		seen[e.N]++
	}
	if err := lines.Err(); err != nil {
		r.t.Fatal(err)
	}
	for n, times := range seen {
		if times != 1 {
			r.t.Fatalf("record %d is there %d times", n, times)
		}
	}
}

// send lets a client send, and checks.
func (r *relay) send(client *parts.ForwardClient, order parts.ForwardOrder) {
	r.t.Helper()
	if err := client.Send(order); err != nil {
		r.t.Fatal(err)
	}
	if !order.Ack {
		// What is not acknowledged may still be on its way.
		r.process.awaitLines(r.file, order.Records)
	}
	r.check(order)
}

// fluent-logger-golang, which Docker's fluentd driver is made of: at once and in the background, with
// and without acknowledgements, in MessagePack and JSON, over every transport.
func TestForwardFromFluentLoggerGolang(t *testing.T) {
	parts.Need(t, parts.FluentLoggerGolang)
	client, bin := parts.GoClient(t, parts.FluentLoggerGolang), buildSpillway(t)
	for _, network := range []string{"tcp", "tls", "unix"} {
		for _, c := range []struct {
			name  string
			order func(o *parts.ForwardOrder)
		}{
			{"plain", func(*parts.ForwardOrder) {}},
			{"ack", func(o *parts.ForwardOrder) { o.Ack = true }},
			{"async ack", func(o *parts.ForwardOrder) { o.Ack, o.Async = true, true }},
			{"async", func(o *parts.ForwardOrder) { o.Async = true }},
			{"seconds", func(o *parts.ForwardOrder) { o.Seconds = true }},
			{"JSON", func(o *parts.ForwardOrder) { o.JSON, o.Seconds = true, true }},
			{"JSON ack", func(o *parts.ForwardOrder) { o.JSON, o.Seconds, o.Ack = true, true, true }},
		} {
			t.Run(network+" "+c.name, func(t *testing.T) {
				r := startRelay(t, bin, "")
				order := r.order(network)
				c.order(&order)
				r.send(client, order)
			})
		}
	}
}

// fluent-forward-go: every mode, with and without acknowledgements, with a shared key.
func TestForwardFromFluentForwardGo(t *testing.T) {
	parts.Need(t, parts.FluentForwardGo)
	client, bin := parts.GoClient(t, parts.FluentForwardGo), buildSpillway(t)
	for i, mode := range []string{"message", "message-ext", "forward", "packed", "compressed"} {
		for _, ack := range []bool{false, true} {
			for _, key := range []string{"", sharedKey} {
				network := []string{"tcp", "tls", "unix"}[i%3]
				t.Run(fmt.Sprintf("%s %s ack=%t key=%t", network, mode, ack, key != ""), func(t *testing.T) {
					settings := ""
					if key != "" {
						settings = `    shared-key: "${SHARED_KEY}"`
					}
					r := startRelay(t, bin, settings)
					order := r.order(network)
					order.Mode, order.Ack, order.SharedKey, order.Seconds = mode, ack, key, mode == "message"
					r.send(client, order)
				})
			}
		}
	}
}

// A wrong key: nothing gets in, and the client is told.
func TestForwardFromStranger(t *testing.T) {
	parts.Need(t, parts.FluentForwardGo)
	client, bin := parts.GoClient(t, parts.FluentForwardGo), buildSpillway(t)
	r := startRelay(t, bin, `    shared-key: "${SHARED_KEY}"`)
	order := r.order("tcp")
	order.Mode, order.SharedKey = "packed", "another key"
	if err := client.Send(order); err == nil {
		t.Error("the client was let in")
	}
	if report := r.process.stop(); report.Received != 0 || report.Unaccounted != 0 {
		t.Errorf("the balance is %+v", report)
	}
}

// The published Fluency, with acknowledgements and 200 tags, of which it makes 200 chunks.
func TestForwardFromFluency(t *testing.T) {
	parts.Need(t, parts.Fluency)
	client, bin := parts.FluencyClient(t), buildSpillway(t)
	for _, ack := range []bool{true, false} {
		t.Run(fmt.Sprintf("ack=%t", ack), func(t *testing.T) {
			r := startRelay(t, bin, "")
			order := r.order("tcp")
			order.Records, order.Tags, order.Ack = 20_000, 200, ack
			r.send(client, order)
		})
	}
}

// @fluent-org/logger: its four modes, with acknowledgements, a shared key and a user.
func TestForwardFromFluentLogger(t *testing.T) {
	parts.Need(t, parts.FluentLogger)
	client, bin := parts.FluentLoggerClient(t), buildSpillway(t)
	for i, mode := range []string{"Message", "Forward", "PackedForward", "CompressedPackedForward"} {
		network := []string{"tcp", "tls"}[i%2]
		t.Run(network+" "+mode, func(t *testing.T) {
			r := startRelay(t, bin, `    shared-key: "${SHARED_KEY}"
    users: [{name: ada, password: "${PASSWORD}"}]`)
			order := r.order(network)
			order.Mode, order.Ack, order.SharedKey, order.User, order.Password = mode, true, sharedKey, "ada", password
			r.send(client, order)
		})
	}
}

// freeAddress is an address on loopback on which nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	address, err := launcher.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	return address
}

// certificate writes a certificate for 127.0.0.1 and its key into a directory.
func certificate(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "cert.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	writeFile(t, filepath.Join(dir, "key.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})))
}
