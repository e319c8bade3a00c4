package faults

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tinylib/msgp/msgp"

	"github.com/spillway/spillway/forward"
	"github.com/spillway/spillway/test/launcher/harness"
)

// issued makes a certificate for the loopback address, in two files, and returns what trusts it.
func issued(t *testing.T, certFile, keyFile string) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(made)
	return &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"}
}

// TestRunManySecureConnections has more connections over TLS than there is memory for, beside a buffer that is full: the
// process holds no more than its budget and 24 MiB. Those beyond wait, those that are silent are closed, and what each of
// the others sends is acknowledged in the end.
func TestRunManySecureConnections(t *testing.T) {
	for name, size := range map[string]int{"small records": 10, "large records": 40 << 10} {
		t.Run(name, func(t *testing.T) {
			testManySecure(t, harness.Pick[int64](16<<20, 16<<20, 64<<20), harness.Pick(300, 500, 5_000), size)
		})
	}
}

func testManySecure(t *testing.T, budget int64, n, size int) {
	out := newStoppable(t)
	secure, dir := freeAddr(t), t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	config := issued(t, cert, key)
	r := newRelay(t, fmt.Sprintf(`memory: %d
sources: {in: {type: forward, listen: ["%%s", "tls://%s"], tls-cert-file: %s, tls-key-file: %s, handshake-timeout: 3s}}
sinks: {out: {type: forward, servers: ["%%s"]}}
routes:
  - {match: "**", to: out, max-buffer-size: %d}
`, budget, secure, cert, key, budget), out.receiver)
	r.start()
	dial(t, r.addr, forward.DialOptions{}) // It listens.
	out.stop(true)
	sent := make(chan int64, 1)
	go r.pour(2*budget, sent)
	r.quiet(budget)
	silent := connections(t, secure, n/4)
	var begun, again atomic.Int64
	var senders sync.WaitGroup
	for i := range n {
		senders.Go(func() {
			begun.Add(1)
			again.Add(sendSecurely(t, secure, config, i, size))
		})
	}
	waitFor(t, "all to begin", 30*time.Second, func() bool { return begun.Load() == int64(n) })
	r.steady()
	r.checkMemory(budget)
	server := r.server()
	if server.Reasons["full"] == 0 || server.Connections >= int64(n) {
		t.Errorf("nobody has to wait: %+v", server)
	}
	out.stop(false)
	senders.Wait()
	flood := <-sent
	if flood < 0 {
		t.Fatal("the sender was disturbed")
	}
	for _, c := range silent {
		if !isEnded(c) {
			t.Error("one that says nothing is not closed")
			break
		}
	}
	r.drained()
	r.checkMemory(budget)
	report := r.stop()
	if report.Pending != 0 || report.Dropped != 0 || report.DeadLettered != 0 || report.Delivered != int64(n)+flood {
		t.Errorf("%d records were sent: %+v", int64(n)+flood, report)
	}
	t.Logf("%d connections, %d of them again: %v", n, again.Load(), report.Sources[0].Detail.Server)
}

// server is what the server of the source says of itself.
func (r *relay) server() (s struct {
	Connections int64
	Reasons     map[string]int64
}) {
	var status struct {
		Processes []struct {
			Sources []struct{ Detail struct{ Server any } }
		}
	}
	status.Processes = make([]struct {
		Sources []struct{ Detail struct{ Server any } }
	}, 1)
	status.Processes[0].Sources = make([]struct{ Detail struct{ Server any } }, 1)
	status.Processes[0].Sources[0].Detail.Server = &s
	r.status(&status)
	return s
}

// sendSecurely sends one record of a size until it is acknowledged, and returns how often it had to begin again.
func sendSecurely(t *testing.T, to string, config *tls.Config, i, size int) (again int64) {
	id := fmt.Sprint("secure/", i)
	entry := msgp.AppendString(msgp.AppendString(msgp.AppendMapHeader(forward.AppendEntry(nil, 1e18), 1), "log"), string(make([]byte, size)))
	b := forward.AppendOption(append(forward.AppendHead(nil, "secure", len(entry)), entry...), forward.Option{Chunk: id})
	deadline := time.Now().Add(4 * time.Minute)
	for ; time.Now().Before(deadline); again++ {
		if sendOnce(to, config, b, id, deadline) {
			return again
		}
	}
	t.Errorf("%s is not acknowledged", id)
	return again
}

func sendOnce(to string, config *tls.Config, b []byte, id string, deadline time.Time) bool {
	nc, err := (&net.Dialer{Deadline: deadline}).Dial("tcp", to)
	if err != nil {
		return false
	}
	c := tls.Client(nc, config)
	defer c.Close()
	if c.SetDeadline(deadline) != nil {
		return false
	}
	if _, err := c.Write(b); err != nil {
		return false
	}
	return isServed(c, id)
}

// isEnded reports whether the other end has closed a connection, or does so soon.
func isEnded(c net.Conn) bool {
	if c.SetReadDeadline(time.Now().Add(30*time.Second)) != nil {
		return true
	}
	_, err := c.Read(make([]byte, 1))
	return err != nil && !os.IsTimeout(err)
}
