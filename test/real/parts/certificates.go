package parts

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Certificates are PEM files for one server on the loopback address, and for one client of it.
type Certificates struct {
	// CA is what both sides trust.
	CA string
	// Certificate and Key are the server's, for 127.0.0.1 and localhost.
	Certificate, Key string
	// ClientCertificate and ClientKey are those of a client whose name is `client`.
	ClientCertificate, ClientKey string
	pool                         *x509.CertPool
}

// TLS is what a client of the server needs: the authority, and its own certificate where it is to
// show one.
func (c *Certificates) TLS(withCertificate bool) (*tls.Config, error) {
	config := &tls.Config{RootCAs: c.pool, MinVersion: tls.VersionTLS12}
	if withCertificate {
		pair, err := tls.LoadX509KeyPair(c.ClientCertificate, c.ClientKey)
		if err != nil {
			return nil, fmt.Errorf("load the client's certificate: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// makeCertificates writes them into a directory.
func makeCertificates(dir string) (*Certificates, error) {
	c := &Certificates{
		CA:          filepath.Join(dir, "ca.pem"),
		Certificate: filepath.Join(dir, "node.pem"), Key: filepath.Join(dir, "node.key"),
		ClientCertificate: filepath.Join(dir, "client.pem"), ClientKey: filepath.Join(dir, "client.key"),
		pool: x509.NewCertPool(),
	}
	authority := certificate("authority")
	authority.IsCA, authority.BasicConstraintsValid, authority.KeyUsage = true, true, x509.KeyUsageCertSign
	caKey, ca, err := issue(authority, nil, nil, c.CA, "")
	if err != nil {
		return nil, err
	}
	c.pool.AddCert(ca)
	server := certificate("node")
	server.IPAddresses, server.DNSNames = []net.IP{net.IPv4(127, 0, 0, 1)}, []string{"localhost"}
	// A node that talks to itself is its own client.
	server.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	if _, _, err := issue(server, ca, caKey, c.Certificate, c.Key); err != nil {
		return nil, err
	}
	client := certificate("client")
	client.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	_, _, err = issue(client, ca, caKey, c.ClientCertificate, c.ClientKey)
	return c, err
}

func certificate(name string) *x509.Certificate {
	return &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, KeyUsage: x509.KeyUsageDigitalSignature,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
}

// issue makes a key and a certificate, signed by the parent or by itself, and writes both; no path for
// the key keeps it in memory.
func issue(template, parent *x509.Certificate, signer *ecdsa.PrivateKey, path, keyPath string) (*ecdsa.PrivateKey, *x509.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make a key: %w", err)
	}
	if parent == nil {
		parent, signer = template, key
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62)); err != nil {
		return nil, nil, fmt.Errorf("draw a serial number: %w", err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return nil, nil, fmt.Errorf("sign the certificate of %s: %w", template.Subject.CommonName, err)
	}
	if err := writePEM(path, "CERTIFICATE", der); err != nil {
		return nil, nil, err
	}
	if keyPath != "" {
		// PKCS #8 is the one form of a key that every Java program reads.
		text, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return nil, nil, fmt.Errorf("encode a key: %w", err)
		}
		if err := writePEM(keyPath, "PRIVATE KEY", text); err != nil {
			return nil, nil, err
		}
	}
	made, err := x509.ParseCertificate(der)
	return key, made, err
}

func writePEM(path, kind string, der []byte) error {
	// Programs that run as another user read them, too.
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o644)
}
