package config

import (
	"encoding/json"
	"math"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spillway/spillway/internal/config/setting"
)

// The functions of this file are the checks that this table alone has. Each
// returns what was expected, or nothing if the value is good.

// maxCleanupTime is the longest cleanup-time: containerd kills a logger 12 s
// after SIGTERM.
const maxCleanupTime = 12 * time.Second

func cleanupTime(v setting.Value) string {
	if v.Duration < 0 || v.Duration > maxCleanupTime {
		return "a duration from 0s to 12s, because containerd kills the logger 12 s after SIGTERM"
	}
	return ""
}

// userID refuses root: who gives the option wants to drop privileges. The
// largest 32-bit number is the kernel's "no change".
func userID(v setting.Value) string {
	if v.Number == -1 || v.Number >= 1 && v.Number < math.MaxUint32 {
		return ""
	}
	return "-1 (keep) or an id from 1 to 4294967294; 0 (root) is refused"
}

func jsonObject(v setting.Value) string {
	if _, err := parseObject(v.Text); err != nil {
		return `a JSON object of strings, such as {"name":"value"}`
	}
	return ""
}

// parseObject reads container-env and container-labels; unset is an empty map.
func parseObject(text string) (map[string]string, error) {
	var object map[string]string
	if text == "" {
		return object, nil
	}
	err := json.Unmarshal([]byte(text), &object)
	return object, err
}

func absolutePath(v setting.Value) string {
	if expected := setting.AbsolutePath(v); expected != "" {
		return expected + ", because the logger runs in a directory that goes away with the container"
	}
	return ""
}

// fluentdPort is where servers of the forward protocol listen unless told
// otherwise.
const fluentdPort = "24224"

func fluentdAddress(v setting.Value) string {
	_, _, expected := splitFluentdAddress(v.Text)
	return expected
}

// splitFluentdAddress reads an address as Docker's driver does: a scheme may be
// missing, and so may the host or the port. It says what was expected instead.
func splitFluentdAddress(text string) (network, address, expected string) {
	network, rest, found := strings.Cut(text, "://")
	if !found {
		network, rest = "tcp", text
	}
	switch network {
	case "unix":
		if !filepath.IsAbs(rest) {
			return "", "", "unix:// and the absolute path of a socket, such as unix:///run/fluent.sock"
		}
		return network, rest, ""
	case "tcp", "tls":
	default:
		return "", "", "host:port, tcp://host:port, tls://host:port or unix:///path"
	}
	u := url.URL{Host: rest}
	host, port := u.Hostname(), u.Port()
	if host == "" {
		host = "127.0.0.1"
	}
	if port == "" {
		port = fluentdPort
	}
	number, err := strconv.ParseUint(port, 10, 16)
	whole := strings.TrimSuffix(rest, ":") == u.Hostname() || strings.HasSuffix(rest, ":"+u.Port()) || strings.HasSuffix(rest, "]")
	if err != nil || number == 0 || !whole || strings.ContainsAny(host, "/ ?#@[]") || strings.Contains(host, ":") != strings.HasPrefix(rest, "[") {
		return "", "", "host:port, with no path behind it, such as 127.0.0.1:24224"
	}
	return network, net.JoinHostPort(host, port), ""
}

// reconnectInterval has the bounds of Docker's driver.
func reconnectInterval(v setting.Value) string {
	if v.Duration != 0 && (v.Duration < 100*time.Millisecond || v.Duration > 10*time.Second) {
		return "0, or a duration from 100ms to 10s"
	}
	return ""
}
