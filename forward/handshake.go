package forward

import (
	"crypto/rand"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/tinylib/msgp/msgp"
)

// Credentials are what one side of a handshake says of itself.
type Credentials struct {
	// Hostname is the side's own name. A server and its clients need different
	// ones.
	Hostname string
	// SharedKey is known to both sides and never sent.
	SharedKey string
	// Username and Password are a client's, where the server asks for them.
	Username, Password string
}

// Hello is the first message of a handshake, from the server:
//
//	["HELO", {"nonce": …, "auth": …, "keepalive": …}]
type Hello struct {
	Nonce []byte
	// Auth is the salt of passwords; empty where no user is asked for.
	Auth []byte
	// Keepalive is false where the server closes the connection after the first
	// message.
	Keepalive bool
}

// Ping is the second, from the client:
//
//	["PING", hostname, salt, hex(sha512(salt+hostname+nonce+key)), username, hex(sha512(auth+username+password))]
type Ping struct {
	Hostname       string
	Salt           []byte
	KeyDigest      string
	Username       string
	PasswordDigest string
}

// Pong is the third, from the server:
//
//	["PONG", ok, reason, hostname, hex(sha512(salt+hostname+nonce+key))]
type Pong struct {
	OK        bool
	Reason    string
	Hostname  string
	KeyDigest string
}

// saltSize is that of fluentd, in bytes.
const saltSize = 16

func newSalt() []byte {
	salt := make([]byte, saltSize)
	_, _ = rand.Read(salt) // never fails: the program is ended where there is no randomness
	return salt
}

// NewHello makes the server's first message, with fresh random bytes. With
// users it asks for a name and password.
func NewHello(users, keepalive bool) *Hello {
	h := &Hello{Nonce: newSalt(), Keepalive: keepalive}
	if users {
		h.Auth = newSalt()
	}
	return h
}

// NewPing makes a client's answer to h, with a fresh random salt.
func NewPing(h *Hello, c *Credentials) *Ping {
	p := &Ping{Hostname: c.Hostname, Salt: newSalt()}
	p.KeyDigest = digest(string(p.Salt), p.Hostname, string(h.Nonce), c.SharedKey)
	if len(h.Auth) > 0 {
		p.Username = c.Username
		p.PasswordDigest = digest(string(h.Auth), c.Username, c.Password)
	}
	return p
}

// CheckKey reports whether the client knows the key. It takes the same time for
// every digest.
func (p *Ping) CheckKey(h *Hello, sharedKey string) bool {
	return same(p.KeyDigest, digest(string(p.Salt), p.Hostname, string(h.Nonce), sharedKey))
}

// CheckPassword reports whether the client knows the password of the user that
// it names. It takes the same time for every digest.
func (p *Ping) CheckPassword(h *Hello, password string) bool {
	return same(p.PasswordDigest, digest(string(h.Auth), p.Username, password))
}

// NewPong makes the server's answer to a client that has shown that it may
// send.
func NewPong(h *Hello, p *Ping, c *Credentials) *Pong {
	return &Pong{
		OK: true, Hostname: c.Hostname,
		KeyDigest: digest(string(p.Salt), c.Hostname, string(h.Nonce), c.SharedKey),
	}
}

// Errors of Pong.Check, beside what the server says.
var (
	ErrSameHostname = errors.New("the server has the hostname of the client: a loop, or two that need different names")
	ErrWrongKey     = errors.New("the server does not know the shared key")
)

// Check looks at the server's answer: whether it takes the client, and whether it
// knows the key itself. c are the client's.
func (p *Pong) Check(h *Hello, ping *Ping, c *Credentials) error {
	if !p.OK {
		return fmt.Errorf("the server refuses the client: %q", p.Reason)
	}
	if p.Hostname == c.Hostname {
		return ErrSameHostname
	}
	if !same(p.KeyDigest, digest(string(ping.Salt), p.Hostname, string(h.Nonce), c.SharedKey)) {
		return ErrWrongKey
	}
	return nil
}

func digest(parts ...string) string {
	h := sha512.New()
	for _, part := range parts {
		_, _ = h.Write([]byte(part)) // a hash takes everything
	}
	return hex.EncodeToString(h.Sum(nil))
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// Append appends the message.
func (h *Hello) Append(dst []byte) []byte {
	dst = msgp.AppendString(msgp.AppendArrayHeader(dst, 2), "HELO")
	dst = msgp.AppendMapHeader(dst, 3)
	dst = msgp.AppendBytes(msgp.AppendString(dst, "nonce"), h.Nonce)
	dst = msgp.AppendBytes(msgp.AppendString(dst, "auth"), h.Auth)
	return msgp.AppendBool(msgp.AppendString(dst, "keepalive"), h.Keepalive)
}

// Append appends the message.
func (p *Ping) Append(dst []byte) []byte {
	dst = msgp.AppendString(msgp.AppendArrayHeader(dst, 6), "PING")
	dst = msgp.AppendString(dst, p.Hostname)
	dst = msgp.AppendBytes(dst, p.Salt)
	dst = msgp.AppendString(dst, p.KeyDigest)
	dst = msgp.AppendString(dst, p.Username)
	return msgp.AppendString(dst, p.PasswordDigest)
}

// Append appends the message.
func (p *Pong) Append(dst []byte) []byte {
	dst = msgp.AppendString(msgp.AppendArrayHeader(dst, 5), "PONG")
	dst = msgp.AppendBool(dst, p.OK)
	dst = msgp.AppendString(dst, p.Reason)
	dst = msgp.AppendString(dst, p.Hostname)
	return msgp.AppendString(dst, p.KeyDigest)
}

// Parse reads a whole message: b holds it and nothing else. Salts may be str or
// bin.
func (h *Hello) Parse(b []byte) error {
	r, err := newReader(b, "HELO", 2)
	if err != nil {
		return err
	}
	n := r.pairs()
	*h = Hello{Keepalive: true}
	for ; n > 0 && r.err == nil; n-- {
		switch r.text("a key") {
		case "nonce":
			h.Nonce = []byte(r.text("a nonce"))
		case "auth":
			h.Auth = []byte(r.text("a salt"))
		case "keepalive":
			h.Keepalive = r.boolean()
		default:
			r.skip()
		}
	}
	return r.err
}

// Parse reads a whole message: b holds it and nothing else.
func (p *Ping) Parse(b []byte) error {
	r, err := newReader(b, "PING", 6)
	if err != nil {
		return err
	}
	*p = Ping{Hostname: r.text("a hostname"), Salt: []byte(r.text("a salt")), KeyDigest: r.text("a digest")}
	p.Username, p.PasswordDigest = r.text("a user"), r.text("a digest")
	return r.err
}

// Parse reads a whole message: b holds it and nothing else.
func (p *Pong) Parse(b []byte) error {
	r, err := newReader(b, "PONG", 5)
	if err != nil {
		return err
	}
	*p = Pong{OK: r.boolean(), Reason: r.text("a reason"), Hostname: r.text("a hostname"), KeyDigest: r.text("a digest")}
	return r.err
}
