package deadletter

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/spillway/spillway/internal/record"
)

// BenchmarkPut writes letters of 250 bytes to a disk: one at a time, a hundred at a
// time, and one at a time from sixteen callers, who share commits.
func BenchmarkPut(b *testing.B) {
	for _, c := range []struct{ group, callers int }{{1, 1}, {100, 1}, {1, 16}} {
		b.Run(fmt.Sprintf("group=%d/callers=%d", c.group, c.callers), func(b *testing.B) {
			s := mustOpen(b, filepath.Join(b.TempDir(), "x"), Options{Max: 16 << 30})
			body := make([]byte, 250)
			b.ResetTimer()
			var all sync.WaitGroup
			for caller := range c.callers {
				all.Go(func() {
					for n := caller * c.group; n < b.N; n += c.callers * c.group {
						var letters []record.Letter
						for i := range c.group {
							l := letter(n + i)
							l.Body = body
							letters = append(letters, l)
						}
						if err := s.Put(context.Background(), letters); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			all.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "letters/s")
		})
	}
}

// BenchmarkList reads letters back.
func BenchmarkList(b *testing.B) {
	s := mustOpen(b, filepath.Join(memoryDir(b), "x"), Options{})
	var letters []record.Letter
	for n := range 20_000 {
		letters = append(letters, letter(n))
	}
	put(b, s, letters...)
	b.ResetTimer()
	n := 0
	for n < b.N {
		if _, err := s.List(context.Background(), Query{}, func(*Entry) error {
			n++
			return nil
		}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "letters/s")
}
