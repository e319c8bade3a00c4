package cloudwatch

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// record is an event as a naive accountant remembers it.
type record struct {
	time    int64
	arrival int
	number  uint64
}

// judgeNaively computes a series' report from all its events, as they arrived.
func judgeNaively(name string, all []record) SeriesReport {
	r := SeriesReport{Name: name, Count: uint64(len(all)), First: all[0].number, Last: all[0].number}
	seen := map[uint64]bool{}
	var fresh []record
	for _, e := range all {
		r.First, r.Last = min(r.First, e.number), max(r.Last, e.number)
		if seen[e.number] {
			r.Duplicates++
			continue
		}
		seen[e.number] = true
		fresh = append(fresh, e)
	}
	slices.SortStableFunc(fresh, func(a, b record) int {
		return cmp.Or(cmp.Compare(a.time, b.time), cmp.Compare(a.arrival, b.arrival))
	})
	for i := 1; i < len(fresh); i++ {
		if fresh[i].number < fresh[i-1].number {
			r.OutOfOrder++
		}
	}
	for n := r.First; n <= r.Last; n++ {
		if seen[n] {
			continue
		}
		r.Missing++
		if k := len(r.Gaps); k > 0 && r.Gaps[k-1][1] == n-1 {
			r.Gaps[k-1][1] = n
		} else if k < maxGaps {
			r.Gaps = append(r.Gaps, [2]uint64{n, n})
		}
	}
	return r
}

// TestSeriesAgainstModel sends requests that overlap in time, repeat and skip numbers in every way, and compares the
// report with one computed from all events.
func TestSeriesAgainstModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := newStream(t, Options{KeepBytes: -1})
		all := map[string][]record{}
		arrival := 0
		requests := rapid.IntRange(1, 12).Draw(rt, "requests")
		spread := rapid.SampledFrom([]int{3, 40, 100_000}).Draw(rt, "spread of times")
		for range requests {
			n := rapid.IntRange(1, 12).Draw(rt, "events")
			times := rapid.SliceOfN(rapid.IntRange(0, spread), n, n).Draw(rt, "times")
			slices.Sort(times)
			var lines []line
			for i := range n {
				name := rapid.SampledFrom([]string{"", "line ", "é\t", `{"n":`}).Draw(rt, "series")
				number := rapid.Uint64Range(0, 9000).Draw(rt, "number")
				lines = append(lines, line{int64(times[i]), fmt.Sprintf("%s%06d rest 7", name, number)})
				all[name] = append(all[name], record{int64(times[i]), arrival, number})
				arrival++
			}
			mustCall(t, s, "PutLogEvents", put(lines...))
			if rapid.Bool().Draw(rt, "report in between") {
				s.Report()
			}
		}
		var want []SeriesReport
		for name, records := range all {
			want = append(want, judgeNaively(name, records))
		}
		slices.SortFunc(want, func(a, b SeriesReport) int { return cmp.Compare(a.Name, b.Name) })
		if diff := gocmp.Diff(want, streamReport(t, s).Series); diff != "" {
			rt.Fatalf("report (+) against the model (-):\n%s", diff)
		}
	})
}

// TestSeriesParallelArrival delivers a well-cut sequence of requests in random order: readers see nothing amiss.
func TestSeriesParallelArrival(t *testing.T) {
	s := newStream(t, Options{KeepBytes: -1})
	const requests, events = 200, 50
	order := rand.New(rand.NewPCG(1, 2)).Perm(requests)
	for _, at := range order {
		var lines []line
		for i := range events {
			n := at*events + i
			lines = append(lines, line{int64(n / 10), fmt.Sprintf("%d", n+1)}) // The cut is where the millisecond changes.
		}
		mustCall(t, s, "PutLogEvents", put(lines...))
	}
	want := []SeriesReport{{Count: requests * events, First: 1, Last: requests * events}}
	if diff := gocmp.Diff(want, streamReport(t, s).Series); diff != "" {
		t.Error(diff)
	}
}

