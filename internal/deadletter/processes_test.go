package deadletter

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"
)

// TestKills: whatever was put before the process was killed is there, once and
// whole, and the next process goes on.
func TestKills(t *testing.T) {
	kills := 12
	if os.Getenv("SPILLWAY_CI") != "" {
		kills = 60
	}
	if os.Getenv("SPILLWAY_LONG") != "" {
		kills = 500
	}
	dir := storeDir(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	acked := make(map[int]bool)
	for kill := range kills {
		group := 1 + random.IntN(40)
		p := startChild(t, dir, fmt.Sprintf("write %d %d %d %d", kill*100_000, 90_000, group, 1+random.IntN(4)))
		// Some die in their start, the others in their work.
		alive := true
		for range random.IntN(30) {
			if alive = p.next(t); !alive {
				break
			}
		}
		timer := time.NewTimer(time.Duration(random.IntN(8_000)) * time.Microsecond)
		<-timer.C
		if err := p.cmd.Process.Kill(); err != nil && alive {
			t.Fatal(err)
		}
		p.end(t, true)
		for n := range p.count {
			acked[n] = true
		}
	}
	s := mustOpen(t, dir, Options{})
	seen := make(map[int]int)
	for _, e := range all(t, s, Query{}) {
		n := int(e.Seq)
		seen[n]++
		want := letter(n)
		if err := same(&e, &want); err != nil {
			t.Errorf("letter %d: %v", n, err)
		}
	}
	for n := range acked {
		if seen[n] != 1 {
			t.Errorf("letter %d was put and is there %d times", n, seen[n])
		}
	}
	for n, times := range seen {
		if times != 1 {
			t.Errorf("letter %d is there %d times", n, times)
		}
	}
	sum, err := s.Summary(t.Context())
	if err != nil || sum.Letters != int64(len(seen)) || len(sum.Aside) != 0 {
		t.Errorf("the summary is %+v for %d letters (%v)", sum, len(seen), err)
	}
	t.Logf("%d kills, %d letters put, %d there", kills, len(acked), len(seen))
	if len(acked) == 0 {
		t.Error("no letter was put, so nothing was tested")
	}
}

// TestProcessesAtOnce: two put, one removes, and this one lists. Each letter that was
// put was removed once, or is there.
func TestProcessesAtOnce(t *testing.T) {
	dir := storeDir(t)
	const each = 1000
	remover := startChild(t, dir, "remove")
	writers := []*process{
		startChild(t, dir, fmt.Sprintf("write %d %d 7 3", 0, each)),
		startChild(t, dir, fmt.Sprintf("write %d %d 50 1", each, each)),
	}
	s := mustOpen(t, dir, Options{Wait: 2 * time.Minute})
	for range 20 {
		all(t, s, Query{})
	}
	for _, w := range writers {
		w.end(t, false)
	}
	remover.end(t, false)
	left := make(map[int]int)
	for _, e := range all(t, s, Query{}) {
		left[int(e.Seq)]++
	}
	for n := range 2 * each {
		if remover.count[n]+left[n] != 1 {
			t.Errorf("letter %d was removed %d times and is there %d times", n, remover.count[n], left[n])
		}
	}
	t.Logf("%d removed, %d left", len(remover.count), len(left))
}
