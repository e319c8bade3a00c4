package real

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/spillway/spillway/test/launcher"
)

// trouble is one thing that is wrong at the start: status and the log say what, health is red, and nothing
// is lost; when it is mended, three records of a topic are in the index, and health is green.
type trouble struct {
	topic, config string
	says          []string
	mend          func()
}

func (s *story) troubled(c trouble) {
	s.Helper()
	s.configure(c.config)
	s.start()
	s.shows(append([]string{"  RED: "}, c.says...)...)
	s.says(c.says...)
	c.mend()
	s.settles(3)
	s.indexed(c.topic, 1, 2, 3)
	s.ends(3, 3, 0)
}

func (s *story) fill(topic string) {
	s.Helper()
	s.broker.CreateTopic(s.T, topic, 1, nil)
	s.produce(topic, counting(1, 3)...)
}

// chainFile is a file of a source with further options and a sink.
func chainFile(source, sink string) string {
	return fmt.Sprintf(`memory: 64m
sources:
  orders: {type: kafka, session-timeout: 3s, %s}
sinks:
  search: {type: elasticsearch, %s}
routes:
  - {match: "**", to: search}
`, source, sink)
}

func tellNoBroker(s *story) {
	s.fill("no-broker")
	gate := newGate(s.T, s.broker.Addr)
	s.troubled(trouble{
		topic:  "no-broker",
		config: chainFile(`brokers: "`+gate.address+`", topics: no-broker, group: no-broker`, `hosts: "$NODE", index: no-broker`),
		says:   []string{"connect to the broker " + gate.address, "connection refused"},
		mend:   gate.open,
	})
}

func tellWrongPassword(s *story) {
	s.fill("refused-user")
	for name, password := range map[string]string{"wrong": "wrong", "right": "alice-secret"} {
		writeFile(s.T, filepath.Join(s.dir, name), password+"\n")
	}
	config := func(password string) string {
		return chainFile(`brokers: "$SASL", topics: refused-user, group: refused-user, sasl: scram-sha-256, username: alice, password-file: `+password,
			`hosts: "$NODE", index: refused-user`)
	}
	s.troubled(trouble{
		topic: "refused-user", config: config("wrong"),
		says: []string{"the broker " + s.broker.SASLAddr + " refuses the user or the password"},
		mend: func() {
			s.configure(config("right"))
			if err := s.run.cmd.Process.Signal(syscall.SIGHUP); err != nil {
				s.Fatal(err)
			}
		},
	})
}

func tellNoTopic(s *story) {
	s.troubled(trouble{
		topic:  "no-topic",
		config: chainFile(`brokers: "$BROKER", topics: no-topic, group: no-topic`, `hosts: "$NODE", index: no-topic`),
		says:   []string{"no-topic", "does not exist; create it, or correct the name"},
		mend:   func() { s.fill("no-topic") },
	})
}

func tellNoIndex(s *story) {
	s.fill("no-index")
	s.node.Must(s.T, http.MethodPut, "/_cluster/settings", `{"persistent":{"action.auto_create_index":"-no-index*,+*"}}`)
	s.troubled(trouble{
		topic:  "no-index",
		config: chainFile(`brokers: "$BROKER", topics: no-index, group: no-index`, `hosts: "$NODE", index: no-index`),
		says:   []string{"404 index_not_found_exception: no such index [no-index]"},
		mend:   func() { s.node.Must(s.T, http.MethodPut, "/no-index", `{}`) },
	})
}

func tellNoNode(s *story) {
	s.fill("no-node")
	at, err := url.Parse(s.node.URL)
	if err != nil {
		s.Fatal(err)
	}
	gate := newGate(s.T, at.Host)
	s.troubled(trouble{
		topic:  "no-node",
		config: chainFile(`brokers: "$BROKER", topics: no-node, group: no-node`, `hosts: "http://`+gate.address+`", index: no-node`),
		says:   []string{"connection refused"},
		mend:   gate.open,
	})
}

// gate is an address at which nothing listens until it is opened, and which then leads elsewhere.
type gate struct {
	t           *testing.T
	address, to string
	listener    net.Listener
	conns       sync.WaitGroup
}

func newGate(t *testing.T, to string) *gate {
	t.Helper()
	address, err := launcher.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{t: t, address: address, to: to}
	// A run that connects here starts after this, and so has ended when this is done.
	t.Cleanup(func() {
		if g.listener != nil {
			if err := g.listener.Close(); err != nil {
				t.Error(err)
			}
		}
		g.conns.Wait()
	})
	return g
}

func (g *gate) open() {
	g.t.Helper()
	var err error
	if g.listener, err = net.Listen("tcp", g.address); err != nil {
		g.t.Fatal(err)
	}
	g.conns.Go(func() {
		for {
			conn, err := g.listener.Accept()
			if err != nil {
				return
			}
			g.conns.Go(func() { g.pass(conn) })
		}
	})
}

// pass ends when either end does.
func (g *gate) pass(conn net.Conn) {
	to, err := net.Dial("tcp", g.to)
	if err != nil {
		g.t.Error(errors.Join(err, conn.Close()))
		return
	}
	var both sync.WaitGroup
	one := func(to, from net.Conn) {
		// However it ends, and whoever ends it, the other direction ends as well.
		_, err := io.Copy(to, from)
		if err := errors.Join(to.Close(), from.Close()); err != nil && !errors.Is(err, net.ErrClosed) {
			g.t.Log(err)
		}
		if err != nil && !errors.Is(err, net.ErrClosed) {
			g.t.Log(err)
		}
	}
	both.Go(func() { one(to, conn) })
	both.Go(func() { one(conn, to) })
	both.Wait()
}

func mkdir(path string) error { return os.Mkdir(path, 0o700) }
