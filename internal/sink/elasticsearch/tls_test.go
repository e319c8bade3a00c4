package elasticsearch

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/spillway/spillway/internal/sink"
)

// A certificate that is refused, theirs or ours, waits for somebody to act: nothing of
// a request was read then, and it was not too large.
func TestRefusedCertificates(t *testing.T) {
	node := httptest.NewUnstartedServer(http.NotFoundHandler())
	node.Config.ErrorLog = log.New(io.Discard, "", 0)
	node.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	node.StartTLS()
	defer node.Close()
	u, err := url.Parse(node.URL)
	if err != nil {
		t.Fatal(err)
	}
	known := x509.NewCertPool()
	known.AddCert(node.Certificate())
	for says, config := range map[string]*tls.Config{
		"the node " + u.Host + " refuses our certificate, or that we show none":                              {RootCAs: known},
		"the node " + u.Host + " has a certificate that is not trusted; name its authority with tls-ca-file": {RootCAs: x509.NewCertPool()},
	} {
		transport := &http.Transport{TLSClientConfig: config}
		made := sinkTo(t, newServer(t), func(o *Options) { o.Hosts, o.Transport = []*url.URL{u}, transport })
		// With TLS 1.3 a refusal of ours comes when the body is on its way, and may be lost
		// behind an error of writing it: the smaller the body is, the less.
		var out sink.Outcome
		for range 100 {
			if out = made.Send(t.Context(), lines(2000)); out.Config {
				break
			}
		}
		if out.Verdict != sink.Retry || !out.Config || out.Unsure || out.Err == nil || !strings.Contains(out.Err.Error(), says) {
			t.Errorf("%+v; expected %s, and that it waits for somebody to act", out, says)
		}
		if most := made.size.most; most != 0 {
			t.Errorf("requests are cut to %d bytes", most)
		}
		if err := made.Check(t.Context()); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("a check says %v", err)
		}
		transport.CloseIdleConnections()
	}
}

// A node that speaks TLS ends the connection of who does not, without a word.
func TestClosedUnanswered(t *testing.T) {
	node := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			panic(http.ErrAbortHandler) // which closes the connection
		}
	}))
	defer node.Close()
	u, err := url.Parse(node.URL)
	if err != nil {
		t.Fatal(err)
	}
	made := sinkTo(t, newServer(t), func(o *Options) { o.Hosts = []*url.URL{u} })
	says := "the node " + u.Host + " closed the connection in place of an answer; where that goes on and it speaks TLS at this port, write https:// in hosts"
	if out := made.Send(t.Context(), lines(1)); out.Verdict != sink.Retry || !out.Broken || out.Err == nil || !strings.Contains(out.Err.Error(), says) {
		t.Errorf("%+v; expected %s", out, says)
	}
}
