package forward

import (
	"errors"
	"net"
	"path/filepath"
	"testing"

	"github.com/spillway/spillway/internal/record"

	protocol "github.com/spillway/spillway/forward"
)

// told is a router that keeps what it is to tell.
type told struct {
	chunks chan *record.Chunk
}

func newTold() *told { return &told{chunks: make(chan *record.Chunk, 10)} }

func (r *told) Admit(c *record.Chunk) {
	kept := *c
	kept.Bodies = append([]byte(nil), c.Bodies...)
	r.chunks <- &kept
}

func (r *told) Reject(c *record.Chunk) { r.Admit(c) }

// source makes a source at an address of its own.
func source(t *testing.T, cfg Config) *Source {
	t.Helper()
	cfg.Name, cfg.Level, cfg.RememberChunks = "in", record.LevelDelivered, 100
	if cfg.Listen == nil {
		cfg.Listen = []Address{{Network: "tcp", Addr: "127.0.0.1:0"}}
	}
	s, note, err := New(cfg)
	if err != nil || note != "" {
		t.Fatal(note, err)
	}
	return s
}

// TestInstead: a source that takes the place of another has its addresses from its
// start on, and what that one remembers; nobody finds the address closed meanwhile,
// and what the old one took is answered by it.
func TestInstead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "chunks")
	first, second := newTold(), newTold()
	old := source(t, Config{Router: first, ChunksFile: file})
	old.Start()
	to := old.Addrs()[0].String()
	one := &protocol.OutChunk{Tag: "t", Entries: [][]byte{append(protocol.AppendEntry(nil, 1), 0x80)}, Records: 1, ID: "one"}
	acked := make(chan bool, 1)
	go func() { acked <- deliver("tcp", to, one) }()
	c := <-first.chunks

	// One that is made and not used takes nothing.
	if err := source(t, Config{Router: second, ChunksFile: file, Instead: old}).Close(); err != nil {
		t.Fatal(err)
	}
	two := *one
	two.ID = "two"
	go func() { acked <- deliver("tcp", to, &two) }()
	(<-first.chunks).Done(true)
	if !<-acked {
		t.Error("the old source does not go on")
	}

	next := source(t, Config{Router: second, ChunksFile: file, Instead: old})
	old.Stop()
	next.Start()
	three := *one
	three.ID = "three"
	go func() { acked <- deliver("tcp", to, &three) }()
	(<-second.chunks).Done(true)
	if !<-acked {
		t.Error("the new source does not acknowledge")
	}
	old.Wait()
	c.Done(true)
	if !<-acked {
		t.Error("what the old source took is not acknowledged")
	}
	if err := old.Close(); err != nil {
		t.Error(err)
	}
	if !deliver("tcp", to, one) || len(second.chunks) > 0 {
		t.Error("the new source does not know what the old one took")
	}
	// Its numbers go on where those of the old one ended.
	n := next.Counts()
	if n.Messages != 4 || n.Records != 3 || n.Resends != 1 || n.Taken != 4 || n.Server.Messages != 4 || n.Server.Taken != 4 || n.Server.Acks != 4 || n.Server.Accepted != 4 {
		t.Errorf("the counters are %+v", n)
	}
	if err := next.Close(); err != nil {
		t.Error(err)
	}
	if conn, err := net.Dial("tcp", to); err == nil {
		t.Error(errors.Join(errors.New("the address is still open"), conn.Close()))
	}
}

// TestSourceAdds: a source adds what it is told to, and changes tags.
func TestSourceAdds(t *testing.T) {
	r := newTold()
	s := source(t, Config{
		Router: r, AddTagPrefix: "edge", AddressKey: "from", Fields: [][2]string{{"ecs_cluster", "default"}, {"ecs_task_arn", "arn"}},
	})
	s.Start()
	acked := make(chan bool, 1)
	entry := entryOf(t, 1, map[string]any{"log": "a", "from": "a liar"})
	go func() {
		acked <- deliver("tcp", s.Addrs()[0].String(), &protocol.OutChunk{Tag: "app", Entries: [][]byte{entry}, Records: 1, ID: "x"})
	}()
	c := <-r.chunks
	got := recordsOf(t, c.Bodies)[0]
	if c.Tag != "edge.app" || got["from"] != "127.0.0.1" || got["ecs_cluster"] != "default" || got["ecs_task_arn"] != "arn" || len(got) != 4 {
		t.Errorf("%s: %v", c.Tag, got)
	}
	c.Done(true)
	<-acked
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestTakenSocket: two sources, or processes, do not share a socket, and one that a
// killed process has left is taken.
func TestTakenSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	listen := []Address{{Network: "unix", Addr: path}}
	s := source(t, Config{Router: newTold(), Listen: listen})
	if _, _, err := New(Config{Name: "another", Router: newTold(), Listen: listen}); err == nil {
		t.Error("two sources listen on one socket")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := source(t, Config{Router: newTold(), Listen: listen}).Close(); err != nil {
		t.Error(err)
	}
}
