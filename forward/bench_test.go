package forward_test

import (
	"fmt"
	"testing"

	"github.com/tinylib/msgp/msgp"

	"github.com/spillway/spillway/forward"
)

// typical is n entries of about 250 bytes each: a time and five string fields.
func typical(n int) []byte {
	var b []byte
	for i := range n {
		b = forward.AppendEntry(b, 1_700_000_000_000_000_000+int64(i))
		b = msgp.AppendMapHeader(b, 5)
		for _, field := range [...][2]string{
			{"container_id", "d4f1c1b0a5c7480fbc1b8a3fd8b1a3f4"},
			{"container_name", "/orders"},
			{"source", "stdout"},
			{"level", "info"},
			{"log", fmt.Sprintf("GET /v1/orders/%08d HTTP/1.1 200 412 a line of a usual length, not much to see, but it has to be sent", i)},
		} {
			b = msgp.AppendString(msgp.AppendString(b, field[0]), field[1])
		}
	}
	return b
}

func BenchmarkCheckEntries(b *testing.B) {
	entries := typical(1000)
	b.SetBytes(int64(len(entries)))
	b.ReportAllocs()
	for b.Loop() {
		if c := forward.CheckEntries(entries); c.Count != 1000 {
			b.Fatal(c)
		}
	}
}

func BenchmarkNextEntry(b *testing.B) {
	entries := typical(1000)
	b.SetBytes(int64(len(entries)))
	b.ReportAllocs()
	for b.Loop() {
		for rest := entries; len(rest) > 0; {
			_, after, err := forward.NextEntry(rest)
			if err != nil {
				b.Fatal(err)
			}
			rest = after
		}
	}
}
