package forward

import (
	"context"
	"io"
	"net"
	"testing"
)

// FuzzAnswers answers a client with any bytes, in a handshake and behind it.
// They must neither let it in where the server does not know the key, nor
// acknowledge a chunk whose id they cannot hold.
func FuzzAnswers(f *testing.F) {
	f.Add([]byte{}, false)
	f.Add(ackOf("x"), false)
	f.Add(append([]byte{0xc0, 0xc0}, ackOf("x")...), false)
	f.Add([]byte("\x81\xc4\x03ack\xd9\x01x"), false)
	f.Add(heloOf("", true), false)
	f.Add(append(heloOf("salt", true), pongOf(true, "", "server", "digest")...), true)
	f.Add(append(heloOf("", false), pongOf(false, "no", "", "")...), true)
	f.Add([]byte("\x95\xa4PONG\xc3\xa0\xa6server\xa0"), true)
	f.Fuzz(func(t *testing.T, answer []byte, shake bool) {
		ours, theirs := net.Pipe()
		served := make(chan struct{})
		go func() {
			defer close(served)
			defer theirs.Close()
			go func() {
				// It ends with the connection.
				_, _ = io.Copy(io.Discard, theirs)
			}()
			// The client may have hung up in the middle.
			_, _ = theirs.Write(answer)
		}()
		o := DialOptions{Address: "pipe:1", DialContext: func(context.Context, string, string) (net.Conn, error) { return ours, nil }}
		if shake {
			o.Auth = &Credentials{SharedKey: newID(), Hostname: "client"}
		}
		c, err := Dial(t.Context(), o)
		if err == nil {
			if shake {
				t.Error("the server was let in without the key")
			}
			id := newID()
			if err := c.Deliver(t.Context(), chunkOf(id, 3)); err == nil {
				t.Errorf("chunk %s was acknowledged by % x", id, answer)
			}
			if c.Err() == nil {
				t.Error("the connection lives without a server")
			}
			c.Close()
		}
		<-served
	})
}