// TestSeriesSharedMillisecond swaps two requests that share a millisecond: readers see that.
func TestSeriesSharedMillisecond(t *testing.T) {
	for _, swapped := range []bool{false, true} {
		s := newStream(t, Options{})
		first, second := put(line{0, "1"}, line{1, "2"}), put(line{1, "3"}, line{2, "4"})
		if swapped {
			first, second = second, first
		}
		mustCall(t, s, "PutLogEvents", first)
		mustCall(t, s, "PutLogEvents", second)
		want, order := uint64(0), []string{"1", "2", "3", "4"}
		if swapped {
			want, order = 1, []string{"1", "3", "2", "4"}
		}
		if got := streamReport(t, s).Series[0].OutOfOrder; got != want {
			t.Errorf("swapped %v: %d out of order, want %d", swapped, got, want)
		}
		if diff := gocmp.Diff(order, messages(t, s)); diff != "" {
			t.Errorf("swapped %v: readers see\n%s", swapped, diff)
		}
	}
}

func TestReportKinds(t *testing.T) {
	s := newStream(t, Options{})
	mustCall(t, s, "PutLogEvents", put(
		line{0, " "}, line{0, "  "}, line{0, "no number"}, line{0, strings.Repeat("x", headBytes) + "1"}, line{0, "1234567890123456789"},
		line{0, `spillway-loss {"lost":12,"bytes":100,"reason":"overflow"}`}, line{0, `spillway-loss {"lost":30}`}, line{0, "spillway-loss {oops"},
		line{0, "a1"}, line{0, "a3"}, line{0, strings.Repeat("long", 20) + "7"},
	))
	r := streamReport(t, s)
	got := []uint64{r.Events, r.EmptyLines, r.Unnumbered, r.LossMarkers.Count, r.LossMarkers.Lost, r.LossMarkers.Unreadable}
	if diff := gocmp.Diff([]uint64{11, 1, 4, 3, 42, 1}, got); diff != "" {
		t.Errorf("events, empty, unnumbered, markers, lost, unreadable:\n%s", diff)
	}
	want := []SeriesReport{{Name: "a", Count: 2, First: 1, Last: 3, Missing: 1, Gaps: [][2]uint64{{2, 2}}},
		{Name: strings.Repeat("long", 8), Count: 1, First: 7, Last: 7}}
	if diff := gocmp.Diff(want, r.Series); diff != "" {
		t.Error(diff)
	}
}

func TestSeriesLimit(t *testing.T) {
	s := newStream(t, Options{})
	var lines []line
	for i := range 70 {
		lines = append(lines, line{0, strings.Repeat("x", i) + "1"}) // From 32 on the names are the same.
	}
	for i := range 70 {
		lines = append(lines, line{0, strings.Repeat("y", i+1) + "1"})
	}
	for i := range 70 {
		lines = append(lines, line{0, strings.Repeat("z", i) + "y1"})
	}
	mustCall(t, s, "PutLogEvents", put(lines...))
	r := streamReport(t, s)
	if len(r.Series) != maxSeries || r.OtherSeries == 0 {
		t.Errorf("%d series and %d other events; want %d and some", len(r.Series), r.OtherSeries, maxSeries)
	}
}

// TestAllowance checks that the accounting is bounded and says so.
func TestAllowance(t *testing.T) {
	s := newStream(t, Options{KeepBytes: -1})
	s.room.left.Store(2*pageBytes + 100)
	var lines []line
	for i := range 5 {
		lines = append(lines, line{int64(i), strconv.Itoa(i * 1_000_000)})
	}
	mustCall(t, s, "PutLogEvents", put(lines...))
	if got := streamReport(t, s).Series[0]; got.Count != 5 || got.Untracked != 3 {
		t.Errorf("%d events, %d untracked; want 5 and 3", got.Count, got.Untracked)
	}
}

