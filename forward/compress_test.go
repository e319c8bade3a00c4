package forward_test

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"pgregory.net/rapid"

	"github.com/spillway/spillway/forward"
)

// TestCompressedSurvives has several members, sizes around those of blocks, and
// frames that do not say what they expand to.
func TestCompressedSurvives(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := forward.Compression(rapid.IntRange(1, 2).Draw(t, "compression"))
		var plain, packed []byte
		for range rapid.IntRange(0, 3).Draw(t, "members") {
			part := bytes.Repeat([]byte(rapid.StringN(1, 20, 20).Draw(t, "text")), rapid.IntRange(0, 20000).Draw(t, "times"))
			plain = append(plain, part...)
			if c == forward.CompressionZstd && rapid.Bool().Draw(t, "streamed") {
				var out bytes.Buffer
				w, err := zstd.NewWriter(&out)
				if err != nil {
					t.Fatal(err)
				}
				for len(part) > 0 {
					n := rapid.IntRange(1, len(part)).Draw(t, "piece")
					if _, err := w.Write(part[:n]); err != nil {
						t.Fatal(err)
					}
					if err := w.Flush(); err != nil {
						t.Fatal(err)
					}
					part = part[n:]
				}
				if err := w.Close(); err != nil {
					t.Fatal(err)
				}
				packed = append(packed, out.Bytes()...)
				continue
			}
			var err error
			if packed, err = forward.Compress(packed, part, c); err != nil {
				t.Fatal(err)
			}
		}
		if len(packed) == 0 {
			return
		}
		got, err := forward.Decompress([]byte("before"), packed, c, forward.Limits{Ratio: 1 << 20}, nil)
		if err != nil || string(got) != "before"+string(plain) {
			t.Fatalf("%d bytes, %v; want %d", len(got), err, len(plain)+6)
		}
		cut := rapid.IntRange(1, len(packed)-1).Draw(t, "cut")
		got, err = forward.Decompress(nil, packed[:cut], c, forward.Limits{Ratio: 1 << 20}, nil)
		if err == nil && !bytes.HasPrefix(plain, got) { // between members it is whole
			t.Fatalf("cut after %d of %d bytes: no error", cut, len(packed))
		}
	})
}

// gzipBomb is whole MiB of zeroes: a block that says so, again and again. To compress a gigabyte would
// take seconds.
func gzipBomb(t testing.TB, size int64) []byte {
	t.Helper()
	zeroes := make([]byte, 1<<20)
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, flate.DefaultCompression)
	if err != nil {
		t.Fatal(err)
	}
	block := func() []byte {
		from := out.Len()
		if _, err := w.Write(zeroes); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		return bytes.Clone(out.Bytes()[from:])
	}
	first, again := block(), block() // the second refers back to zeroes from its beginning
	from := out.Len()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	b := append([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255}, first...)
	sum := crc32.ChecksumIEEE(zeroes)
	for range size>>20 - 1 {
		b, sum = append(b, again...), crc32.Update(sum, crc32.IEEETable, zeroes)
	}
	b = append(b, out.Bytes()[from:]...)
	return binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(b, sum), uint32(size))
}

