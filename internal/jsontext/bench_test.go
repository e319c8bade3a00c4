package jsontext

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// benchLines are 512 different lines of about 250 bytes of each kind, so that
// the places of quotes cannot be learnt.
func benchLines() map[string][][]byte {
	r := rand.New(rand.NewPCG(1, 2))
	word := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte('a' + r.IntN(26))
		}
		return string(b)
	}
	kinds := map[string][][]byte{}
	for range 512 {
		kinds["clean"] = append(kinds["clean"], []byte(strings.Repeat(word(6)+"=0 ", 28)[:250]))
		kinds["access"] = append(kinds["access"], fmt.Appendf(nil,
			`203.0.113.%d - - [20/Nov/2026:19:03:%02d +0000] "GET /%s?page=%d HTTP/1.1" 200 %d "https://www.example.org/%s" "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0 %s" 0.012 443`,
			r.IntN(256), r.IntN(60), word(5+r.IntN(40)), r.IntN(100), r.IntN(1e6), word(5+r.IntN(30)), word(r.IntN(20))))
		kinds["umlauts"] = append(kinds["umlauts"], []byte(strings.Repeat("Größe der Tür "+word(5)+" ", 11)[:250]))
	}
	return kinds
}

func BenchmarkAppend(b *testing.B) {
	names := map[Form]string{Valid: "valid", Repair: "repair", HTML: "html", HTML | Repair: "html+repair"}
	for kind, lines := range benchLines() {
		for _, form := range forms {
			b.Run(kind+"/"+names[form], func(b *testing.B) {
				dst := make([]byte, 0, 1<<18)
				total := 0
				for _, line := range lines {
					total += len(line)
				}
				b.SetBytes(int64(total))
				b.ReportAllocs()
				for b.Loop() {
					dst = dst[:0]
					for _, line := range lines {
						dst, _ = form.Append(dst, line)
					}
				}
			})
		}
	}
}

func BenchmarkAppendASCII(b *testing.B) {
	for kind, lines := range benchLines() {
		b.Run(kind, func(b *testing.B) {
			dst := make([]byte, 0, 1<<18)
			total := 0
			for _, line := range lines {
				total += len(line)
			}
			b.SetBytes(int64(total))
			for b.Loop() {
				dst = dst[:0]
				for _, line := range lines {
					dst, _ = AppendASCII(dst, line)
				}
			}
		})
	}
}
