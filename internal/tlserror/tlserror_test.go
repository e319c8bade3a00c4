package tlserror

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// issued is a certificate of its own authority for a name, until a time.
func issued(t *testing.T, name string, until time.Time) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: until.Add(-2 * time.Hour), NotAfter: until, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(made)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// TestExplain: what real handshakes end with is told apart, and nothing else is taken
// for one of them.
func TestExplain(t *testing.T) {
	good, trusted := issued(t, "here", time.Now().Add(time.Hour))
	other, _ := issued(t, "here", time.Now().Add(time.Hour))
	old, trustedOld := issued(t, "here", time.Now().Add(-time.Hour))
	for name, c := range map[string]struct {
		server, client *tls.Config // no server: without TLS
		says           string
		certificate    bool
	}{
		"good":            {&tls.Config{Certificates: []tls.Certificate{good}}, &tls.Config{ServerName: "here", RootCAs: trusted}, "", false},
		"unknown":         {&tls.Config{Certificates: []tls.Certificate{other}}, &tls.Config{ServerName: "here", RootCAs: trusted}, "tls-ca-file", true},
		"name":            {&tls.Config{Certificates: []tls.Certificate{good}}, &tls.Config{ServerName: "there", RootCAs: trusted}, "tls-server-name", true},
		"expired":         {&tls.Config{Certificates: []tls.Certificate{old}}, &tls.Config{ServerName: "here", RootCAs: trustedOld}, "does not hold now", true},
		"no TLS":          {nil, &tls.Config{ServerName: "here", RootCAs: trusted}, "does not speak TLS", false},
		"shows none":      {&tls.Config{Certificates: []tls.Certificate{good}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: trusted}, &tls.Config{ServerName: "here", RootCAs: trusted}, "tls-cert-file", true},
		"shows another":   {&tls.Config{Certificates: []tls.Certificate{good}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: trusted}, &tls.Config{ServerName: "here", RootCAs: trusted, Certificates: []tls.Certificate{other}}, "tls-cert-file", true},
		"older, none":     {&tls.Config{Certificates: []tls.Certificate{good}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: trusted, MaxVersion: tls.VersionTLS12}, &tls.Config{ServerName: "here", RootCAs: trusted}, "tls-cert-file", true},
		"another version": {&tls.Config{Certificates: []tls.Certificate{good}, MaxVersion: tls.VersionTLS12}, &tls.Config{ServerName: "here", RootCAs: trusted, MinVersion: tls.VersionTLS13}, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewUnstartedServer(http.NotFoundHandler())
			server.Config.ErrorLog = log.New(io.Discard, "", 0)
			if server.TLS = c.server; c.server != nil {
				server.StartTLS()
			} else {
				server.Start()
			}
			defer server.Close()
			transport := &http.Transport{TLSClientConfig: c.client}
			defer transport.CloseIdleConnections()
			address := "https://" + server.Listener.Addr().String()
			resp, err := (&http.Client{Transport: transport}).Post(address, "text/plain", bytes.NewReader(nil))
			if err == nil {
				if err := resp.Body.Close(); err != nil {
					t.Error(err)
				}
				if c.says != "" {
					t.Error("it was answered")
				}
				return
			}
			said := Explain("the node", err)
			switch {
			case c.says == "" && said != nil:
				t.Errorf("%v is explained as %v", err, said)
			case c.says != "" && (said == nil || !strings.HasPrefix(said.Error(), "the node ") || !strings.Contains(said.Error(), c.says) || !errors.Is(said, err)):
				t.Errorf("%v is explained as %v, expected %s", err, said, c.says)
			case OfCertificate(err) != c.certificate:
				t.Errorf("%v: of a certificate: %t", err, OfCertificate(err))
			}
		})
	}
}