// TestGzipBomb: what the tests send is a whole file.
func TestGzipBomb(t *testing.T) {
	got, err := forward.Decompress(nil, gzipBomb(t, 5<<20), forward.CompressionGzip, forward.Limits{Ratio: 1 << 20}, nil)
	if err != nil || !bytes.Equal(got, make([]byte, 5<<20)) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// zstdBomb is a frame of blocks that say "this byte, 128 KiB times"; known says
// whether its head says how much that is.
func zstdBomb(blocks int, known bool) []byte {
	b := []byte{0x28, 0xb5, 0x2f, 0xfd, 0, 0x58}
	if known {
		b[4] = 0xc0
		b = binary.LittleEndian.AppendUint64(b, uint64(blocks)*128<<10)
	}
	for i := range blocks {
		head := 128<<10<<3 | 1<<1
		if i == blocks-1 {
			head |= 1
		}
		b = append(b, byte(head), byte(head>>8), byte(head>>16), 0)
	}
	return b
}

// TestBombs asserts that a payload which expands beyond the limits costs neither
// more memory than these, nor any where the size stands in its head.
func TestBombs(t *testing.T) {
	tenGB := 10 << 30 / (128 << 10)
	for name, c := range map[string]struct {
		b    []byte
		kind forward.Compression
		most int64 // bytes allocated in all
	}{
		"gzip":                          {gzipBomb(t, 1<<30), forward.CompressionGzip, 5 << 20},
		"gzip, many members":            {bytes.Repeat(gzipBomb(t, 1<<20), 1000), forward.CompressionGzip, 5 << 20},
		"zstd to 10 GB":                 {zstdBomb(tenGB, false), forward.CompressionZstd, 20 << 20},
		"zstd to 10 GB, and says so":    {zstdBomb(tenGB, true), forward.CompressionZstd, 1 << 16},
		"zstd, many frames":             {bytes.Repeat(zstdBomb(8, true), 1000), forward.CompressionZstd, 5 << 20},
		"zstd, many frames, unknown":    {bytes.Repeat(zstdBomb(8, false), 1000), forward.CompressionZstd, 20 << 20},
		"zstd, 16 exabytes in one head": {append([]byte{0x28, 0xb5, 0x2f, 0xfd, 0xe0}, 255, 255, 255, 255, 255, 255, 255, 255, 1, 0, 0), forward.CompressionZstd, 1 << 16},
	} {
		var limit *forward.LimitError
		before := allocated()
		got, err := forward.Decompress(nil, c.b, c.kind, forward.Limits{Decompressed: 1 << 20}, nil)
		used := allocated() - before
		if !errors.As(err, &limit) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
		if used > c.most {
			t.Errorf("%s: %d bytes were allocated, most %d", name, used, c.most)
		}
		t.Logf("%s: %d bytes in, %d allocated, %v", name, len(c.b), used, err)
	}
}

func allocated() int64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.TotalAlloc)
}

// TestRatio lets small payloads expand as they like, and large ones not.
func TestRatio(t *testing.T) {
	bomb := zstdBomb(8, true) // 1 MiB
	if got, err := forward.Decompress(nil, bomb, forward.CompressionZstd, forward.Limits{}, nil); err != nil || len(got) != 1<<20 {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	var limit *forward.LimitError
	if _, err := forward.Decompress(nil, zstdBomb(16, true), forward.CompressionZstd, forward.Limits{}, nil); !errors.As(err, &limit) {
		t.Errorf("2 MiB of %d bytes: %v", len(zstdBomb(16, true)), err)
	}
}

// TestMemoryIsTheCallers shows that nothing but grow gives memory.
func TestMemoryIsTheCallers(t *testing.T) {
	full := errors.New("full")
	plain := []byte(strings.Repeat("what is to be compressed ", 10000))
	for _, c := range []forward.Compression{forward.CompressionGzip, forward.CompressionZstd} {
		packed := compress(t, plain, c)
		room := make([]byte, 0, 100)
		got, err := forward.Decompress(room, packed, c, forward.Limits{}, func(b []byte, more int) ([]byte, error) {
			if cap(b) > 1000 {
				return b, full
			}
			return append(make([]byte, 0, 2000), b...), nil
		})
		if !errors.Is(err, full) && err == nil {
			t.Errorf("%v: %d bytes, %v", c, len(got), err)
		}
	}
}

func TestUnknownCompression(t *testing.T) {
	var m forward.Message
	if err := forward.Parse(array(text("t"), text("x"), mapOf(text("compressed"), text("lz77"))), &m); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Decompress(nil, forward.Limits{}, nil); err == nil || m.Compression != forward.CompressionUnknown {
		t.Errorf("%v, %v", m.Compression, err)
	}
}
