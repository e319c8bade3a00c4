package parts

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// The clients of the forward protocol that others wrote, as skips and failures spell them.
const (
	FluentLoggerGolang = "fluent-logger-golang"
	FluentForwardGo    = "fluent-forward-go"
	Fluency            = "fluency"
)

// clientsDir has a program for each client; a test runs in test/real.
const clientsDir = "../clients"

// ForwardOrder is what a client is to send, and where. Record i has the tag real.T, T being i modulo
// Tags, the fields n = i and text, and the time of its client: 1700000000 s + i/1000 s and, unless
// the client sends whole seconds, (i mod 1000) * 1000003 ns.
type ForwardOrder struct {
	// Network is tcp, tls or unix, and Address host:port or a path.
	Network string `json:"network"`
	Address string `json:"address"`
	// Mode is the client's own name of a mode, where it has several.
	Mode      string `json:"mode,omitempty"`
	SharedKey string `json:"sharedKey,omitempty"`
	User      string `json:"user,omitempty"`
	Password  string `json:"password,omitempty"`
	Ack       bool   `json:"ack,omitempty"`
	Async     bool   `json:"async,omitempty"`
	JSON      bool   `json:"json,omitempty"`
	Seconds   bool   `json:"seconds,omitempty"`
	Records   int    `json:"records"`
	Tags      int    `json:"tags"`
}

// ForwardClient is a client of the forward protocol that others wrote.
type ForwardClient struct {
	Name    string
	command func(ctx context.Context, order *ForwardOrder) (*exec.Cmd, error)
}

// Send sends what the order says, and returns when the client says that it is sent: acknowledged,
// where the order asks for that.
func (c *ForwardClient) Send(order ForwardOrder) error {
	ctx, cancel := context.WithTimeout(context.Background(), commandWithin)
	defer cancel()
	cmd, err := c.command(ctx, &order)
	if err != nil {
		return err
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", c.Name, err, strings.TrimSpace(stderr.String()))
	}
	if want := fmt.Sprintf("sent %d\n", order.Records); string(out) != want {
		return fmt.Errorf("%s printed %q, expected %q: %s", c.Name, out, want, stderr.String())
	}
	return nil
}

// ordered is a command whose last argument is the order as JSON.
func ordered(ctx context.Context, order *ForwardOrder, program string, args ...string) (*exec.Cmd, error) {
	text, err := json.Marshal(order)
	if err != nil {
		return nil, fmt.Errorf("encode an order: %w", err)
	}
	return exec.CommandContext(ctx, program, append(args, string(text))...), nil
}

// GoClient is a client in Go: FluentLoggerGolang or FluentForwardGo. Each is a module of its own, and
// is built with what the module proxy has of it.
func GoClient(t testing.TB, name string) *ForwardClient {
	t.Helper()
	folder := map[string]string{FluentLoggerGolang: "fluentlogger", FluentForwardGo: "fluentforward"}[name]
	program := filepath.Join(WorkDir(t, "client"), folder)
	build := exec.Command("go", "build", "-C", filepath.Join(clientsDir, folder), "-o", program, ".")
	build.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		need(t, name, fmt.Errorf("%v (it needs a Go module proxy): %w: %s", build.Args, err, out))
	}
	return &ForwardClient{Name: name, command: func(ctx context.Context, order *ForwardOrder) (*exec.Cmd, error) {
		return ordered(ctx, order, program)
	}}
}

// FluentLoggerClient is the client of @fluent-org/logger, in Node.
func FluentLoggerClient(t testing.TB) *ForwardClient {
	t.Helper()
	node, err := lookPath("nodejs", "node")
	need(t, FluentLogger, err)
	dir, err := installFluentLogger()
	need(t, FluentLogger, err)
	return &ForwardClient{Name: FluentLogger, command: func(ctx context.Context, order *ForwardOrder) (*exec.Cmd, error) {
		cmd, err := ordered(ctx, order, node, filepath.Join(clientsDir, "fluentnode", "client.js"))
		if err == nil {
			cmd.Env = append(os.Environ(), "NODE_PATH="+filepath.Join(dir, "node_modules"))
		}
		return cmd, err
	}}
}

// FluencyClient is the published Fluency. The first start on a machine fetches it, by Maven, into the
// cache directory.
func FluencyClient(t testing.TB) *ForwardClient {
	t.Helper()
	java, err := lookPath("default-jdk-headless", "java")
	need(t, Fluency, err)
	lib, err := jars(Fluency, "org.komamitsu:fluency-core:2.7.3", "org.komamitsu:fluency-fluentd:2.7.3", "org.slf4j:slf4j-simple:2.0.16")
	need(t, Fluency, err)
	return &ForwardClient{Name: Fluency, command: func(ctx context.Context, order *ForwardOrder) (*exec.Cmd, error) {
		host, port, err := net.SplitHostPort(order.Address)
		if err != nil {
			return nil, fmt.Errorf("order %s: %w", Fluency, err)
		}
		// Its buffer may grow to 512 MB outside the heap, before it holds up its caller: on a slow machine it does.
		cmd := exec.CommandContext(ctx, java, "-Xmx256m", "-XX:MaxDirectMemorySize=1g", "-cp", filepath.Join(lib, "*"), filepath.Join(clientsDir, "fluency", "Sender.java"),
			host, port, strconv.Itoa(order.Records), strconv.Itoa(order.Tags), strconv.FormatBool(order.Ack))
		return cmd, nil
	}}
}
