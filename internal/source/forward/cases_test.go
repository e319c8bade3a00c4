package forward

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tinylib/msgp/msgp"

	protocol "github.com/spillway/spillway/forward"
	"github.com/spillway/spillway/internal/record"
)

// mode is one way to send two records of one tag, as fluentd's own tests of in_forward
// send them: what goes over the connection, one message or two.
type mode struct {
	name string
	send func(tag string, entries [][]byte, option []byte) [][]byte
}

func array(elements ...[]byte) []byte {
	return append(msgp.AppendArrayHeader(nil, uint32(len(elements))), bytes.Join(elements, nil)...)
}

func str32(b []byte) []byte {
	return append([]byte{0xdb, byte(len(b) >> 24), byte(len(b) >> 16), byte(len(b) >> 8), byte(len(b))}, b...)
}

// with is a message's elements, and its option where there is one.
func with(option []byte, elements ...[]byte) []byte {
	if option != nil {
		elements = append(elements, option)
	}
	return array(elements...)
}

func modes(t *testing.T) []mode {
	t.Helper()
	packed := func(name string, frame func(entries [][]byte) (payload []byte, compressed string)) mode {
		return mode{name: name, send: func(tag string, entries [][]byte, option []byte) [][]byte {
			payload, compressed := frame(entries)
			if compressed != "" {
				n := uint32(1)
				if option != nil {
					n, option = 2, option[1:]
				}
				option = append(msgp.AppendString(msgp.AppendString(msgp.AppendMapHeader(nil, n), "compressed"), compressed), option...)
			}
			return [][]byte{with(option, msgp.AppendString(nil, tag), payload)}
		}}
	}
	each := func(entries [][]byte, c protocol.Compression) (all []byte) {
		for _, e := range entries {
			b, err := protocol.Compress(nil, e, c)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, b...)
		}
		return all
	}
	return []mode{
		{name: "Message", send: func(tag string, entries [][]byte, option []byte) (all [][]byte) {
			for _, e := range entries {
				message := with(option, msgp.AppendString(nil, tag), e[1:]) // An entry is its time and its record.
				message[0] = 0x93
				if option != nil {
					message[0] = 0x94
				}
				all = append(all, message)
			}
			return all
		}},
		{name: "Forward", send: func(tag string, entries [][]byte, option []byte) [][]byte {
			return [][]byte{with(option, msgp.AppendString(nil, tag), array(entries...))}
		}},
		packed("PackedForward as str", func(entries [][]byte) ([]byte, string) { return str32(bytes.Join(entries, nil)), "" }),
		packed("PackedForward as bin", func(entries [][]byte) ([]byte, string) { return msgp.AppendBytes(nil, bytes.Join(entries, nil)), "" }),
		packed("gzip, a member an entry", func(entries [][]byte) ([]byte, string) { return str32(each(entries, protocol.CompressionGzip)), "gzip" }),
		packed("zstd, a frame an entry", func(entries [][]byte) ([]byte, string) { return str32(each(entries, protocol.CompressionZstd)), "zstd" }),
	}
}

// someTime is that of fluentd's tests: 2011-01-02 13:14:15 UTC.
const someTime = 1293974055

var times = map[string]struct {
	b    []byte
	want int64 // nanoseconds
}{
	"seconds":             {msgp.AppendInt64(nil, someTime), someTime * 1e9},
	"EventTime":           {protocol.AppendNanoseconds(nil, someTime*1e9+1), someTime*1e9 + 1},
	"EventTime in ext8":   {append([]byte{0xc7, 8, 0}, protocol.AppendNanoseconds(nil, someTime*1e9+1)[2:]...), someTime*1e9 + 1},
	"time with metadata":  {array(protocol.AppendNanoseconds(nil, someTime*1e9+1), []byte{0x80}), someTime*1e9 + 1},
	"0, which is the now": {[]byte{0}, 0},
}

// dialled is a connection, behind the handshake where there is one.
func dialled(t *testing.T, s *Source, secured bool) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	if !secured {
		return c
	}
	credentials := &protocol.Credentials{Hostname: "client", SharedKey: "foobar1", Username: "tagomoris", Password: "fluentd"}
	if err := shake(c, credentials); err != nil {
		t.Fatal(err)
	}
	return c
}

