package kafka

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/spillway/spillway/internal/sink"
)

// TestDoubtful: of what is tried again, only what an error leaves open may be there.
func TestDoubtful(t *testing.T) {
	refused, open := kerr.TopicAuthorizationFailed, kerr.UnknownServerError
	span := func(first, end int) []sink.Span { return []sink.Span{{First: first, End: end}} }
	for name, c := range map[string]struct {
		errs []failure
		want sink.Outcome
	}{
		"delivered": {nil, sink.Outcome{Verdict: sink.Delivered}},
		"refused":   {[]failure{{1, refused}}, sink.Outcome{Verdict: sink.Delivered, Again: span(1, 2), Config: true}},
		"open":      {[]failure{{2, open}}, sink.Outcome{Verdict: sink.Delivered, Again: span(2, 3), Doubtful: span(2, 3)}},
		"both":      {[]failure{{2, open}, {1, refused}}, sink.Outcome{Verdict: sink.Delivered, Again: span(1, 3), Doubtful: span(2, 3), Config: true}},
		"all": {
			[]failure{{0, open}, {2, open}, {1, refused}},
			sink.Outcome{Verdict: sink.Retry, Doubtful: []sink.Span{{First: 0, End: 1}, {First: 2, End: 3}}, Config: true},
		},
	} {
		f := &flight{events: 3, errs: c.errs}
		if diff := cmp.Diff(c.want, f.outcome(&connection{}), cmpopts.IgnoreFields(sink.Outcome{}, "Err")); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
