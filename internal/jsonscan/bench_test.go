package jsonscan_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/spillway/spillway/internal/jsonscan"
)

// shapes are 512 values of about 250 bytes of each kind, all different, so that the
// places of quotes cannot be learnt.
func shapes() map[string][][]byte {
	r := rand.New(rand.NewPCG(1, 2))
	word := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte('a' + r.IntN(26))
		}
		return string(b)
	}
	kinds := map[string][][]byte{}
	add := func(kind, format string, args ...any) {
		value := fmt.Appendf(nil, format, args...)
		kinds[kind] = append(kinds[kind], value)
	}
	for i := range 512 {
		add("event", `{"@timestamp":"2026-11-26T23:%02d:%02d.%03dZ","level":"info","service":"checkout","host":"node-%d","request_id":"%s","status":%d,"duration_ms":%d.%d,"message":"order %d accepted for customer %s, %d items, paid by card"}`,
			r.IntN(60), r.IntN(60), r.IntN(1000), r.IntN(20), word(16), 200+r.IntN(300), r.IntN(900), r.IntN(100), i, word(5+r.IntN(10)), r.IntN(20))
		add("text", `{"message":"%s","n":%d}`, strings.Repeat(word(6)+"=0 ", 26), r.IntN(1e6))
		add("fields", `{"a":%d,"b":"%s","c":%d,"d":"%s","e":true,"f":"%s","g":null,"h":%d,"i":"%s","j":%d,"k":"%s","l":%d,"m":"%s","n":%d,"o":"%s","p":%d,"q":"%s","r":%d,"s":"%s","t":%d}`,
			r.IntN(100), word(3+r.IntN(9)), r.IntN(1e6), word(3+r.IntN(9)), word(3+r.IntN(9)), r.IntN(1e6), word(3+r.IntN(9)), r.IntN(1e6), word(3+r.IntN(9)), r.IntN(100), word(3+r.IntN(9)),
			r.IntN(1e6), word(3+r.IntN(9)), r.IntN(1e6), word(3+r.IntN(9)), r.IntN(1e6), word(3+r.IntN(9)), r.IntN(1e6))
		add("nested", `{"kubernetes":{"pod_name":"web-%s","namespace":"shop","labels":{"app":"web","tier":"front"},"container":"nginx"},"stream":"stdout","log":"GET /%s?page=%d HTTP/1.1\" 200 %d \"https://www.example.org/%s\" rv:140.0","ids":[%d,%d,%d]}`,
			word(5), word(5+r.IntN(20)), r.IntN(100), r.IntN(1e6), word(5+r.IntN(15)), r.IntN(100), r.IntN(100), r.IntN(100))
		add("umlauts", `{"time":%d,"meldung":"%s","ort":"Köln","größe":%d}`, r.IntN(1e9), strings.Repeat("Größe der Tür "+word(5)+" ", 9), r.IntN(1e6))
	}
	return kinds
}

func BenchmarkScanAppend(b *testing.B) {
	keys, err := jsonscan.NewKeys("@timestamp", "id", "routing")
	if err != nil {
		b.Fatal(err)
	}
	for kind, values := range shapes() {
		total := 0
		for _, v := range values {
			total += len(v)
			if !json.Valid(v) {
				b.Fatalf("%s", v)
			}
		}
		b.Run(kind, func(b *testing.B) {
			s := jsonscan.NewScanner(keys)
			dst := make([]byte, 0, 1<<19)
			b.SetBytes(int64(total))
			b.ReportAllocs()
			for b.Loop() {
				dst = dst[:0]
				for _, v := range values {
					if err := s.Scan(v); err != nil {
						b.Fatal(err)
					}
					dst, _ = s.AppendObject(dst)
				}
			}
			b.ReportMetric(float64(total/len(values)), "bytes/value")
		})
	}
}

// BenchmarkScanLog is one of what a container's log is, with a text that is long.
func BenchmarkScanLog(b *testing.B) {
	value := []byte(`{"n":123456,"container_name":"/bench","source":"stdout","log":"` + strings.Repeat("ahovcjqxelszgnubipwdkryfmt", 7) + `"}`)
	keys, err := jsonscan.NewKeys("@timestamp")
	if err != nil {
		b.Fatal(err)
	}
	s := jsonscan.NewScanner(keys)
	dst := make([]byte, 0, 1<<10)
	b.SetBytes(int64(len(value)))
	for b.Loop() {
		if err := s.Scan(value); err != nil {
			b.Fatal(err)
		}
		dst, _ = s.AppendObject(dst[:0])
	}
}
