package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/spillway/spillway/forward"
)

const fullFile = `sources: {in: {type: forward, listen: "%%s"}}
sinks: {out: {type: forward, servers: ["%%s"], ack-timeout: 60s}}
routes:
  - {match: "**", to: out, mode: %s, max-buffer-size: 256k}
`

// TestRunOverflowIsNeverAcknowledged: the destination is dead, and the route drops what does not fit. What was dropped
// is not acknowledged, its sender hears that by the end of its connection, and what was acknowledged has arrived.
func TestRunOverflowIsNeverAcknowledged(t *testing.T) {
	for _, drop := range []string{"newest", "oldest"} {
		t.Run("drop "+drop, func(t *testing.T) {
			out := newReceiver(t)
			out.hang(true)
			r := newRelay(t, fmt.Sprintf(fullFile, "non-blocking, drop: "+drop), out)
			r.start()
			s := sender{tag: "a", perRow: 100}
			acked, refused := map[int64]bool{}, map[int64]bool{}
			var waiting []*forward.Pending
			var first []int64
			// Each chunk has a connection of its own, so that each hears of itself alone.
			for i := range int64(600) {
				conn := dial(t, r.addr, forward.DialOptions{AckTimeout: 60 * time.Second})
				p, err := conn.Write(context.Background(), s.chunk(i*100))
				if err != nil {
					t.Fatal(err)
				}
				waiting, first = append(waiting, p), append(first, i*100)
			}
			ended := func() (n int) {
				for _, p := range waiting {
					select {
					case <-p.Done():
						n++
					default:
					}
				}
				return n
			}
			waitFor(t, "refusals", 20*time.Second, func() bool { return ended() >= 50 })
			out.hang(false)
			for i, p := range waiting {
				<-p.Done()
				if p.Err() == nil {
					acked[first[i]] = true
				} else {
					refused[first[i]] = true
				}
			}
			report := r.stop()
			if report.Pending != 0 || report.Dropped != int64(100*len(refused)) || report.Delivered != int64(100*len(acked)) || len(acked) == 0 {
				t.Errorf("%d chunks are acknowledged, %d refused: %+v", len(acked), len(refused), report)
			}
			for n := range acked {
				for i := range int64(100) {
					if out.records["a"][n+i] == 0 {
						t.Fatalf("the record %d was acknowledged and is missing", n+i)
					}
				}
			}
			for n := range refused {
				if out.records["a"][n] != 0 {
					t.Errorf("the chunk at %d was refused and has arrived", n)
				}
			}
			t.Logf("%d chunks acknowledged, %d refused", len(acked), len(refused))
		})
	}
}

// waits reports whether a leg of the run makes a source wait.
func (r *relay) waits() bool {
	out, err := exec.Command(programs.Spillway, "status", "--json", "--state-dir", filepath.Join(r.dir, "state")).Output()
	var status struct {
		Processes []struct {
			Legs []struct{ Buffer struct{ Waiting int } }
		}
	}
	if bad := json.Unmarshal(out, &status); err != nil || bad != nil {
		r.t.Fatalf("ask for the status: %v, %v", err, bad)
	}
	for _, p := range status.Processes {
		for _, l := range p.Legs {
			if l.Buffer.Waiting > 0 {
				return true
			}
		}
	}
	return false
}

// TestRunBlockingIsBackPressure: the destination is dead, and the route makes its sources wait. Nobody hears a no, no
// connection is closed, and all is delivered once the destination is back.
func TestRunBlockingIsBackPressure(t *testing.T) {
	out := newReceiver(t)
	out.hang(true)
	r := newRelay(t, fmt.Sprintf(fullFile, "blocking"), out)
	r.start()
	const chunks, of = 400, 4
	written := make([]chan *forward.Pending, of)
	for i := range written {
		written[i] = make(chan *forward.Pending, chunks)
		conn := dial(t, r.addr, forward.DialOptions{AckTimeout: 60 * time.Second, WriteTimeout: 60 * time.Second, Window: chunks})
		s := sender{tag: fmt.Sprint("a", i), perRow: 100}
		go func() {
			defer close(written[i])
			for n := range int64(chunks) {
				p, err := conn.Write(context.Background(), s.chunk(n*100))
				if err != nil {
					t.Errorf("sender %d, chunk %d: %v", i, n, err)
					return
				}
				written[i] <- p
			}
		}()
	}
	waitFor(t, "a source that waits for room", 20*time.Second, r.waits)
	out.hang(false)
	for i := range written {
		n := int64(0)
		for p := range written[i] {
			<-p.Done()
			if p.Err() != nil {
				t.Fatalf("sender %d, chunk %d: %v", i, n, p.Err())
			}
			n++
		}
		if missing, doubled := out.missing(fmt.Sprint("a", i), 100*n); n != chunks || missing+doubled > 0 {
			t.Errorf("sender %d: %d chunks, %d records are missing, %d doubled", i, n, missing, doubled)
		}
	}
	report := r.stop()
	if reasons := report.Sources[0].Detail.Server.Reasons; report.Dropped+report.Pending != 0 || report.Delivered != of*chunks*100 || len(reasons) > 0 {
		t.Errorf("%+v", report)
	}
}
