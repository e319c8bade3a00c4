package forward_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/tinylib/msgp/msgp"

	"github.com/spillway/spillway/forward"
)

// FuzzParse gives foreign bytes to all that reads a message. Whatever they are,
// no byte is lost between what is valid and what is not.
func FuzzParse(f *testing.F) {
	one := array(forward.AppendNanoseconds(nil, 1), mapOf(text("k"), text("v")))
	option := mapOf(text("chunk"), text("id"), text("size"), []byte{1}, text("compressed"), text("gzip"))
	f.Add(array(text("t"), []byte{1}, mapOf(), option))
	f.Add(array(text("t"), array(one, one), option))
	f.Add(array(text("t"), str32(one), mapOf(text("compressed"), text("text"))))
	f.Add(array(text("t"), str32(compress(f, one, forward.CompressionGzip)), option))
	f.Add(array(text("t"), str32(compress(f, one, forward.CompressionZstd)), mapOf(text("compressed"), text("zstd"))))
	f.Add(append([]byte{0xdc, 0, 2}, array([]byte{0x91, 1}, mapOf())[1:]...))
	f.Add([]byte(`["t",5,{"a":[1.5,"\ud83d\ude00"]},{"chunk":"id"}]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		limits := forward.Limits{Message: 1 << 20, Decompressed: 1 << 20}
		var m forward.Message
		if forward.Parse(bytes.Clone(b), &m) == nil && m.Mode != 0 {
			if _, err := m.Decompress(nil, limits, nil); err == nil {
				checkCounts(t, &m)
			}
			if len(m.AppendAck(nil)) > forward.MaxHandshake {
				t.Errorf("an acknowledgement of %d bytes", len(m.AppendAck(nil)))
			}
		}
		if out, err := forward.ParseJSON(nil, b, &m); err == nil {
			if len(out) > 3*len(b) {
				t.Errorf("%d bytes of JSON became %d", len(b), len(out))
			}
			m.Check()
			checkCounts(t, &m)
		}
		c := forward.CheckEntries(bytes.Clone(b))
		if len(c.Valid)+len(c.Invalid) != len(b) {
			t.Errorf("%d valid and %d invalid of %d bytes", len(c.Valid), len(c.Invalid), len(b))
		}
		if n, err := forward.Skip(b); err == nil {
			if rest, err := msgp.Skip(b); err != nil || len(b)-len(rest) != n {
				t.Errorf("skipped %d, the library %d, %v", n, len(b)-len(rest), err)
			}
		}
		scan(t, b)
	})
}

// checkCounts reads the valid entries one by one.
func checkCounts(t *testing.T, m *forward.Message) {
	t.Helper()
	n := 0
	for rest := m.Entries; len(rest) > 0; n++ {
		var err error
		if rest[0] != 0x92 {
			t.Fatalf("a valid entry begins with %x", rest[0])
		}
		if _, rest, err = forward.NextEntry(rest); err != nil {
			t.Fatalf("a valid entry is none: %v", err)
		}
	}
	if n != m.Count {
		t.Fatalf("%d entries are counted as %d", n, m.Count)
	}
}

// scan gives b to the scanner at once, and byte by byte.
func scan(t *testing.T, b []byte) {
	t.Helper()
	var whole, pieces forward.Scanner
	size, _, err := whole.Scan(b)
	var size2 int64
	var err2 error
	for have := 0; have <= len(b) && size2 == 0 && err2 == nil; have++ {
		size2, _, err2 = pieces.Scan(b[:have])
	}
	if size != size2 || (err == nil) != (err2 == nil) {
		t.Fatalf("scanned at once: %d, %v; in pieces: %d, %v", size, err, size2, err2)
	}
}

// FuzzHandshake gives foreign bytes to all that reads a handshake.
func FuzzHandshake(f *testing.F) {
	hello := forward.NewHello(true, true)
	c := &forward.Credentials{Hostname: "h", SharedKey: "k", Username: "u", Password: "p"}
	ping := forward.NewPing(hello, c)
	f.Add(hello.Append(nil))
	f.Add(ping.Append(nil))
	f.Add(forward.NewPong(hello, ping, c).Append(nil))
	f.Add(forward.AppendAck(nil, "id"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var h forward.Hello
		var p forward.Ping
		var q forward.Pong
		if h.Parse(b) == nil {
			var again forward.Hello
			if err := again.Parse(h.Append(nil)); err != nil {
				t.Error(err)
			}
		}
		if p.Parse(b) == nil && (p.CheckKey(&h, "k") || p.CheckPassword(&h, "p")) {
			t.Error("a stranger knows the key")
		}
		if q.Parse(b) == nil && q.Check(hello, ping, c) == nil {
			t.Error("a stranger is a server")
		}
		if chunk, size, err := forward.ParseAck(b); err == nil && (size > len(b) || len(chunk) > size) {
			t.Errorf("%d bytes of %d", size, len(b))
		}
	})
}

// FuzzServer gives foreign bytes to a connection of a server, in two pieces.
func FuzzServer(f *testing.F) {
	one := array(forward.AppendNanoseconds(nil, 1), mapOf(text("k"), text("v")))
	option := mapOf(text("chunk"), text("id"), text("compressed"), text("zstd"))
	f.Add(array(text("t"), []byte{1}, mapOf(), option), 3)
	f.Add(array(text("t"), str32(compress(f, one, forward.CompressionZstd)), option), 30)
	f.Add([]byte(`["t",5,{"a":[1.5,"\ud83d\ude00"]},{"chunk":"id"}] ["t",[[1,{}]]]`), 11)
	f.Add(append(forward.AppendHead(nil, "t", 300<<10), make([]byte, 300<<10)...), 5)
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		var entries, invalid int64
		s, err := forward.NewServer(forward.ServerConfig{
			Memory: 1 << 20, Limits: forward.Limits{Message: 64 << 10, Decompressed: 1 << 20}, MaxSpooled: 1 << 20,
			Spool: forward.NewDirSpool(t.TempDir(), 0),
			Receiver: forward.ReceiverFunc(func(r *forward.Received, done func(bool)) {
				err := r.Each(func(m *forward.Message) error {
					if r.Spooled == nil {
						entries, invalid = entries+int64(m.Count), invalid+int64(m.InvalidCount)
					}
					checkCounts(t, m)
					return nil
				})
				done(err == nil)
			}),
		})
		if err != nil {
			t.Fatal(err)
		}
		l := newPipes()
		served := make(chan error, 1)
		go func() { served <- s.Serve(l) }()
		c := l.dial()
		read := make(chan error, 1)
		go func() {
			_, err := io.Copy(io.Discard, c)
			read <- err
		}()
		if cut = max(0, min(cut, len(b))); len(b) > 0 {
			_, _ = c.Write(b[:cut]) // the server may have closed it
			_, _ = c.Write(b[cut:])
		}
		if err := errors.Join(c.Close(), s.Close(t.Context())); err != nil {
			t.Error(err)
		}
		if err := <-read; err != nil && !errors.Is(err, io.ErrClosedPipe) {
			t.Error(err)
		}
		if err := <-served; !errors.Is(err, forward.ErrServerClosed) {
			t.Error(err)
		}
		if st := s.Stats(); st.Memory != 0 || st.Due != 0 || st.Entries != entries || st.Invalid != invalid || st.MemoryPeak > 1<<20 {
			t.Errorf("%+v with %d entries and %d invalid", st, entries, invalid)
		}
	})
}
