package forward

import (
	"bytes"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tinylib/msgp/msgp"
)

func heloOf(auth string, keepalive bool) []byte {
	b := msgp.AppendString(msgp.AppendArrayHeader(nil, 2), "HELO")
	b = msgp.AppendMapHeader(b, 3)
	b = msgp.AppendBytes(msgp.AppendString(b, "nonce"), []byte("0123456789abcdef"))
	b = msgp.AppendBytes(msgp.AppendString(b, "auth"), []byte(auth))
	return msgp.AppendBool(msgp.AppendString(b, "keepalive"), keepalive)
}

func pongOf(ok bool, reason, hostname string, digest any) []byte {
	b := msgp.AppendString(msgp.AppendArrayHeader(nil, 5), "PONG")
	b = msgp.AppendBool(b, ok)
	b = msgp.AppendString(b, reason)
	b = msgp.AppendString(b, hostname)
	b, err := msgp.AppendIntf(b, digest)
	if err != nil {
		panic(err)
	}
	return b
}

func hexdigest(parts ...string) string {
	sum := sha512.Sum512([]byte(strings.Join(parts, "")))
	return hex.EncodeToString(sum[:])
}

// ping is what a server reads of the client's proof.
type ping struct{ hostname, salt, digest, username, password string }

func (p *peer) readPing(t *testing.T) ping {
	n, err := p.r.ReadArrayHeader()
	if err != nil || n != 6 {
		t.Errorf("PING has %d elements (%v); expected 6", n, err)
		return ping{}
	}
	var all [6]string
	for i := range all {
		var raw msgp.Raw
		if err := raw.DecodeMsg(p.r); err != nil {
			t.Error(err)
			return ping{}
		}
		content, _, err := msgp.ReadStringAsBytes(raw, nil)
		if err != nil {
			content, _, err = msgp.ReadBytesBytes(raw, nil)
		}
		if err != nil {
			t.Error(err)
		}
		all[i] = string(content)
	}
	if all[0] != "PING" {
		t.Errorf("first element is %q", all[0])
	}
	return ping{all[1], all[2], all[3], all[4], all[5]}
}

