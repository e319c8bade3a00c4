package parts

import (
	"bufio"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spillway/spillway/test/launcher"
)

// fluentLoggerVersion is pinned: it is what docs and tests were checked with.
const fluentLoggerVersion = "1.0.10"

//go:embed fluentlogger.js
var fluentLoggerScript []byte

// FluentLoggerServer is a server of the forward protocol written by others: that of
// @fluent-org/logger from npm, the fluentd project's own package for Node. It does the handshake,
// acknowledges before it looks at the entries, and takes gzip.
type FluentLoggerServer struct {
	*Process
	// Address is host:port.
	Address string
}

// FluentSecurity makes the server ask for a shared key, and for a user where there are any.
type FluentSecurity struct {
	ServerHostname string            `json:"serverHostname"`
	SharedKey      string            `json:"sharedKey"`
	Authorize      bool              `json:"authorize"`
	UserDict       map[string]string `json:"userDict,omitempty"`
}

// FluentEntry is an event as that server took it apart.
type FluentEntry struct {
	Tag    string         `json:"tag"`
	Time   any            `json:"time"`
	Record map[string]any `json:"record"`
}

// StartFluentLogger starts the server on a free port. The first start on a machine fetches the
// package into the cache directory. security may be nil.
func StartFluentLogger(t testing.TB, security *FluentSecurity) *FluentLoggerServer {
	t.Helper()
	server, err := startFluentLogger(t, security)
	need(t, FluentLogger, err)
	return server
}

func startFluentLogger(t testing.TB, security *FluentSecurity) (*FluentLoggerServer, error) {
	t.Helper()
	node, err := lookPath("nodejs", "node")
	if err != nil {
		return nil, err
	}
	dir, err := installFluentLogger()
	if err != nil {
		return nil, err
	}
	ports, err := launcher.FreePorts(1)
	if err != nil {
		return nil, err
	}
	options, err := json.Marshal(map[string]any{
		"listenOptions": map[string]any{"port": ports[0], "host": "127.0.0.1"}, "security": security,
	})
	if err != nil {
		return nil, fmt.Errorf("encode the options of %s: %w", FluentLogger, err)
	}
	script := filepath.Join(WorkDir(t, FluentLogger), "server.js")
	if err := os.WriteFile(script, fluentLoggerScript, 0o644); err != nil {
		return nil, fmt.Errorf("write the server's script: %w", err)
	}
	cmd := exec.Command(node, script, string(options))
	cmd.Env = append(os.Environ(), "NODE_PATH="+filepath.Join(dir, "node_modules"))
	process, err := start(t, FluentLogger, filepath.Dir(script), cmd)
	if err != nil {
		return nil, err
	}
	server := &FluentLoggerServer{Process: process, Address: fmt.Sprintf("127.0.0.1:%d", ports[0])}
	return server, process.ready(func(ctx context.Context) error {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", server.Address)
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

// Entries are the events that it has received so far, in their order.
func (f *FluentLoggerServer) Entries() (all []FluentEntry, err error) {
	file, err := os.Open(f.LogPath)
	if err != nil {
		return nil, fmt.Errorf("open what %s received: %w", FluentLogger, err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		text, ok := strings.CutPrefix(lines.Text(), "entry ")
		if !ok {
			continue
		}
		var e FluentEntry
		if err := json.Unmarshal([]byte(text), &e); err != nil {
			return nil, fmt.Errorf("read what %s received, %q: %w", FluentLogger, text, err)
		}
		all = append(all, e)
	}
	return all, lines.Err()
}

// installFluentLogger returns a directory of the cache whose node_modules holds the package.
func installFluentLogger() (string, error) {
	return cached("fluent-logger-"+fluentLoggerVersion, func(dir string) error {
		npm, err := lookPath("npm", "npm")
		if err != nil {
			return err
		}
		install := exec.Command(npm, "install", "--prefix", dir, "--no-audit", "--no-fund", "--no-save", "@fluent-org/logger@"+fluentLoggerVersion)
		if out, err := install.CombinedOutput(); err != nil {
			return fmt.Errorf("%v (it needs the Debian packages nodejs and npm, and npm's registry): %w: %s", install.Args, err, out)
		}
		return nil
	})
}
