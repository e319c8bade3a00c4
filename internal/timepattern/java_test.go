package timepattern_test

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spillway/spillway/internal/timepattern"
)

// now is 2026-11-26T23:59:01.25Z, which the table of Java takes for the present, too.
const now = 1_795_737_541_250_000_000

// row is a line of what SimpleDateFormat of Java 17 does: testdata has the program
// that made it.
type row struct {
	what, pattern, text, millis string
	zone                        *time.Location
}

func table(t *testing.T) []row {
	t.Helper()
	file, err := os.ReadFile("testdata/simpledateformat.tsv")
	if err != nil {
		t.Fatal(err)
	}
	var rows []row
	for line := range strings.Lines(string(file)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		zone, err := time.LoadLocation(f[2])
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row{f[0], f[1], f[3], f[4], zone})
	}
	return rows
}

// readMillis is what a pattern reads, as the table has it.
func readMillis(p *timepattern.Pattern, text string) string {
	ns, err := p.Time([]byte(text), now)
	if err != nil {
		return "error"
	}
	return strconv.FormatInt(time.Unix(0, ns).UnixMilli(), 10)
}

func TestAsSimpleDateFormat(t *testing.T) {
	seen := map[string]int{}
	for _, r := range table(t) {
		p, err := timepattern.Java(r.pattern, r.zone)
		if err != nil {
			t.Fatalf("%s: %v", r.pattern, err)
		}
		seen[r.what]++
		switch r.what {
		case "read":
			if got := readMillis(p, r.text); got != r.millis {
				t.Errorf("%s in %s reads %q as %s, Java as %s", r.pattern, r.zone, r.text, got, r.millis)
			}
		case "write":
			ms, err := strconv.ParseInt(r.millis, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			if got := p.AppendFormat(nil, time.UnixMilli(ms).UnixNano()); string(got) != r.text {
				t.Errorf("%s in %s writes %d as %q, Java as %q", r.pattern, r.zone, ms, got, r.text)
			}
		case "differs":
			if got := readMillis(p, r.text); got == r.millis {
				t.Errorf("%s reads %q as Java does, %s; the package comment says that it does not", r.pattern, r.text, got)
			}
		}
	}
	if seen["read"] < 60 || seen["write"] < 200 || seen["differs"] < 7 {
		t.Errorf("the table has %v", seen)
	}
}
