package faults

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/spillway/spillway/test/launcher/harness"
)

// TestRunKilledWhileItWritesFiles kills spillway run in mid-stream, again and again: every acknowledged record is in
// the files, and no line is torn. A file knows no ids, so what was written and not settled is there twice;
// with a disk buffer no more is than what that says to have been offered when a process was killed.
func TestRunKilledWhileItWritesFiles(t *testing.T) {
	for name, route := range map[string]string{
		"kernel":    `{match: "**", to: out, mode: spill, durability: kernel, max-buffer-size: 256k, max-disk-size: 64m}`,
		"delivered": `{match: "**", to: out, max-buffer-size: 256k}`,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			r := newRelay(t, "sources: {in: {type: forward, listen: \"%s\"}}\n"+
				"sinks: {out: {type: file, path: \""+dir+"/{tag}.log\", max-size: 100k}}\nroutes:\n  - "+route+"\n")
			r.start()
			senders := []*sender{startSender(r.addr, "a.b", 50), startSender(r.addr, "c", 7)}
			seed := uint64(time.Now().UnixNano())
			random := rand.New(rand.NewPCG(seed, 0))
			kills := harness.Pick(20, 60, 500)
			possible := int64(0)
			for range kills {
				<-time.After(time.Duration(20+random.IntN(150)) * time.Millisecond)
				r.kill()
				possible += offered(t, filepath.Join(r.dir, "state"))
				r.start()
			}
			total := int64(0)
			acked := make(map[string]int64)
			<-time.After(100 * time.Millisecond)
			for _, s := range senders {
				acked[s.tag] = s.end(t)
				total += acked[s.tag]
			}
			r.drained()
			report := r.stop()
			if report.Pending != 0 || report.Dropped != 0 {
				t.Errorf("seed %d: %d are pending at the end, %d dropped", seed, report.Pending, report.Dropped)
			}
			doubled := int64(0)
			for tag, n := range acked {
				seen := linesOf(t, filepath.Join(dir, tag+".log"))
				missing := 0
				for i := range n {
					if seen[i] == 0 {
						missing++
					}
					doubled += int64(max(seen[i]-1, 0))
				}
				if missing > 0 || total == 0 {
					t.Errorf("seed %d: of %d acknowledged records of %s %d are missing", seed, n, tag, missing)
				}
			}
			if name == "kernel" && doubled > possible {
				t.Errorf("seed %d: %d records are there twice, and %d may be", seed, doubled, possible)
			}
			t.Logf("%d kills, %d records acknowledged, %d written twice of %d possible", kills, total, doubled, possible)
		})
	}
}

// linesOf counts the numbers in a file and its rotated ones, of which every line must be whole.
func linesOf(t *testing.T, path string) map[int64]int {
	t.Helper()
	files, err := filepath.Glob(path + "*")
	if err != nil || len(files) == 0 {
		t.Fatalf("no file %s: %v", path, err)
	}
	seen := make(map[int64]int)
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if len(text) > 0 && text[len(text)-1] != '\n' {
			t.Errorf("%s ends within a line", name)
		}
		for line := range bytes.Lines(text) {
			var record struct{ N *int64 }
			if err := json.Unmarshal(line, &record); err != nil || record.N == nil {
				t.Fatalf("%s: %q: %v", name, line, err)
			}
			seen[*record.N]++
		}
	}
	return seen
}
