package buffer_test

import (
	"path/filepath"
	"strconv"
	"testing"

	"github.com/tinylib/msgp/msgp"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/diskbuffer"
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink"
)

// entriesOf makes n entries of size bytes each.
func entriesOf(n, size int) []byte {
	var all []byte
	for i := range n {
		at := len(all)
		all = append(all, 0x92, 0xd7, 0, 0x6a, 0, 0, 0, 0, 0, 0, byte(i))
		all = msgp.AppendMapHeader(all, 1)
		all = msgp.AppendString(all, "message")
		all = msgp.AppendString(all, string(make([]byte, size-(len(all)-at)-2)))
	}
	return all
}

// BenchmarkChunks takes chunks through a buffer: admission, request, settlement.
func BenchmarkChunks(b *testing.B) {
	for _, c := range []struct {
		records, size int
		level         record.Level
	}{{1000, 250, record.LevelMemory}, {1000, 250, record.LevelDelivered}, {1, 250, record.LevelDelivered}} {
		b.Run(strconv.Itoa(c.records)+" records, "+c.level.String(), func(b *testing.B) {
			buf := buffer.New(buffer.Config{
				Limit: 64 << 20, Mode: buffer.Blocking, Sink: sink.Limits{InFlight: 8},
			}, ledger.New())
			told := 0
			chunk := record.Chunk{
				Tag: "app.web", Time: someday, Encoding: record.EncodingEntry, Bodies: entriesOf(c.records, c.size), Count: c.records,
				Level: c.level, Done: func(bool) { told++ },
			}
			b.SetBytes(int64(len(chunk.Bodies)))
			b.ReportAllocs()
			n := uint32(0)
			for b.Loop() {
				n++
				chunk.Origin.Key = [16]byte{byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24), 1}
				buf.Admit(nil, &chunk)
				if n%8 == 0 {
					buf.Settle(buf.Take(true), buffer.Fate{})
				}
			}
			if r := buf.Take(true); r != nil {
				buf.Settle(r, buffer.Fate{})
			}
			if told != int(n) {
				b.Errorf("%d of %d chunks are told", told, n)
			}
		})
	}
}

// BenchmarkRecover opens a buffer with 80,000 chunks that another process has left
// behind, which is as many as 20 GB hold.
func BenchmarkRecover(b *testing.B) {
	path := filepath.Join(b.TempDir(), "buffer")
	open := func(create bool) (*diskbuffer.Store, *diskbuffer.Found) {
		dir, err := diskbuffer.OpenDir(path, diskbuffer.Owner{UID: -1, GID: -1})
		if err != nil {
			b.Fatal(err)
		}
		options := diskbuffer.Options{Max: 1 << 30, Segment: 256 << 10}
		if create {
			s, err := diskbuffer.Create(dir, diskbuffer.Meta{Identity: "a"}, options)
			if err != nil {
				b.Fatal(err)
			}
			return s, nil
		}
		s, found, err := diskbuffer.Open(dir, options)
		if err != nil {
			b.Fatal(err)
		}
		return s, found
	}
	s, _ := open(true)
	if err := s.AddStream(diskbuffer.Stream{Name: "app.web"}); err != nil {
		b.Fatal(err)
	}
	const chunks = 80_000
	bodies := entriesOf(2, 250)
	key := func(n int) (k [16]byte) { return [16]byte{byte(n), byte(n >> 8), byte(n >> 16), 1} }
	for n := range chunks {
		batch := record.Batch{
			Kind: record.KindRecords, Encoding: record.EncodingEntry, Count: 2, Time: someday, FirstSeq: 2*uint64(n) + 1, Bytes: len(bodies),
			Origin: record.Origin{Key: key(n), Count: 2}, Frames: bodies,
		}
		if _, err := s.Append(record.AppendBatch(nil, &batch)); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Close(false); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		s, found := open(false)
		buf := buffer.New(buffer.Config{
			Limit: 64 << 20, Mode: buffer.Spill, Disk: &buffer.Disk{Store: s, Found: found, Durability: buffer.Kernel, WhenFull: buffer.Block},
		}, ledger.New())
		if !buf.Attach(record.Origin{Key: key(chunks - 1)}, record.LevelKernel, func(bool) {}) {
			b.Error("the newest chunk is not known")
		}
		if err := s.Close(false); err != nil {
			b.Fatal(err)
		}
	}
}