// TestAccountingSize bounds the memory of the accounting: a byte for each millisecond with an event that counts up by
// one, a bit for each number. With SPILLWAY_LONG=1 it runs ten million events.
func TestAccountingSize(t *testing.T) {
	total := 100_000
	if os.Getenv("SPILLWAY_LONG") != "" {
		total = 10_000_000
	}
	s := newStream(t, Options{KeepBytes: -1})
	const step = 1000
	for n := 0; n < total; n += 2 * step { // Requests arrive in pairs, each pair the wrong way round.
		for _, from := range []int{n + step, n} {
			lines := make([]line, step)
			for i := range lines {
				at := from + i
				lines[i] = line{int64(at) - 3*hour, fmt.Sprintf("line %d of a trickle", at)}
			}
			mustCall(t, s, "PutLogEvents", put(lines...))
		}
	}
	want := []SeriesReport{{Name: "line ", Count: uint64(total), Last: uint64(total - 1)}}
	if diff := gocmp.Diff(want, streamReport(t, s).Series); diff != "" {
		t.Error(diff)
	}
	used := maxAccounting - s.room.left.Load()
	if limit := int64(total + total/8 + total/100 + 4096); used > limit {
		t.Errorf("the accounting of %d events takes %d bytes, want at most %d", total, used, limit)
	}
}

// TestHead compares head, on every way to write a message in JSON, with a regular expression on the message.
func TestHead(t *testing.T) {
	pattern := regexp.MustCompile(`^([^0-9]*)([0-9]+)`)
	rapid.Check(t, func(rt *rapid.T) {
		message := rapid.StringOf(rapid.SampledFrom([]rune("aé\"\\\n\t{0123456789 😀"))).Draw(rt, "message")
		message = strings.Repeat(rapid.SampledFrom([]string{"", "pad", "\n"}).Draw(rt, "pad"), rapid.IntRange(0, 270).Draw(rt, "pads")) + message
		var raw strings.Builder
		for _, r := range message {
			switch form := rapid.IntRange(0, 3).Draw(rt, "form"); {
			case form == 0 && r < 0x10000:
				fmt.Fprintf(&raw, `\u%04x`, r)
			default:
				m, err := json.Marshal(string(r))
				if err != nil {
					rt.Fatal(err)
				}
				raw.Write(m[1 : len(m)-1])
			}
		}
		wantName, wantNumber, wantOK := "", uint64(0), false
		if m := pattern.FindStringSubmatch(message); m != nil && len(m[1]) < headBytes && len(m[2]) <= maxDigits {
			wantName, wantOK = m[1][:min(len(m[1]), maxSeriesName)], true
			n, err := strconv.ParseUint(m[2], 10, 64)
			if err != nil {
				rt.Fatal(err)
			}
			wantNumber = n
		}
		name, number, ok := head([]byte(raw.String()), new([]byte))
		if ok != wantOK || ok && (string(name) != wantName || number != wantNumber) {
			rt.Fatalf("message %q written %s: series %q number %d %v, want %q %d %v",
				message, raw.String(), name, number, ok, wantName, wantNumber, wantOK)
		}
	})
}

// TestRunCoding checks that what appendRun writes, nextRun reads.
func TestRunCoding(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var prev, decoded run
		var buf []byte
		var runs []run
		for range rapid.IntRange(1, 20).Draw(rt, "runs") {
			r := run{
				time:  prev.time + rapid.OneOf(rapid.Int64Range(0, 16), rapid.Int64Range(0, 1<<50)).Draw(rt, "step"),
				seq:   prev.seq + rapid.Uint64Range(0, 3).Draw(rt, "arrival"),
				first: rapid.OneOf(rapid.Just(prev.last+1), rapid.Uint64()).Draw(rt, "first"), descents: rapid.Uint64Range(0, 2).Draw(rt, "descents"),
			}
			r.last = rapid.OneOf(rapid.Just(r.first), rapid.Uint64()).Draw(rt, "last")
			buf = appendRun(buf, &prev, &r)
			runs, prev = append(runs, r), r
		}
		for _, want := range runs {
			if buf, decoded = nextRun(buf, decoded); decoded != want {
				rt.Fatalf("read %+v, want %+v", decoded, want)
			}
		}
		if len(buf) != 0 {
			rt.Fatalf("%d bytes left over", len(buf))
		}
	})
}
