package rawconn

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// each runs a test with both ends of a connection of each kind, the first of which is
// wrapped.
func each(t *testing.T, test func(t *testing.T, c net.Conn, peer net.Conn)) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			c, peer := pair(t, network)
			if _, ok := Wrap(c).(*conn); !ok {
				t.Fatalf("a connection over %s was not wrapped", network)
			}
			test(t, Wrap(c), peer)
		})
	}
}

func pair(t testing.TB, network string) (c, peer net.Conn) {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "s")
	}
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if c, err = net.Dial(network, l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if peer, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		peer.Close()
	})
	return c, peer
}

// Both ways at once, each with more than buffers hold, in pieces of all sizes.
func TestCarriesAll(t *testing.T) {
	each(t, func(t *testing.T, c, peer net.Conn) {
		const size = 16 << 20
		var all sync.WaitGroup
		for _, way := range [][2]net.Conn{{c, peer}, {peer, c}} {
			sent, received := sha256.New(), sha256.New()
			all.Go(func() {
				piece := make([]byte, 1<<20)
				_, _ = rand.NewChaCha8([32]byte{}).Read(piece) // It never fails.
				for left := size; left > 0; {
					n := min(left, 1+rand.IntN(len(piece)))
					if wrote, err := way[0].Write(piece[:n]); wrote != n || err != nil {
						t.Errorf("wrote %d of %d bytes: %v", wrote, n, err)
						way[0].Close()
						return
					}
					sent.Write(piece[:n])
					left -= n
				}
			})
			all.Go(func() {
				piece := make([]byte, 300<<10)
				for left := size; left > 0; {
					n, err := way[1].Read(piece[:min(left, 1+rand.IntN(len(piece)))])
					if err != nil {
						t.Errorf("read with %d bytes to go: %v", left, err)
						way[1].Close()
						return
					}
					received.Write(piece[:n])
					left -= n
				}
			})
			defer func() {
				if !t.Failed() && !bytes.Equal(sent.Sum(nil), received.Sum(nil)) {
					t.Error("what was read is not what was written")
				}
			}()
		}
		all.Wait()
	})
}

// Writers take turns, so that what each writes stays in one piece.
func TestWritersTakeTurns(t *testing.T) {
	each(t, func(t *testing.T, c, peer net.Conn) {
		const size = 3 << 20
		var all sync.WaitGroup
		for _, mark := range []byte("abc") {
			all.Go(func() {
				if _, err := c.Write(bytes.Repeat([]byte{mark}, size)); err != nil {
					t.Error(err)
				}
			})
		}
		for range 3 {
			got := make([]byte, size)
			if _, err := io.ReadFull(peer, got); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, bytes.Repeat(got[:1], size)) {
				t.Error("what two have written is mixed")
			}
		}
		all.Wait()
	})
}

func TestEnd(t *testing.T) {
	each(t, func(t *testing.T, c, peer net.Conn) {
		if _, err := peer.Write([]byte("end")); err != nil {
			t.Fatal(err)
		}
		peer.Close()
		got, err := io.ReadAll(c)
		if string(got) != "end" || err != nil {
			t.Errorf("read %q, %v", got, err)
		}
		if n, err := c.Read(nil); n != 0 || err != nil {
			t.Errorf("read nothing: %d, %v", n, err)
		}
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("behind the end: %v", err)
		}
	})
}

// Errors are those of the connection that is not wrapped, word for word.
func TestErrors(t *testing.T) {
	long := make([]byte, 1<<20)
	for name, failing := range map[string]func(c, peer net.Conn) error{
		"past deadline of reading": func(c, _ net.Conn) error {
			_ = c.SetReadDeadline(time.Unix(1, 0))
			_, err := c.Read(make([]byte, 1))
			return err
		},
		"deadline of reading": func(c, _ net.Conn) error {
			_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
			_, err := c.Read(make([]byte, 1))
			return err
		},
		"deadline of writing": func(c, _ net.Conn) error {
			_ = c.SetWriteDeadline(time.Now().Add(time.Millisecond))
			for {
				if _, err := c.Write(long); err != nil {
					return err
				}
			}
		},
		"read of a closed one": func(c, _ net.Conn) error {
			c.Close()
			_, err := c.Read(make([]byte, 1))
			return err
		},
		"write to a closed one": func(c, _ net.Conn) error {
			c.Close()
			_, err := c.Write([]byte("x"))
			return err
		},
		"closed while it waits": func(c, _ net.Conn) error {
			failed := make(chan error)
			go func() {
				_, err := c.Read(make([]byte, 1))
				failed <- err
			}()
			c.Close()
			return <-failed
		},
		"the other end has gone": func(c, peer net.Conn) error {
			peer.Close()
			for {
				if _, err := c.Write(long); errors.Is(err, syscall.EPIPE) {
					return err
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, network := range []string{"tcp", "unix"} {
				c, peer := pair(t, network)
				got := failing(Wrap(c), peer)
				plain, other := pair(t, network)
				want := failing(plain, other)
				var op, wantOp *net.OpError
				if !errors.As(got, &op) || !errors.As(want, &wantOp) {
					t.Fatalf("%s: failed with %v, expected %v", network, got, want)
				}
				// The ports are others.
				if op.Op != wantOp.Op || op.Net != wantOp.Net || op.Timeout() != wantOp.Timeout() || op.Err.Error() != wantOp.Err.Error() ||
					op.Source.String() != c.LocalAddr().String() || op.Addr.String() != c.RemoteAddr().String() {
					t.Errorf("%s: failed with %v, expected %v", network, got, want)
				}
				for _, kind := range []error{os.ErrDeadlineExceeded, net.ErrClosed, syscall.EPIPE} {
					if errors.Is(got, kind) != errors.Is(want, kind) {
						t.Errorf("%s: %v is %v: %t", network, got, kind, errors.Is(got, kind))
					}
				}
			}
		})
	}
}

// A deadline that has passed says nothing of what is read after a later one.
func TestGoesOnAfterDeadline(t *testing.T) {
	each(t, func(t *testing.T, c, peer net.Conn) {
		_ = c.SetReadDeadline(time.Unix(1, 0))
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("failed with %v", err)
		}
		_ = c.SetReadDeadline(time.Time{})
		if _, err := peer.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if n, err := c.Read(make([]byte, 8)); n != 1 || err != nil {
			t.Errorf("read %d, %v", n, err)
		}
	})
}

// What is no connection of package net that carries a stream stays as it is.
func TestOthersStay(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if Wrap(a) != a {
		t.Error("a pipe was wrapped")
	}
	packets, err := net.Dial("unixgram", unixgram(t))
	if err != nil {
		t.Fatal(err)
	}
	defer packets.Close()
	if Wrap(packets) != packets {
		t.Error("a socket of packets was wrapped, of which an empty one is no end")
	}
}

func unixgram(t *testing.T) string {
	address := &net.UnixAddr{Net: "unixgram", Name: filepath.Join(t.TempDir(), "s")}
	l, err := net.ListenUnixgram("unixgram", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return address.Name
}

func TestAllocatesNothing(t *testing.T) {
	c, peer := pair(t, "tcp")
	c = Wrap(c)
	p := make([]byte, 64<<10)
	if n := testing.AllocsPerRun(100, func() {
		if _, err := c.Write(p); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(peer, p); err != nil {
			t.Fatal(err)
		}
		if _, err := peer.Write(p); err != nil {
			t.Fatal(err)
		}
		for left := len(p); left > 0; {
			n, err := c.Read(p)
			if err != nil {
				t.Fatal(err)
			}
			left -= n
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
