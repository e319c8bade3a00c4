package config

import (
	"net"
	"strings"
	"testing"

	"github.com/spillway/spillway/internal/config/setting"
)

// TestFluentdAddress: what Docker's driver takes is taken, and means the same.
func TestFluentdAddress(t *testing.T) {
	for text, want := range map[string]string{
		"host:1": "tcp host:1", "tcp://host:1": "tcp host:1", "tls://host:1": "tls host:1", "host": "tcp host:24224", "tls://host": "tls host:24224",
		":24225": "tcp 127.0.0.1:24225", "": "tcp 127.0.0.1:24224", "[::1]:7": "tcp [::1]:7", "[::1]": "tcp [::1]:24224", "127.0.0.1:24224": "tcp 127.0.0.1:24224",
		"unix:///run/fluent.sock": "unix /run/fluent.sock",
		"unix://run/fluent.sock":  "", "unix:///": "unix /", "http://host:1": "", "host:1/path": "", "host:0": "", "host:65536": "", "host:x": "",
		"::1": "", "u@host:1": "", "host:1?a": "", "a b:1": "", "host:": "tcp host:24224", "tcp://": "tcp 127.0.0.1:24224", "host:1:2": "",
	} {
		network, address, expected := splitFluentdAddress(text)
		got := network + " " + address
		if expected != "" {
			got = ""
		}
		if got != want || (fluentdAddress(setting.Value{Text: text}) == "") != (want != "") {
			t.Errorf("%q is %q (%s), want %q", text, got, expected, want)
		}
	}
}

func FuzzFluentdAddress(f *testing.F) {
	f.Add("tcp://[::1]:24224")
	f.Add("unix:///run/x")
	f.Fuzz(func(t *testing.T, text string) {
		network, address, expected := splitFluentdAddress(text)
		if expected != "" {
			return
		}
		if network == "unix" {
			if !strings.HasPrefix(address, "/") {
				t.Errorf("%q is the socket %q", text, address)
			}
			return
		}
		host, port, err := net.SplitHostPort(address)
		if err != nil || host == "" || port == "" || strings.ContainsAny(host, "/@ ") || network != "tcp" && network != "tls" {
			t.Errorf("%q is %s %q, %v", text, network, address, err)
		}
	})
}
