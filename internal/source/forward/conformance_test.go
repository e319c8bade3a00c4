package forward

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/tinylib/msgp/msgp"
	"go.uber.org/goleak"

	protocol "github.com/spillway/spillway/forward"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/source/sourcetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// endless is a source as a run has it: its input has no end.
type endless struct{ *Source }

func (endless) Done() <-chan struct{} { return nil }

func TestConformance(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			sourcetest.Run(t, func(t *testing.T, r *sourcetest.Router) sourcetest.Subject {
				a := Address{Network: network, Addr: "127.0.0.1:0"}
				if network == "unix" {
					a.Addr = filepath.Join(t.TempDir(), "s")
				}
				s, note, err := New(Config{
					Name: "in", Listen: []Address{a}, SocketMode: 0o600, Router: r, Level: record.LevelDelivered, RememberChunks: 1000,
					ChunksFile: filepath.Join(t.TempDir(), "chunks"),
				})
				if err != nil || note != "" {
					t.Fatal(note, err)
				}
				to := s.Addrs()[0].String()
				send := func(c *protocol.OutChunk) <-chan bool {
					acked := make(chan bool, 1)
					go func() { acked <- deliver(network, to, c) }()
					return acked
				}
				return sourcetest.Subject{
					Source: endless{s},
					Send: func(key string, records ...string) <-chan bool {
						var entries []byte
						for _, text := range records {
							entries = protocol.AppendEntry(entries, 1e9)
							entries = msgp.AppendString(msgp.AppendString(msgp.AppendMapHeader(entries, 1), "log"), text)
						}
						return send(&protocol.OutChunk{Tag: "tag", Entries: [][]byte{entries}, Records: len(records), ID: key})
					},
					SendBad: func() <-chan bool {
						return send(&protocol.OutChunk{Tag: "tag", Entries: [][]byte{[]byte("\x92\x01\xa2no")}, Records: 1, ID: "bad"})
					},
				}
			})
		})
	}
}

// deliver sends a chunk on a connection of its own and waits for the ack.
func deliver(network, to string, c *protocol.OutChunk) bool {
	conn, err := protocol.Dial(context.Background(), protocol.DialOptions{Network: network, Address: to})
	if err != nil {
		return false
	}
	err = conn.Deliver(context.Background(), c)
	if err := conn.Close(); err != nil {
		panic(fmt.Sprintf("close a connection: %v", err))
	}
	return err == nil
}
