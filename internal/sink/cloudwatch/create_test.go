package cloudwatch

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	sandbox "github.com/spillway/spillway/internal/sandbox/cloudwatch"
	"github.com/spillway/spillway/internal/sandbox/cloudwatch/cloudwatchtest"
	"github.com/spillway/spillway/internal/sink"
)

// calls are how many requests the server had, by operation, since it was asked.
func calls(server *sandbox.Server) func() map[string]int {
	before := server.Report().Requests
	return func() map[string]int {
		now := make(map[string]int)
		for operation, r := range server.Report().Requests {
			if n := r.Requests - before[operation].Requests; n > 0 {
				now[operation] = int(n)
			}
		}
		return now
	}
}

func checkCalls(t *testing.T, got, want map[string]int) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("other calls were made (-want +got):\n%s", diff)
	}
}

// callFor creates or deletes the log group or stream behind the sink's back.
func callFor(t *testing.T, url, operation string) {
	t.Helper()
	if err := cloudwatchtest.Ask(t.Context(), url, operation, map[string]string{"logGroupName": testGroup, "logStreamName": testStream}, nil); err != nil {
		t.Fatal(err)
	}
}

// may sets what the sink may create.
func may(group, stream bool) func(*Config) {
	return func(c *Config) { c.CreateGroup, c.CreateStream = group, stream }
}

// TestWhatIsMissingIsMade where that is allowed, and nothing else is touched.
func TestWhatIsMissingIsMade(t *testing.T) {
	for _, c := range []struct {
		name          string
		group, stream bool // may be created
		there         string
		want          sink.Outcome
		calls         map[string]int
	}{
		{"both", true, true, "", sink.Outcome{Verdict: sink.Delivered},
			map[string]int{"CreateLogStream": 2, "CreateLogGroup": 1, "PutLogEvents": 1}},
		{"the stream", true, true, "CreateLogGroup", sink.Outcome{Verdict: sink.Delivered},
			map[string]int{"CreateLogStream": 1, "PutLogEvents": 1}},
		{"nothing", true, true, "CreateLogGroup CreateLogStream", sink.Outcome{Verdict: sink.Delivered},
			map[string]int{"CreateLogStream": 1, "PutLogEvents": 1}},
		{"the group, not allowed", false, true, "", sink.Outcome{Config: true}, map[string]int{"CreateLogStream": 1}},
		{"the stream, not allowed", false, false, "CreateLogGroup", sink.Outcome{Config: true}, map[string]int{"PutLogEvents": 1}},
		{"both, and only the group allowed", true, false, "", sink.Outcome{Config: true}, map[string]int{"PutLogEvents": 1}},
		{"nothing, and nothing allowed", false, false, "CreateLogGroup CreateLogStream", sink.Outcome{Verdict: sink.Delivered},
			map[string]int{"PutLogEvents": 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			server, url := newSandbox(t, sandbox.Options{})
			for operation := range strings.FieldsSeq(c.there) {
				callFor(t, url, operation)
			}
			made := calls(server)
			s := newSink(t, url, may(c.group, c.stream))
			out := s.Send(t.Context(), request("x"))
			if out.Verdict != c.want.Verdict || out.Config != c.want.Config || out.Unsure || out.Throttled {
				t.Errorf("the outcome is %+v, want %+v", out, c.want)
			}
			checkCalls(t, made(), c.calls)
		})
	}
}

// TestWhatIsDeletedIsMadeAgain by the attempt after the one that found out.
func TestWhatIsDeletedIsMadeAgain(t *testing.T) {
	for operation, want := range map[string]map[string]int{
		"DeleteLogStream": {"CreateLogStream": 1, "PutLogEvents": 2},
		"DeleteLogGroup":  {"CreateLogStream": 2, "CreateLogGroup": 1, "PutLogEvents": 2},
	} {
		t.Run(operation, func(t *testing.T) {
			server, url := newSandbox(t, sandbox.Options{})
			s := newSink(t, url)
			deliver(t, s, request("before"))
			callFor(t, url, operation)
			made := calls(server)
			req := request("again")
			if out := s.Send(t.Context(), req); out.Verdict != sink.Retry || out.Config || out.Unsure || out.Err == nil {
				t.Errorf("the outcome is %+v, want Retry, and nobody has to act", out)
			}
			deliver(t, s, req)
			checkCalls(t, made(), want)
		})
	}
	t.Run("not allowed", func(t *testing.T) {
		server, url := newSandbox(t, sandbox.Options{})
		cloudwatchtest.Make(t, url, testGroup, testStream)
		s := newSink(t, url, createsNothing)
		deliver(t, s, request("before"))
		callFor(t, url, "DeleteLogStream")
		made := calls(server)
		for range 2 {
			if out := s.Send(t.Context(), request("again")); out.Verdict != sink.Retry || !out.Config {
				t.Errorf("the outcome is %+v, want Retry, and somebody must act", out)
			}
		}
		checkCalls(t, made(), map[string]int{"PutLogEvents": 2})
	})
}

// TestOthersMayHaveMadeIt: several loggers of one group start together.
func TestOthersMayHaveMadeIt(t *testing.T) {
	server, url := newSandbox(t, sandbox.Options{})
	server.Script(func(op string, n int) *sandbox.Answer {
		if op == "CreateLogGroup" || op == "CreateLogStream" && n > 1 {
			// It is made here by another, just before.
			return &sandbox.Answer{Handle: true, Status: 400, Type: "ResourceAlreadyExistsException"}
		}
		return nil
	})
	deliver(t, newSink(t, url), request("x"))
}

