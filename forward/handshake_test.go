package forward_test

import (
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tinylib/msgp/msgp"

	"github.com/spillway/spillway/forward"
)

func hexDigest(s string) string {
	sum := sha512.Sum512([]byte(s))
	return hex.EncodeToString(sum[:])
}

// TestHandshake goes through a whole one, with the digests written out.
func TestHandshake(t *testing.T) {
	server := &forward.Credentials{Hostname: "server", SharedKey: "key"}
	client := &forward.Credentials{Hostname: "client", SharedKey: "key", Username: "user", Password: "secret"}
	hello := forward.NewHello(true, true)
	var atClient forward.Hello
	if err := atClient.Parse(hello.Append(nil)); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(hello, &atClient); d != "" || len(hello.Nonce) != 16 || len(hello.Auth) != 16 {
		t.Errorf("HELO (-sent, +read):\n%s", d)
	}
	ping := forward.NewPing(&atClient, client)
	var atServer forward.Ping
	if err := atServer.Parse(ping.Append(nil)); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(ping, &atServer); d != "" {
		t.Errorf("PING (-sent, +read):\n%s", d)
	}
	nonce, salt := string(hello.Nonce), string(ping.Salt)
	if want := hexDigest(salt + "client" + nonce + "key"); ping.KeyDigest != want {
		t.Errorf("the client's digest is %s, want %s", ping.KeyDigest, want)
	}
	if want := hexDigest(string(hello.Auth) + "user" + "secret"); ping.PasswordDigest != want {
		t.Errorf("the password's digest is %s, want %s", ping.PasswordDigest, want)
	}
	for key, want := range map[string]bool{"key": true, "": false, "keykey": false} {
		if got := atServer.CheckKey(hello, key); got != want {
			t.Errorf("shared key %q: %t", key, got)
		}
	}
	for password, want := range map[string]bool{"secret": true, "": false, "Secret": false} {
		if got := atServer.CheckPassword(hello, password); got != want {
			t.Errorf("password %q: %t", password, got)
		}
	}
	pong := forward.NewPong(hello, &atServer, server)
	if want := hexDigest(salt + "server" + nonce + "key"); pong.KeyDigest != want {
		t.Errorf("the server's digest is %s, want %s", pong.KeyDigest, want)
	}
	var back forward.Pong
	if err := back.Parse(pong.Append(nil)); err != nil {
		t.Fatal(err)
	}
	if err := back.Check(&atClient, ping, client); err != nil || *pong != back {
		t.Errorf("%+v: %v", back, err)
	}
}

func TestPongIsChecked(t *testing.T) {
	client := &forward.Credentials{Hostname: "client", SharedKey: "key"}
	hello := forward.NewHello(false, true)
	ping := forward.NewPing(hello, client)
	if ping.Username != "" || ping.PasswordDigest != "" {
		t.Errorf("a user is named to a server that asks for none: %+v", ping)
	}
	good := *forward.NewPong(hello, ping, &forward.Credentials{Hostname: "server", SharedKey: "key"})
	for name, c := range map[string]struct {
		pong forward.Pong
		want error
	}{
		"good":                  {good, nil},
		"another key":           {*forward.NewPong(hello, ping, &forward.Credentials{Hostname: "server", SharedKey: "other"}), forward.ErrWrongKey},
		"no digest":             {forward.Pong{OK: true, Hostname: "server"}, forward.ErrWrongKey},
		"digest of another":     {forward.Pong{OK: true, Hostname: "other", KeyDigest: good.KeyDigest}, forward.ErrWrongKey},
		"the client's own name": {*forward.NewPong(hello, ping, client), forward.ErrSameHostname},
	} {
		if err := c.pong.Check(hello, ping, client); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	refused := forward.Pong{Reason: "shared_key mismatch"}
	if err := refused.Check(hello, ping, client); err == nil || !strings.Contains(err.Error(), "shared_key mismatch") {
		t.Errorf("refused: %v", err)
	}
}

// TestForeignHandshakes has the forms that others send.
func TestForeignHandshakes(t *testing.T) {
	var hello forward.Hello
	if err := hello.Parse(array(text("HELO"), mapOf(text("nonce"), text("n"), text("auth"), text(""), text("more"), array()))); err != nil {
		t.Fatal(err)
	}
	if string(hello.Nonce) != "n" || len(hello.Auth) > 0 || !hello.Keepalive {
		t.Errorf("%+v", hello)
	}
	var ping forward.Ping
	if err := ping.Parse(array(text("PING"), text("host"), msgp.AppendBytes(nil, []byte("salt")), text("digest"), []byte{0xc0}, []byte{0xc0})); err != nil {
		t.Fatal(err)
	}
	if string(ping.Salt) != "salt" || ping.Username != "" {
		t.Errorf("%+v", ping)
	}
	long := text(strings.Repeat("x", forward.MaxHandshake))
	for name, b := range map[string][]byte{
		"nothing": {}, "another word": array(text("PONG"), mapOf()), "too short": array(text("HELO")),
		"no map": array(text("HELO"), text("x")), "a string": text("HELO"),
		"more behind it": append(array(text("HELO"), mapOf()), 0), "cut off": {0x92, 0xa4, 'H'},
		"a nonce that is a map": array(text("HELO"), mapOf(text("nonce"), mapOf())),
		"keepalive is text":     array(text("HELO"), mapOf(text("keepalive"), text("yes"))),
		"too large":             array(text("HELO"), mapOf(text("nonce"), long)),
	} {
		if err := hello.Parse(b); err == nil {
			t.Errorf("%s is read as HELO", name)
		}
	}
	var pong forward.Pong
	for name, b := range map[string][]byte{
		"an oversize reason":  array(text("PONG"), []byte{0xc2}, long, text(""), text("")),
		"a digest of numbers": array(text("PONG"), []byte{0xc3}, text(""), text("server"), []byte{5}),
		"ok is nil":           array(text("PONG"), []byte{0xc0}, text(""), text("server"), text("")),
		"four":                array(text("PONG"), []byte{0xc3}, text(""), text("server")),
	} {
		if err := pong.Parse(b); err == nil {
			t.Errorf("%s is read as PONG", name)
		}
	}
}