// answered is what comes back until the source is closed, or there is as much as that.
func answered(t *testing.T, c net.Conn, want []byte) []byte {
	t.Helper()
	b := make([]byte, len(want))
	if err := c.SetReadDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	n, err := io.ReadFull(c, b)
	if err != nil {
		t.Errorf("after %d bytes: %v", n, err)
	}
	return b[:n]
}

// nothing reports whether nothing has come back.
func nothing(t *testing.T, c net.Conn) bool {
	t.Helper()
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(c)
	return len(b) == 0 && (err == nil || errors.Is(err, os.ErrDeadlineExceeded))
}

// taken are the entries of the chunks that come, each answered.
func takenEntries(t *testing.T, r *told, records int) (tags []string, entries [][]byte, levels []record.Level) {
	t.Helper()
	for len(entries) < records {
		select {
		case c := <-r.chunks:
			for rest := c.Bodies; len(rest) > 0; {
				e, next, err := protocol.NextEntry(rest)
				if err != nil {
					t.Fatal(err)
				}
				entries, tags, levels, rest = append(entries, e.Raw), append(tags, c.Tag), append(levels, c.Level), next
			}
			c.Done(true)
		case <-time.After(2 * time.Minute):
			t.Fatalf("%d of %d records came", len(entries), records)
		}
	}
	return tags, entries, levels
}

