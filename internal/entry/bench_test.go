package entry_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/spillway/spillway/internal/entry"
	"github.com/spillway/spillway/internal/record"
)

// accessLog is entries of an access log: the fields of Docker's driver and a
// line, or what a parser made of the line.
func accessLog(parsed bool, line string) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	var all []byte
	for i := range 1000 {
		fields := []entry.Field{
			{Key: "container_id", Value: strings.Repeat("0123456789abcdef", 4)}, {Key: "container_name", Value: "/web"},
			{Key: "source", Value: "stdout"},
		}
		if parsed {
			fields = append(fields[1:], entry.Field{Key: "remote", Value: fmt.Sprintf("203.0.113.%d", r.IntN(256))},
				entry.Field{Key: "method", Value: "GET"}, entry.Field{Key: "path", Value: "/shop/articles/4711?page=3"},
				entry.Field{Key: "code", Value: "200"}, entry.Field{Key: "size", Value: fmt.Sprint(r.IntN(1 << 20))},
				entry.Field{Key: "agent", Value: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0)"})
		}
		l := entry.NewLines("log", false, fields...)
		head := l.AppendHead(nil, &stream, &record.Batch{Time: 1_700_000_000_000_000_000 + int64(i)})
		all = entry.AppendLine(all, head, []byte(line))
	}
	return all
}

const plainLine = `203.0.113.195 - - [20/Nov/2026:19:03:15 +0000] "GET /shop/articles/4711?page=3 HTTP/1.1" 200 18231 ` +
	`"https://www.example.org/shop" "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"`

var kinds = map[string][]byte{
	"docker":  accessLog(false, plainLine),
	"parsed":  accessLog(true, ""),
	"umlauts": accessLog(false, strings.Repeat("Größe der Tür ", 14)),
}

// records are the records of entries.
func records(b *testing.B, all []byte) (recs [][]byte) {
	for len(all) > 0 {
		_, rec, err := entry.Split(all)
		if err != nil {
			b.Fatal(err)
		}
		recs = append(recs, rec)
		if all, err = entry.Skip(all); err != nil {
			b.Fatal(err)
		}
	}
	return recs
}

func BenchmarkAppendJSON(b *testing.B) {
	for name, all := range kinds {
		b.Run(name, func(b *testing.B) {
			recs := records(b, all)
			dst := make([]byte, 0, 1<<20)
			b.SetBytes(int64(len(all)))
			b.ReportAllocs()
			for b.Loop() {
				dst = dst[:0]
				for _, rec := range recs {
					var err error
					if dst, _, err = entry.AppendJSON(dst, rec); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

func BenchmarkSkip(b *testing.B) {
	for name, all := range kinds {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(all)))
			for b.Loop() {
				var err error
				for rest := all; len(rest) > 0; {
					if rest, err = entry.Skip(rest); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

func BenchmarkAppendLine(b *testing.B) {
	l := entry.NewLines("log", false, entry.Field{Key: "container_id", Value: strings.Repeat("0123456789abcdef", 4)},
		entry.Field{Key: "container_name", Value: "/web"}, entry.Field{Key: "source", Value: "stdout"})
	line := []byte(plainLine)
	var dst, head []byte
	b.SetBytes(int64(1000 * len(line)))
	b.ReportAllocs()
	for b.Loop() {
		head = l.AppendHead(head[:0], &stream, &record.Batch{Time: 1_700_000_000_000_000_000})
		dst = dst[:0]
		for range 1000 {
			dst = entry.AppendLine(dst, head, line)
		}
	}
}

func TestNoAllocation(t *testing.T) {
	all := accessLog(true, "Größe \xff\x00")
	dst := make([]byte, 0, 4*len(all))
	l := entry.NewLines("log", false)
	c := entry.NewConverter("message")
	object := []byte("{\"a\":[1,-2.5e3,\"\\u00e4\xff\",{\"b\":null}],\"c\":18446744073709551616}")
	m := record.Message{Value: []byte("a \"line\" ä\xff")}
	for name, do := range map[string]func(){
		"AppendJSON": func() { dst, _, _ = entry.AppendJSON(dst[:0], all) },
		"AppendText": func() { dst, _ = entry.AppendText(dst[:0], all) },
		"Time":       func() { entry.Time(all, 0) },
		"Split": func() {
			if _, rec, err := entry.Split(all); err == nil {
				entry.Lookup(rec, "log")
			}
		},
		"AppendObject":       func() { dst, _, _ = c.AppendObject(dst[:0], object) },
		"AppendMessageEntry": func() { dst, _ = c.AppendMessageEntry(dst[:0], &m) },
		"AppendString":       func() { dst = entry.AppendString(dst[:0], m.Value) },
		"AppendLine": func() {
			dst = entry.AppendLine(l.AppendHead(dst[:0], &stream, &record.Batch{}), dst[len(dst):], all[:100])
		},
		"AppendLoss": func() { dst = l.AppendLoss(dst[:0], &record.Loss{Reason: "shutdown"}) },
	} {
		if n := testing.AllocsPerRun(10, do); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}
