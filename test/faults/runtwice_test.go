package faults

import (
	"testing"
	"time"

	"github.com/spillway/spillway/test/launcher/harness"
)

// TestRunEndsDuringAnOutage ends spillway run by a signal while its destination takes nothing, and starts it again with
// one that does: what was only tried is no possible duplicate, and what was sent and got no answer is.
func TestRunEndsDuringAnOutage(t *testing.T) {
	const file = "sources: {in: {type: forward, listen: \"%s\"}}\nsinks: {out: {type: forward, servers: [\"%s\"]}}\n" +
		"routes:\n  - {match: \"**\", to: out, mode: spill, durability: kernel}\n"
	for _, hangs := range []bool{false, true} {
		t.Run(map[bool]string{false: "connections are refused", true: "no answer comes"}[hangs], func(t *testing.T) {
			out := newReceiver(t)
			to := out
			if !hangs {
				to = &receiver{addr: freeAddr(t)}
			}
			out.hang(hangs)
			r := newRelay(t, file, to)
			r.start()
			s := startSender(r.addr, "a", 50)
			<-time.After(harness.Pick(500*time.Millisecond, time.Second, time.Second))
			acked := s.end(t)
			if first := r.stop(); first.Pending != acked || first.Received != acked || first.Possible != 0 {
				t.Errorf("of %d records the first run says %+v, want all pending", acked, first)
			}
			out.hang(false)
			r.write(file, out)
			r.start()
			r.drained()
			second := r.stop()
			if second.Recovered != acked || second.Delivered != acked || (second.Possible > 0) != hangs {
				t.Errorf("of %d records the second run says %+v", acked, second)
			}
			if missing, doubled := out.missing("a", acked); missing > 0 || int64(doubled) > second.Possible {
				t.Errorf("%d are missing, %d doubled", missing, doubled)
			}
			t.Logf("%d records, %d possible duplicates", acked, second.Possible)
		})
	}
}