// TestFluentdsCases sends as fluentd's tests of in_forward do: in every mode, with every
// form of time, with and without a handshake, with and without an id, and with the tag as
// it is, replaced, and prefixed. Both records come once, as they were sent, and what has
// an id is acknowledged, byte for byte, and nothing else answered.
func TestFluentdsCases(t *testing.T) {
	security := &protocol.Security{Hostname: "localhost", SharedKey: "foobar1", Users: map[string]string{"tagomoris": "fluentd"}}
	for _, secured := range []bool{false, true} {
		for as, tag := range map[string][2]string{"": {"", ""}, "replaced": {"other", ""}, "prefixed": {"", "pre"}} {
			r := newTold()
			cfg := Config{Router: r, Tag: tag[0], AddTagPrefix: tag[1]}
			if secured {
				cfg.Server.Security = security
			}
			s := source(t, cfg)
			s.Start()
			for _, m := range modes(t) {
				for form, at := range times {
					if m.name == "Message" && form == "time with metadata" {
						continue // An array in its place is what Forward has there.
					}
					for _, ack := range []bool{false, true} {
						name := fmt.Sprintf("%s, %s, secured %t, ack %t, tag %s", m.name, form, secured, ack, as)
						oneCase(t, name, s, r, m, at.b, at.want, secured, ack, map[string]string{"": "tag1", "replaced": "other", "prefixed": "pre.tag1"}[as])
					}
				}
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

func oneCase(t *testing.T, name string, s *Source, r *told, m mode, at []byte, want int64, secured, ack bool, tag string) {
	t.Helper()
	var entries [][]byte
	for i := range byte(2) {
		entries = append(entries, array(at, append([]byte("\x82\xa1a"), i+1, 0xa4, 'c', 'a', 's', 'e')))
		entries[i] = msgp.AppendString(entries[i], name) // No two cases are one chunk.
	}
	var option, acks []byte
	// fluentd's ids end with a newline.
	const id = "MTIzNDU2Nzg5MDEyMzQ1Ng==\n"
	if ack {
		option = msgp.AppendString(msgp.AppendString(msgp.AppendMapHeader(nil, 1), "chunk"), id)
	}
	c := dialled(t, s, secured)
	defer c.Close()
	for _, b := range m.send("tag1", entries, option) {
		if _, err := c.Write(b); err != nil {
			t.Fatal(err)
		}
		if ack {
			acks = protocol.AppendAck(acks, id)
		}
	}
	tags, got, levels := takenEntries(t, r, 2)
	for i := range got {
		e, _, err := protocol.NextEntry(got[i])
		if err != nil || tags[i] != tag || !bytes.Equal(got[i], entries[i]) || e.Time != want {
			t.Errorf("%s: %s % x at %v, %v; want %s % x", name, tags[i], got[i], e.Time, err, tag, entries[i])
		}
		if asked := levels[i] == record.LevelDelivered; asked != ack {
			t.Errorf("%s: it waits for the level %v", name, levels[i])
		}
	}
	if got := answered(t, c, acks); !bytes.Equal(got, acks) {
		t.Errorf("%s: answered % x, want % x", name, got, acks)
	}
	if !nothing(t, c) {
		t.Errorf("%s: something is answered that nobody asked for", name)
	}
}

// TestFluentdsJSONCases are those of messages in JSON: with and without an id, with a
// newline behind each, and with a key that comes twice.
func TestFluentdsJSONCases(t *testing.T) {
	for name, c := range map[string]struct{ sent, acks string }{
		"plain":         {`["tag1",1293974055,{"a":1}]["tag1",1293974055,{"a":2}]`, ""},
		"newlines":      {`["tag1",1293974055,{"a":1}]` + "\n" + `["tag1",1293974055,{"a":2}]` + "\n", ""},
		"acknowledged":  {`["tag1",1293974055,{"a":1},{"chunk":"x\n"}]["tag1",1293974055,{"a":2},{"chunk":"y"}]`, `{"ack":"x\n"}{"ack":"y"}`},
		"duplicate key": {`["tag1",1293974055,{"a":7,"a":1}]["tag1",1293974055,{"a":2,"a":2}]`, ""},
	} {
		r := newTold()
		s := source(t, Config{Router: r})
		s.Start()
		conn := dialled(t, s, false)
		if _, err := conn.Write([]byte(c.sent)); err != nil {
			t.Fatal(err)
		}
		tags, got, _ := takenEntries(t, r, 2)
		for i, e := range got {
			if want := array(msgp.AppendInt64(nil, someTime), []byte{0x81, 0xa1, 'a', byte(i + 1)}); tags[i] != "tag1" || !bytes.Equal(e, want) {
				t.Errorf("%s: %s % x", name, tags[i], e)
			}
		}
		if acks := answered(t, conn, []byte(c.acks)); string(acks) != c.acks {
			t.Errorf("%s: answered %s", name, acks)
		}
		if !nothing(t, conn) {
			t.Errorf("%s: something is answered that nobody asked for", name)
		}
		if err := errors.Join(conn.Close(), s.Close()); err != nil {
			t.Error(err)
		}
	}
}

// TestFluentdsSenderCases: in each mode, the address and the name of the sender become
// fields of every record.
func TestFluentdsSenderCases(t *testing.T) {
	r := newTold()
	s := source(t, Config{Router: r, AddressKey: "source_address", HostnameKey: "source_hostname"})
	s.Start()
	names, err := net.LookupAddr("127.0.0.1")
	if err != nil {
		names = []string{"127.0.0.1"}
	}
	for i := range names {
		names[i] = strings.TrimSuffix(names[i], ".")
	}
	for _, m := range modes(t) {
		c := dialled(t, s, false)
		for _, b := range m.send("tag1", [][]byte{entryOf(t, 1, map[string]any{"a": 1}), entryOf(t, 1, map[string]any{"a": 2})}, nil) {
			if _, err := c.Write(b); err != nil {
				t.Fatal(err)
			}
		}
		_, got, _ := takenEntries(t, r, 2)
		for _, e := range got {
			fields := recordsOf(t, e)[0]
			if fields["source_address"] != "127.0.0.1" || !slices.Contains(names, fmt.Sprint(fields["source_hostname"])) {
				t.Errorf("%s: %v, want a name of %v", m.name, fields, names)
			}
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// shake does the handshake as a client does.
func shake(c net.Conn, as *protocol.Credentials) error {
	b := make([]byte, 4096)
	n, err := c.Read(b)
	if err != nil {
		return err
	}
	var hello protocol.Hello
	if err := hello.Parse(b[:n]); err != nil {
		return err
	}
	ping := protocol.NewPing(&hello, as)
	if _, err := c.Write(ping.Append(nil)); err != nil {
		return err
	}
	if n, err = c.Read(b); err != nil {
		return err
	}
	var pong protocol.Pong
	if err := pong.Parse(b[:n]); err != nil {
		return err
	}
	return pong.Check(&hello, ping, as)
}
