package forward

import (
	"bytes"
	"compress/gzip"
	"strings"
	"testing"

	protocol "github.com/spillway/spillway/forward"
)

// TestWhyRejected: what is no record goes to the dead letters with the reason for which
// it is none, and as it was received.
func TestWhyRejected(t *testing.T) {
	good := append(protocol.AppendEntry(nil, 1), 0x80)
	deep := append(protocol.AppendEntry(nil, 1), 0x81, 0xa1, 'k')
	deep = append(append(deep, bytes.Repeat([]byte{0x91}, 100_000)...), 0xc0)
	spooled := bytes.Repeat(good, 2<<20/len(good))
	for name, c := range map[string]struct {
		entries []byte
		packed  protocol.Compression
		want    string
	}{
		"a record of text":     {entries: []byte("\x92\x01\xa2no"), want: "no-entry"},
		"no time":              {entries: []byte("\x92\xa1x\x80"), want: "no-entry"},
		"a number":             {entries: []byte{7}, want: "no-entry"},
		"too deep":             {entries: deep, want: "too-deep"},
		"cut off":              {entries: good[:len(good)-1], want: "unreadable"},
		"no msgpack":           {entries: []byte{0xc1}, want: "unreadable"},
		"no gzip":              {entries: []byte("\x1f\x8b no gzip"), packed: protocol.CompressionGzip, want: "unreadable"},
		"no zstd":              {entries: []byte("no zstd"), packed: protocol.CompressionZstd, want: "unreadable"},
		"expands too far":      {entries: gzipped(t, bytes.Repeat(good, 8<<20/len(good))), packed: protocol.CompressionGzip, want: "too-large"},
		"no entry, spooled":    {entries: append(bytes.Clone(spooled), 7), want: "no-entry"},
		"no msgpack, spooled":  {entries: append(bytes.Clone(spooled), 0xc1), want: "unreadable"},
		"cut off, spooled":     {entries: append(bytes.Clone(spooled), good[:len(good)-1]...), want: "unreadable"},
		"long entry, spooled":  {entries: append(append(protocol.AppendEntry(nil, 1), "\x81\xa1k\xdb\x00\x20\x00\x00"...), strings.Repeat("x", 2<<20)...), want: "too-large"},
		"several, first it is": {entries: []byte("\x92\x01\xa2no\xc1"), want: "no-entry"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newTold()
			s := source(t, Config{Router: r, Server: protocol.ServerConfig{
				Memory: 4 << 20, Limits: protocol.Limits{Message: 1 << 20, Decompressed: 4 << 20}, Spool: protocol.NewDirSpool(t.TempDir(), 0),
			}})
			s.Start()
			acked := make(chan bool, 1)
			go func() {
				acked <- deliver("tcp", s.Addrs()[0].String(), &protocol.OutChunk{
					Tag: "t", Entries: [][]byte{c.entries}, Compression: c.packed, ID: "one",
				})
			}()
			got := ""
			for over := false; !over; {
				select {
				case piece := <-r.chunks:
					if why := piece.Refusal.Reason; why != "" {
						got = why
					}
					piece.Done(true)
				case ok := <-acked:
					if over = true; !ok {
						t.Error("it is not acknowledged, and would be sent again for ever")
					}
				}
			}
			if got != c.want {
				t.Errorf("the reason is %q, want %q", got, c.want)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func gzipped(t *testing.T, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
