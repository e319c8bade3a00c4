package forward

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/tinylib/msgp/msgp"
	"go.uber.org/goleak"
)

// noLeaks holds that a test leaves no goroutine of this package behind.
func noLeaks(t *testing.T) {
	t.Helper()
	ignore := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, ignore) })
}

// peer is a server's side of one connection, by hand: it reads with another
// library than the code under test writes with, and does as it is told.
type peer struct {
	net.Conn
	r *msgp.Reader
}

func newPeer(nc net.Conn) *peer { return &peer{Conn: nc, r: msgp.NewReader(nc)} }

// message is what a peer has received.
type message struct {
	Tag         string
	ID          string
	Size        int
	Compression string
	Entries     []byte // as they came, decompressed
	Records     []string
}

// receive reads one message of the mode PackedForward; io.EOF at the end.
func (p *peer) receive() (*message, error) {
	n, err := p.r.ReadArrayHeader()
	if err != nil {
		return nil, err
	}
	if n != 2 && n != 3 {
		return nil, errors.New("expected a message of two or three elements")
	}
	m := new(message)
	if m.Tag, err = p.r.ReadString(); err != nil {
		return nil, err
	}
	if m.Entries, err = p.r.ReadBytes(nil); err != nil {
		return nil, err
	}
	if n == 3 {
		if err := p.options(m); err != nil {
			return nil, err
		}
	}
	return m, m.unpack()
}

func (p *peer) options(m *message) error {
	n, err := p.r.ReadMapHeader()
	if err != nil {
		return err
	}
	for range n {
		key, err := p.r.ReadString()
		if err != nil {
			return err
		}
		switch key {
		case "chunk":
			m.ID, err = p.r.ReadString()
		case "size":
			m.Size, err = p.r.ReadInt()
		case "compressed":
			m.Compression, err = p.r.ReadString()
		default:
			err = errors.New("unexpected option " + key)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// unpack takes the entries apart: each record as msgpack bytes.
func (m *message) unpack() error {
	plain := io.Reader(bytes.NewReader(m.Entries))
	switch m.Compression {
	case "gzip":
		z, err := gzip.NewReader(plain)
		if err != nil {
			return err
		}
		plain = z
	case "zstd":
		z, err := zstd.NewReader(plain, zstd.WithDecoderConcurrency(1))
		if err != nil {
			return err
		}
		defer z.Close()
		plain = z
	}
	all, err := io.ReadAll(plain)
	if err != nil {
		return err
	}
	m.Entries = all
	for len(all) > 0 {
		n, rest, err := msgp.ReadArrayHeaderBytes(all)
		if err != nil || n != 2 {
			return errors.New("expected an entry of two elements")
		}
		if rest, err = msgp.Skip(rest); err != nil {
			return err
		}
		end, err := msgp.Skip(rest)
		if err != nil {
			return err
		}
		m.Records = append(m.Records, string(rest[:len(rest)-len(end)]))
		all = end
	}
	return nil
}

// ack acknowledges a chunk, as a str.
func (p *peer) ack(id string) error {
	b := msgp.AppendMapHeader(nil, 1)
	b = msgp.AppendString(b, "ack")
	_, err := p.Write(msgp.AppendString(b, id))
	return err
}

// ackBin acknowledges a chunk, as bin.
func (p *peer) ackBin(id string) error {
	b := msgp.AppendMapHeader(nil, 1)
	b = msgp.AppendString(b, "ack")
	_, err := p.Write(msgp.AppendBytes(b, []byte(id)))
	return err
}

// entries makes a chunk's payload of n small records.
func entries(n int) []byte {
	var b []byte
	for i := range n {
		b = msgp.AppendArrayHeader(b, 2)
		b = msgp.AppendInt(b, 1_700_000_000+i)
		b = msgp.AppendMapHeader(b, 1)
		b = msgp.AppendString(b, "n")
		b = msgp.AppendInt(b, i)
	}
	return b
}

func chunkOf(id string, n int) *OutChunk {
	return &OutChunk{Tag: "app.log", Entries: [][]byte{entries(n)}, Records: n, ID: id}
}

// pipe gives DialOptions whose next connections end at what is received from the channel.
func pipe() (DialOptions, chan net.Conn) {
	peers := make(chan net.Conn, 16)
	return DialOptions{Address: "pipe:1", DialContext: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		peers <- theirs
		return ours, nil
	}}, peers
}

// loopback listens on a TCP port, and gives DialOptions for it and its
// connections.
func loopback(t *testing.T) (DialOptions, chan net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	conns := make(chan net.Conn, 64)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns <- c
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
		for len(conns) > 0 {
			(<-conns).Close()
		}
	})
	return DialOptions{Address: l.Addr().String()}, conns
}

// authority issues certificates for 127.0.0.1 and "localhost".
type authority struct {
	pool *x509.CertPool
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return &authority{pool, cert, key}
}

func (a *authority) issue(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func readMap(b []byte) (map[string]any, []byte, error) { return msgp.ReadMapStrIntfBytes(b, nil) }

func joinPieces(pieces [][]byte) []byte { return bytes.Join(pieces, nil) }
