package buffer_test

import (
	"strconv"
	"testing"

	"github.com/tinylib/msgp/msgp"

	"github.com/spillway/spillway/internal/buffer"
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
