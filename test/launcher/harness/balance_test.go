package harness

import (
	"strings"
	"testing"

	"github.com/spillway/spillway/test/launcher"
)

func TestABalanceThatDoesNotAddUpIsFound(t *testing.T) {
	const good = `{"received":10,"delivered":6,"dropped":4,"unaccounted":0,"dropped_by_reason":{"shutdown":4},` +
		`"markers":{"made":2,"delivered":1,"pending":0,"refused":1},"bytes":{"received":100,"delivered":60,"dropped":40,"dropped_by_reason":{"shutdown":40}},` +
		`"streams":[{"stream":"stdout","received":10,"delivered":6,"dropped":4,"dropped_by_reason":{"shutdown":4},"markers":{"made":2,"delivered":1}}]}`
	for _, c := range []struct{ name, old, new, complain string }{
		{name: "in order"},
		{"no exit line", good, "", "exit line"},
		{"unaccounted", `"unaccounted":0`, `"unaccounted":1`, "unaccounted 1"},
		{"a difference that it hides", `{"received":10`, `{"received":11`, "= 1; want 0"},
		{"bytes that differ", `"received":100`, `"received":101`, "bytes: "},
		{"reasons that do not add up", `{"shutdown":4},"markers":{"made":2,"delivered":1,"pending":0`, `{"shutdown":3},"markers":{"made":2,"delivered":1,"pending":0`, "add up to 3"},
		{"streams that do not add up", `"stdout","received":10,"delivered":6`, `"stdout","received":9,"delivered":5`, "the streams add up to received 9"},
		{"markers that do not add up", `"made":2,"delivered":1,"pending":0`, `"made":3,"delivered":1,"pending":0`, "markers: made 3"},
		{"pending", `"dropped":4,"unaccounted"`, `"dropped":3,"pending":1,"unaccounted"`, "1 records pending"},
		{"below nothing", `"received":10,"delivered":6,"dropped":4,"unaccounted"`, `"received":10,"delivered":12,"dropped":4,"pending":-6,"unaccounted"`, "below 0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			line := strings.Replace(good, c.old, c.new, 1)
			if c.old == "" {
				line = good
			} else if line == good {
				t.Fatal("the case changes nothing")
			}
			r := &recorder{TB: t}
			CheckBalance(r, launcher.Result{Exit: launcher.LastExitLine([]byte(line), "")})
			all := strings.Join(r.errors, "\n")
			if (c.complain == "") != (all == "") || !strings.Contains(all, c.complain) {
				t.Errorf("complaints:\n%s\nwant one with %q", Indent(all), c.complain)
			}
		})
	}
}