// The handshake: both sides prove that they know the key, and a client tells
// nothing to a server that has not.
func TestHandshake(t *testing.T) {
	const nonce, key = "0123456789abcdef", "secret"
	good := func(p ping) []byte {
		return pongOf(true, "", "server", hexdigest(p.salt, "server", nonce, key))
	}
	for _, tt := range []struct {
		name string
		auth Credentials
		helo []byte
		pong func(ping) []byte // nil: the server stays silent
		want error
	}{
		{name: "shared key", helo: heloOf("", true), pong: good},
		{name: "user and password", auth: Credentials{Username: "user", Password: "pass"}, helo: heloOf("authsalt", true), pong: good},
		{name: "one message a connection", helo: heloOf("", false), pong: good},
		{name: "nonce as str", helo: bytes.Replace(heloOf("", true), []byte("\xc4\x10"), []byte("\xb0"), 1), pong: good},
		{name: "digest as bin", helo: heloOf("", true), pong: func(p ping) []byte {
			return pongOf(true, "", "server", []byte(hexdigest(p.salt, "server", nonce, key)))
		}},
		{name: "refused", helo: heloOf("", true), pong: func(ping) []byte { return pongOf(false, "shared_key mismatch", "", "") }, want: ErrAuthRefused},
		{name: "wrong digest", helo: heloOf("", true), pong: func(p ping) []byte {
			return pongOf(true, "", "server", hexdigest(p.salt, "server", nonce, "another"))
		}, want: ErrWrongKey},
		{name: "the client's own digest", helo: heloOf("", true), pong: func(p ping) []byte { return pongOf(true, "", "server", p.digest) }, want: ErrWrongKey},
		{name: "digest in capitals", helo: heloOf("", true), pong: func(p ping) []byte {
			return pongOf(true, "", "server", strings.ToUpper(hexdigest(p.salt, "server", nonce, key)))
		}, want: ErrWrongKey},
		{name: "empty digest", helo: heloOf("", true), pong: func(ping) []byte { return pongOf(true, "", "server", "") }, want: ErrWrongKey},
		{name: "digest is a number", helo: heloOf("", true), pong: func(ping) []byte { return pongOf(true, "", "server", 17) }, want: ErrProtocol},
		{name: "digest is nil", helo: heloOf("", true), pong: func(ping) []byte { return pongOf(true, "", "server", nil) }, want: ErrWrongKey},
		{name: "digest is missing", helo: heloOf("", true), pong: func(ping) []byte {
			b := pongOf(true, "", "server", "")
			b[0]--
			return b[:len(b)-1]
		}, want: ErrProtocol},
		{name: "own hostname", helo: heloOf("", true), pong: func(p ping) []byte {
			return pongOf(true, "", "client", hexdigest(p.salt, "client", nonce, key))
		}, want: ErrSameHostname},
		{name: "oversize reason", helo: heloOf("", true), pong: func(p ping) []byte {
			return pongOf(false, strings.Repeat("x", 1<<20), "server", "")
		}, want: ErrProtocol},
		{name: "no PONG", helo: heloOf("", true), want: errAny},
		{name: "no HELO", want: ErrNoHandshake},
		{name: "oversize HELO", helo: heloOf(strings.Repeat("x", 64<<10), true), want: ErrProtocol},
		{name: "not a HELO", helo: append(msgp.AppendString(msgp.AppendArrayHeader(nil, 2), "HULLO"), 0xc0), want: ErrProtocol},
		{name: "not msgpack", helo: []byte("HTTP/1.1 400 Bad Request\r\n\r\n"), want: ErrProtocol},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o, peers := pipe()
				auth := tt.auth
				auth.SharedKey, auth.Hostname = key, "client"
				o.Auth = &auth
				served := make(chan struct{})
				go func() {
					defer close(served)
					server := newPeer(<-peers)
					defer server.Close()
					if tt.helo == nil {
						time.Sleep(time.Hour) // of the bubble
						return
					}
					if _, err := server.Write(tt.helo); err != nil {
						return
					}
					if tt.want == ErrProtocol && tt.pong == nil {
						return
					}
					p := server.readPing(t)
					if want := hexdigest(p.salt, "client", nonce, key); p.digest != want || p.hostname != "client" || len(p.salt) != 16 {
						t.Errorf("PING %+v; expected the digest %s", p, want)
					}
					user := ""
					if tt.auth.Username != "" {
						user = hexdigest("authsalt", "user", "pass")
					}
					if p.username != tt.auth.Username || p.password != user {
						t.Errorf("PING %+v; expected user %q and %q", p, tt.auth.Username, user)
					}
					if tt.pong == nil {
						time.Sleep(time.Hour)
						return
					}
					if _, err := server.Write(tt.pong(p)); err != nil {
						return
					}
					for {
						m, err := server.receive()
						if err != nil {
							return
						}
						if m.ID == "" {
							continue
						}
						if err := server.ack(m.ID); err != nil {
							t.Error(err)
						}
					}
				}()
				began := time.Now()
				c, err := Dial(t.Context(), o)
				if time.Since(began) > DefaultHandshakeTimeout {
					t.Errorf("took %v", time.Since(began))
				}
				if tt.want != nil {
					if err == nil || tt.want != errAny && !errors.Is(err, tt.want) {
						t.Errorf("error %v; expected %v", err, tt.want)
					}
					<-served
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if c.Hostname() != "server" {
					t.Errorf("the server is called %q", c.Hostname())
				}
				if err := c.Deliver(t.Context(), chunkOf("a", 1)); err != nil {
					t.Error(err)
				}
				_, err = c.Write(t.Context(), chunkOf("", 1))
				if c.KeepAlive() != (err == nil) || err != nil && !errors.Is(err, ErrOneMessage) {
					t.Errorf("keepalive %v; the second message: %v", c.KeepAlive(), err)
				}
				c.Close()
				<-served
			})
		})
	}
}

// errAny stands for whatever error.
var errAny = errors.New("any error")
