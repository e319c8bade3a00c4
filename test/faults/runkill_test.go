package faults

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/spillway/spillway/test/launcher/harness"
)

// TestRunKilled kills spillway run in the middle of streams that ask for acks, again and again, while the destination
// hangs now and then: no record that was acknowledged is lost, and none is there twice for a destination that knows the
// ids of chunks.
func TestRunKilled(t *testing.T) {
	for _, c := range []struct {
		name, route string
		once        bool // No duplicates at all.
	}{
		{"kernel", `{match: "**", to: out, mode: spill, durability: kernel, max-buffer-size: 256k, max-disk-size: 64m}`, true},
		{"power", `{match: "**", to: out, mode: spill, durability: power, max-buffer-size: 256k, max-disk-size: 64m}`, true},
		{"no disk", `{match: "**", to: out, max-buffer-size: 256k}`, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			kills := harness.Pick(20, 60, 500)
			out := newReceiver(t)
			r := newRelay(t, "sources: {in: {type: forward, listen: \"%s\"}}\n"+
				"sinks: {out: {type: forward, servers: [\"%s\"], ack-timeout: 2s}}\nroutes:\n  - "+c.route+"\n", out)
			r.start()
			senders := []*sender{startSender(r.addr, "a.b", 50), startSender(r.addr, "c", 7)}
			seed := uint64(time.Now().UnixNano())
			random := rand.New(rand.NewPCG(seed, 0))
			for n := range kills {
				<-time.After(time.Duration(20+random.IntN(150)) * time.Millisecond)
				r.kill()
				out.hang(n%3 == 1)
				r.start()
			}
			out.hang(false)
			<-time.After(100 * time.Millisecond)
			total := int64(0)
			acked := map[string]int64{}
			for _, s := range senders {
				acked[s.tag] = s.end(t)
				total += acked[s.tag]
			}
			r.drained()
			report := r.stop()
			if report.Pending != 0 || report.Dropped != 0 {
				t.Errorf("seed %d: %d are pending at the end, %d dropped", seed, report.Pending, report.Dropped)
			}
			for tag, n := range acked {
				missing, doubled := out.missing(tag, n)
				if missing > 0 || c.once && doubled > 0 {
					t.Errorf("seed %d: of %d acknowledged records of %s %d are missing and %d doubled", seed, n, tag, missing, doubled)
				}
			}
			t.Logf("%d kills, %d records acknowledged, %d chunks that came again", kills, total, out.again)
		})
	}
}
