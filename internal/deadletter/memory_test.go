package deadletter

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/spillway/spillway/internal/record"
)

// TestMemory writes and lists many letters in a process of its own, with the memory
// limit that the programs have. What it holds does not grow with the store.
func TestMemory(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector multiplies what a process has")
	}
	size := 24 << 20
	if os.Getenv("SPILLWAY_CI") != "" {
		size = 128 << 20
	}
	if os.Getenv("SPILLWAY_LONG") != "" {
		size = 1 << 30
	}
	p := startChild(t, filepath.Join(memoryDir(t), "x"), fmt.Sprintf("weigh %d", size))
	var rss []int64
	for p.lines.Scan() {
		t.Log(p.lines.Text())
		var letters, kib int64
		var what string
		if _, err := fmt.Sscanf(p.lines.Text(), "%d letters %s %d KiB", &letters, &what, &kib); err != nil {
			t.Fatalf("the child printed %q: %v", p.lines.Text(), err)
		}
		rss = append(rss, kib)
	}
	p.end(t, false)
	if most := int64(20 << 10); len(rss) != 3 || rss[2]-rss[0] > most {
		t.Errorf("the process has had %d KiB: when it opened the store, had written, and had listed; want at most %d KiB more than at first", rss, most)
	}
}

// weigh puts letters of 250 bytes until the file is that large, in groups of 100,
// and lists them; it says how much memory the process has had.
func weigh(s *Store, size int64) error {
	debug.SetMemoryLimit(16 << 20)
	if err := said(0, "opened"); err != nil {
		return err
	}
	ctx := context.Background()
	body := []byte(strings.Repeat("0123456789", 25))
	n := 0
	for {
		var letters []record.Letter
		for range 100 {
			l := letter(n)
			l.Body = body
			letters = append(letters, l)
			n++
		}
		if err := s.Put(ctx, letters); err != nil {
			return err
		}
		if n%10_000 > 0 {
			continue
		}
		sum, err := s.Summary(ctx)
		if err != nil {
			return err
		}
		if sum.Disk >= size {
			break
		}
	}
	if err := said(n, "put"); err != nil {
		return err
	}
	listed := 0
	report, err := s.List(ctx, Query{}, func(*Entry) error {
		listed++
		return nil
	})
	if err != nil || listed != n || len(report.Damage) > 0 {
		return fmt.Errorf("listed %d of %d letters: %+v, %w", listed, n, report, err)
	}
	return said(n, "listed")
}

// said prints how much memory the process has had since it began. Getrusage would
// count that of the process which started it, too.
func said(letters int, what string) error {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	_, peak, _ := strings.Cut(string(text), "VmHWM:")
	var kib int64
	if _, err := fmt.Sscan(peak, &kib); err != nil {
		return err
	}
	_, err = fmt.Printf("%d letters %s %d KiB\n", letters, what, kib)
	return err
}