// TestManySendsMakeOneStream: whatever is in flight at the start waits for it.
func TestManySendsMakeOneStream(t *testing.T) {
	server, url := newSandbox(t, sandbox.Options{})
	s := newSink(t, url)
	made := calls(server)
	var senders sync.WaitGroup
	for range InFlight {
		senders.Go(func() {
			if out := s.Send(t.Context(), request("x")); out.Verdict != sink.Delivered {
				t.Errorf("the outcome is %+v, want all delivered", out)
			}
		})
	}
	senders.Wait()
	checkCalls(t, made(), map[string]int{"CreateLogStream": 2, "CreateLogGroup": 1, "PutLogEvents": InFlight})
}

// TestCreationThatFails is the table of what each answer to CreateLogStream or
// CreateLogGroup means. The next attempt asks again.
func TestCreationThatFails(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer sandbox.Answer
		want   sink.Outcome
		forget bool
	}{
		{"throttled", sandbox.Answer{Status: 400, Type: "ThrottlingException"}, sink.Outcome{Throttled: true}, false},
		{"another makes it at this moment", sandbox.Answer{Status: 400, Type: "OperationAbortedException"}, sink.Outcome{}, false},
		{"away", sandbox.Answer{Status: 503, Type: "ServiceUnavailableException"}, sink.Outcome{}, false},
		{"no answer", sandbox.Answer{Drop: true}, sink.Outcome{}, false},
		{"not allowed", sandbox.Answer{Status: 400, Type: "AccessDeniedException"}, sink.Outcome{Config: true}, true},
		{"a bad name", sandbox.Answer{Status: 400, Type: "InvalidParameterException"}, sink.Outcome{Config: true}, false},
		{"a page", sandbox.Answer{Status: 404, Body: []byte(page)}, sink.Outcome{Config: true}, false},
	} {
		for _, operation := range []string{"CreateLogStream", "CreateLogGroup"} {
			t.Run(operation+" "+c.name, func(t *testing.T) {
				server, url := newSandbox(t, sandbox.Options{})
				signer, signs := watch(url)
				s := newSink(t, url, signs)
				server.Script(func(op string, n int) *sandbox.Answer {
					if op == operation && n == 1 {
						return &c.answer
					}
					return nil
				})
				out := s.Send(t.Context(), request("x"))
				if out.Verdict != sink.Retry || out.Config != c.want.Config || out.Throttled != c.want.Throttled || out.Unsure {
					t.Errorf("the outcome is %+v, want %+v", out, c.want)
				}
				if out.Err == nil || !strings.Contains(out.Err.Error(), operation) || !strings.Contains(out.Err.Error(), testGroup) {
					t.Errorf("the cause is %q, want the operation and the group in it", out.Err)
				}
				if forgot := signer.invalidated.Load() > 0; forgot != c.forget {
					t.Errorf("Invalidate was called %d times", signer.invalidated.Load())
				}
				var throttled interface{ Throttled() bool }
				if is := errors.As(out.Err, &throttled) && throttled.Throttled(); is != c.want.Throttled {
					t.Errorf("the error says that it is throttled: %v", is)
				}
				deliver(t, s, request("x"))
			})
		}
	}
}

// TestCheck asks what start-requires-destination asks.
func TestCheck(t *testing.T) {
	for _, c := range []struct {
		name          string
		group, stream bool
		there         []string // streams beside the group, which is there if any is
		fault         string
		want          string // part of the error; empty for none
	}{
		{"both are made", true, true, nil, "", ""},
		{"the stream is there", false, false, []string{testStream}, "", ""},
		{"the stream is there beside others", false, false, []string{"a", testStream, testStream + "-2"}, "", ""},
		{"the stream is there and would be made", false, true, []string{testStream}, "", ""},
		{"only a longer name is there", false, false, []string{testStream + "-2"}, "", "allow its creation"},
		{"no stream is there", false, false, []string{"a"}, "", "allow its creation"},
		{"no group is there", false, false, nil, "", "ResourceNotFoundException"},
		{"no group is there, the stream would be made", false, true, nil, "", "ResourceNotFoundException"},
		{"not allowed", true, true, nil, sandbox.FaultDenied, "AccessDeniedException"},
		{"not allowed to look", false, false, []string{testStream}, sandbox.FaultDenied, "AccessDeniedException"},
		{"away", true, true, nil, sandbox.FaultUnavailable, "503"},
	} {
		t.Run(c.name, func(t *testing.T) {
			server, url := newSandbox(t, sandbox.Options{})
			for i, name := range c.there {
				names := map[string]string{"logGroupName": testGroup, "logStreamName": name}
				if i == 0 {
					if err := cloudwatchtest.Ask(t.Context(), url, "CreateLogGroup", names, nil); err != nil {
						t.Fatal(err)
					}
				}
				if err := cloudwatchtest.Ask(t.Context(), url, "CreateLogStream", names, nil); err != nil {
					t.Fatal(err)
				}
			}
			if c.fault != "" {
				if err := server.SetFault(c.fault); err != nil {
					t.Fatal(err)
				}
			}
			err := newSink(t, url, may(c.group, c.stream)).Check(t.Context())
			switch {
			case c.want == "" && err != nil:
				t.Errorf("the error is %v, want none", err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("the error is %v, want one with %q in it", err, c.want)
			}
		})
	}
}

// TestFormatIsSaid: the header makes the service read embedded metrics.
func TestFormatIsSaid(t *testing.T) {
	server, url := newSandbox(t, sandbox.Options{})
	deliver(t, newSink(t, url, func(c *Config) { c.Format = "json/emf" }), request("{}"))
	report := server.Report()
	st, _ := report.Stream(testGroup, testStream)
	if diff := cmp.Diff(map[string]uint64{"json/emf": 1}, st.Formats); diff != "" {
		t.Errorf("the service saw another header (-want +got):\n%s", diff)
	}
}
