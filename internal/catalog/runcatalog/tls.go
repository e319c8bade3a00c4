package runcatalog

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"

	"github.com/spillway/spillway/internal/config/runfile"
)

// clientTLS is what a sink or a source connects with.
func clientTLS(plan *runfile.ClientTLS) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: plan.ServerName, InsecureSkipVerify: plan.InsecureSkipVerify} //nolint:gosec // Only who asks for it.
	if plan.CAFile != "" {
		roots, err := pool(plan.CAFile)
		if err != nil {
			return nil, err
		}
		c.RootCAs = roots
	}
	return c, certificate(c, plan.CertFile, plan.KeyFile)
}

// serverTLS is what a source listens with; nil where it has no certificate.
func serverTLS(p *runfile.ForwardSource) (*tls.Config, error) {
	if p.CertFile == "" {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if err := certificate(c, p.CertFile, p.KeyFile); err != nil {
		return nil, err
	}
	if p.ClientCAFile != "" {
		clients, err := pool(p.ClientCAFile)
		if err != nil {
			return nil, err
		}
		c.ClientCAs, c.ClientAuth = clients, tls.RequireAndVerifyClientCert
	}
	return c, nil
}

// pool reads a file of certificates.
func pool(path string) (*x509.CertPool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read certificates: %w", err)
	}
	p := x509.NewCertPool()
	if !p.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("read certificates: %s has none; expected PEM", path)
	}
	return p, nil
}

// certificate reads a certificate and its key.
func certificate(c *tls.Config, certFile, keyFile string) error {
	if certFile == "" {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return fmt.Errorf("read the certificate %s and its key %s: %w", certFile, keyFile, err)
	}
	c.Certificates = []tls.Certificate{pair}
	return nil
}
