package kafka

import (
	"testing"

	"pgregory.net/rapid"
)

// TestTracker holds the tracker to a model that knows of each offset whether there is
// a record, and what became of it: what may be committed is never past a record that
// is not settled, and is at the end of the log once all are.
func TestTracker(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const end = 200
		start := int64(rapid.IntRange(0, 5).Draw(t, "start"))
		exists := make([]bool, end)
		for i := range exists {
			exists[i] = rapid.IntRange(0, 3).Draw(t, "exists") > 0
		}
		var tr tracker
		tr.begin(start)
		isSettled := make(map[int64]bool)
		type flight struct {
			s       *span
			offsets []int64
		}
		var flights []flight
		at := start
		var tell func(i int, ok bool)
		read := func(t *rapid.T, most int) {
			from, to := at, min(at+int64(most), end)
			tr.read(from)
			var offsets []int64
			var of *span
			flush := func(next int64) {
				if len(offsets) == 0 {
					return
				}
				s := of
				if s != nil {
					tr.again(s, min(next, s.next), len(offsets))
				} else {
					s = tr.hand(next, len(offsets))
				}
				flights = append(flights, flight{s, offsets})
				offsets, of = nil, nil
				if t != nil && rapid.Bool().Draw(t, "tell meanwhile") {
					tell(rapid.IntRange(0, len(flights)-1).Draw(t, "which"), rapid.Bool().Draw(t, "ok"))
				}
			}
			for o := from; o < to; o++ {
				if !exists[o] {
					continue
				}
				var s *span
				if o < tr.head {
					if s = tr.lostAt(o); s == nil {
						continue
					}
				}
				if len(offsets) > 0 && (s != of || len(offsets) >= 4) {
					next := o
					if of == nil {
						next = offsets[len(offsets)-1] + 1
					}
					flush(next)
					if o < tr.head {
						s = tr.lostAt(o)
					}
				}
				offsets, of = append(offsets, o), s
			}
			flush(to)
			if gone := tr.passed(to); gone != 0 {
				t.Fatalf("%d records are gone, which are there", gone)
			}
			at = to
		}
		tell = func(i int, ok bool) {
			f := flights[i]
			flights = append(flights[:i], flights[i+1:]...)
			for _, o := range f.offsets {
				if isSettled[o] {
					t.Fatalf("offset %d was handed over again after it was settled", o)
				}
				isSettled[o] = ok
			}
			tr.told(f.s, ok)
		}
		check := func() {
			if tr.open != len(flights) {
				t.Fatalf("%d spans under way, want %d", tr.open, len(flights))
			}
			for o := start; o < tr.done; o++ {
				if exists[o] && !isSettled[o] {
					t.Fatalf("%d may be committed, and %d is not settled", tr.done, o)
				}
			}
			held := 0
			for s := tr.first; s != nil; s = s.after {
				held += s.count
			}
			if held != tr.held {
				t.Fatalf("%d records are held, the tracker says %d", held, tr.held)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"read": func(t *rapid.T) { read(t, rapid.IntRange(1, 20).Draw(t, "most")) },
			"tell": func(t *rapid.T) {
				if len(flights) == 0 {
					t.Skip("nothing is under way")
				}
				tell(rapid.IntRange(0, len(flights)-1).Draw(t, "which"), rapid.IntRange(0, 3).Draw(t, "ok") > 0)
			},
			"go back": func(t *rapid.T) {
				if lost, ok := tr.firstLost(); ok {
					at = lost
				}
			},
			"": func(*rapid.T) { check() },
		})
		for range 1000 {
			if lost, ok := tr.firstLost(); ok {
				at = lost
			}
			read(nil, 20)
			for len(flights) > 0 {
				tell(0, true)
			}
			if tr.done == end {
				break
			}
		}
		check()
		if tr.done != end || tr.held != 0 || tr.first != nil {
			t.Fatalf("at the end %d may be committed, want %d; %d held", tr.done, end, tr.held)
		}
	})
}
