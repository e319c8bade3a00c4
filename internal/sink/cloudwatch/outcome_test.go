package cloudwatch

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/spillway/spillway/internal/ledger"
	sandbox "github.com/spillway/spillway/internal/sandbox/cloudwatch"
	"github.com/spillway/spillway/internal/sandbox/cloudwatch/cloudwatchtest"
	"github.com/spillway/spillway/internal/sink"
)

// watched is a signer that counts how often it was told to forget what it has.
type watched struct {
	Signer
	invalidated atomic.Int64
}

func (w *watched) Invalidate() {
	w.invalidated.Add(1)
	w.Signer.Invalidate()
}

// watch makes a sink sign by the signer that it returns.
func watch(url string) (*watched, func(*Config)) {
	w := &watched{Signer: cloudwatchtest.Signer()}
	return w, func(c *Config) {
		c.Resolve = func(context.Context) (Destination, error) { return Destination{URL: url, Signer: w}, nil }
	}
}

const page = "<html><head><title>Bad Gateway</title></head><body>nginx</body></html>"

// header makes the header of a scripted answer.
func header(name, value string) http.Header { return http.Header{name: {value}} }

// TestOutcomes is the table of what each answer to PutLogEvents means.
func TestOutcomes(t *testing.T) {
	type answer = sandbox.Answer
	type outcome = sink.Outcome
	invalid := outcome{Verdict: sink.Refuse, Reason: string(ledger.RejectedInvalid)}
	tooLong := outcome{Verdict: sink.Refuse, Reason: string(ledger.RejectedTooLong)}
	delivered := outcome{Verdict: sink.Delivered}
	throttled := outcome{Throttled: true}
	unsure := outcome{Unsure: true}
	refused := outcome{Config: true}
	cases := []struct {
		name   string
		answer answer
		want   outcome
		forget bool // the credentials are to be asked for again
	}{
		{"delivered", answer{}, delivered, false},
		{"delivered, in few words", answer{Status: 200, Body: []byte("{}")}, delivered, false},
		{"accepted before", answer{Status: 400, Type: "DataAlreadyAcceptedException"}, delivered, false},

		{"throttled", answer{Status: 400, Type: "ThrottlingException"}, throttled, false},
		{"throttled, by namespace", answer{Status: 400, Type: "com.amazonaws.logs#ThrottlingException"}, throttled, false},
		{"throttled, by header", answer{Status: 400, Body: []byte("{}"),
			Header: header("X-Amzn-Errortype", "ThrottlingException:http://internal.amazon.com/coral/")}, throttled, false},
		{"throttled, by code", answer{Status: 400, Body: []byte(`{"code":"ThrottlingException"}`)}, throttled, false},
		{"429 of a proxy", answer{Status: 429, Body: []byte(page), Header: header("Retry-After", "7")},
			outcome{Throttled: true, RetryAfter: 7 * time.Second}, false},
		{"a limit of requests", answer{Status: 400, Type: "LimitExceededException"}, throttled, false},

		{"503", answer{Status: 503, Type: "ServiceUnavailableException"}, outcome{}, false},
		{"503 with a pause", answer{Status: 503, Header: header("Retry-After", "2")}, outcome{RetryAfter: 2 * time.Second}, false},
		{"503 with a long pause", answer{Status: 503, Header: header("Retry-After", "7200")}, outcome{RetryAfter: time.Minute}, false},
		{"503 with an endless pause", answer{Status: 503, Header: header("Retry-After", "18446744074")}, outcome{RetryAfter: time.Minute}, false},
		{"503 with a bad pause", answer{Status: 503, Header: header("Retry-After", "-3")}, outcome{}, false},
		{"503 with a past date", answer{Status: 503, Header: header("Retry-After", "Fri, 31 Dec 1999 23:59:59 GMT")}, outcome{}, false},
		{"503 with a far date", answer{Status: 503, Header: header("Retry-After", "Fri, 31 Dec 2099 23:59:59 GMT")},
			outcome{RetryAfter: time.Minute}, false},
		{"503 of a proxy", answer{Status: 503, Body: []byte(page)}, outcome{}, false},
		{"500", answer{Status: 500, Type: "InternalFailure"}, unsure, false},
		{"500 without a word", answer{Status: 500, Body: []byte{}}, unsure, false},
		{"502 of a proxy", answer{Status: 502, Body: []byte(page)}, unsure, false},
		{"504 of a proxy", answer{Status: 504, Body: []byte(page)}, unsure, false},
		{"a redirect", answer{Status: 307, Header: header("Location", "http://127.0.0.1:1/")}, outcome{}, false},
		{"not known", answer{Status: 400, Type: "NewException"}, outcome{}, false},
		{"not found by a proxy", answer{Status: 404, Body: []byte(page)}, outcome{}, false},

		{"expired token", answer{Status: 400, Type: "ExpiredTokenException"}, refused, true},
		{"unknown key", answer{Status: 400, Type: "UnrecognizedClientException"}, refused, true},
		{"wrong signature", answer{Status: 400, Type: "InvalidSignatureException"}, refused, true},
		{"half a signature", answer{Status: 400, Type: "IncompleteSignatureException"}, refused, true},
		{"not allowed", answer{Status: 400, Type: "AccessDeniedException"}, refused, true},
		{"401", answer{Status: 401, Body: []byte{}}, refused, true},
		{"403", answer{Status: 403, Body: []byte(page)}, refused, true},

		{"invalid", answer{Status: 400, Type: "InvalidParameterException"}, invalid, false},
		{"no JSON for the service", answer{Status: 400, Type: "SerializationException"}, invalid, false},
		{"413", answer{Status: 413, Type: "RequestEntityTooLargeException"}, tooLong, false},
		{"413 of a proxy", answer{Status: 413, Body: []byte(page)}, tooLong, false},

		{"200 that is a page", answer{Status: 200, Body: []byte(page)}, unsure, false},
		{"200 that is cut short", answer{Status: 200, Body: []byte(`{"nextSequenceToken":"4959`)}, unsure, false},
		{"200 that is another thing", answer{Status: 200, Body: []byte(`[]`)}, unsure, false},
		{"200 that is too long", answer{Status: 200, Body: []byte(`{"x":"` + strings.Repeat("x", maxReply) + `"}`)}, unsure, false},
		{"200 that is nothing", answer{Status: 200, Body: []byte{}}, unsure, false},
		{"200 with other indexes", answer{Status: 200, Body: []byte(`{"rejectedLogEventsInfo":{"tooNewLogEventStartIndex":"0"}}`)}, unsure, false},

		{"no answer", answer{Drop: true}, unsure, false},
		{"no answer, and taken", answer{Handle: true, Drop: true}, unsure, false},
		{"a reset", answer{Reset: true}, unsure, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			server, url := newSandbox(t, sandbox.Options{})
			cloudwatchtest.Make(t, url, testGroup, testStream)
			signer, signs := watch(url)
			s := newSink(t, url, signs, createsNothing)
			server.Script(func(op string, _ int) *sandbox.Answer {
				if op != "PutLogEvents" {
					return nil
				}
				return &c.answer
			})
			out := s.Send(t.Context(), request("one", "two"))
			if diff := cmp.Diff(c.want, out, cmpopts.IgnoreFields(sink.Outcome{}, "Err")); diff != "" {
				t.Errorf("the outcome is not as it should be (-want +got), the cause being %v:\n%s", out.Err, diff)
			}
			if (out.Err == nil) != (out.Verdict == sink.Delivered) {
				t.Errorf("the verdict %v has the cause %v", out.Verdict, out.Err)
			}
			if forgot := signer.invalidated.Load() > 0; forgot != c.forget {
				t.Errorf("Invalidate was called %d times", signer.invalidated.Load())
			}
			if got := server.Report().Requests["PutLogEvents"].Requests; got != 1 {
				t.Errorf("one Send made %d requests", got)
			}
		})
	}
}

// TestAnswersAreKeptShort: the service may quote records, and other servers send
// whole pages; neither belongs into a log or a status.
func TestAnswersAreKeptShort(t *testing.T) {
	long := strings.Repeat("secret ", 8000)
	for name, body := range map[string]string{
		"of the service": `{"__type":"InvalidParameterException","message":"` + long + `"}`, "of a proxy": page + long,
	} {
		s := newSink(t, newServer(t, func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			if _, err := w.Write([]byte(body)); err != nil {
				t.Error(err)
			}
		}), createsNothing)
		out := s.Send(t.Context(), request("x"))
		if out.Err == nil || len(out.Err.Error()) > 1000 || !strings.Contains(out.Err.Error(), "PutLogEvents") {
			t.Errorf("an answer %s became an error of %d bytes: %.200v", name, len(out.Err.Error()), out.Err)
		}
	}
}

// TestOneAttemptOnADeadConnection: a sink never retries, also where the transport might.
func TestOneAttemptOnADeadConnection(t *testing.T) {
	server, url := newSandbox(t, sandbox.Options{})
	s := newSink(t, url)
	deliver(t, s, request("makes a connection"))
	// From now on connections are reset: at first the one that is kept.
	if err := server.SetFault(sandbox.FaultReset); err != nil {
		t.Fatal(err)
	}
	before := server.Report().Requests["PutLogEvents"].Requests
	for range 6 {
		if out := s.Send(t.Context(), request(strings.Repeat("x", 100_000))); out.Verdict != sink.Retry {
			t.Errorf("the outcome is %+v, want Retry", out)
		}
	}
	if got := server.Report().Requests["PutLogEvents"].Requests - before; got != 6 {
		t.Errorf("6 attempts made %d requests", got)
	}
}

// TestUnsureOnlyOfWholeRequests: what cannot have arrived is not in doubt.
func TestUnsureOnlyOfWholeRequests(t *testing.T) {
	large := strings.Repeat("x", maxBody)
	for name, handler := range map[string]http.HandlerFunc{
		"cut off":          func(w http.ResponseWriter, _ *http.Request) { cutOff(w) },
		"answered 500":     func(w http.ResponseWriter, _ *http.Request) { answerAndCutOff(w, 500) },
		"answered nothing": func(_ http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSink(t, newServer(t, handler), createsNothing)
			if out := s.Send(t.Context(), request(large)); out.Verdict != sink.Retry || out.Unsure || out.Err == nil {
				t.Errorf("the outcome is %+v, want Retry without doubt", out)
			}
		})
	}
	t.Run("nobody listens", func(t *testing.T) {
		s := newSink(t, "http://127.0.0.1:1/", createsNothing)
		if out := s.Send(t.Context(), request("x")); out.Verdict != sink.Retry || out.Unsure || out.Config || out.Err == nil {
			t.Errorf("the outcome is %+v, want Retry without doubt", out)
		}
	})
}

// cutOff ends a connection whose request has not been read.
func cutOff(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		err = conn.Close()
	}
	if err != nil {
		panic(err)
	}
}

// answerAndCutOff answers a request that has not been read, and ends the
// connection.
func answerAndCutOff(w http.ResponseWriter, status int) {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err == nil {
		text := "HTTP/1.1 " + strconv.Itoa(status) + " X\r\nContent-Length: 2\r\n\r\n{}"
		_, err = buffered.WriteString(text)
		err = errors.Join(err, buffered.Flush(), conn.Close())
	}
	if err != nil {
		panic(err)
	}
}

// TestWhoCannotBeAskedNeedsAction: no address and no credentials are for
// somebody to see to, and are asked for again by the next attempt.
func TestWhoCannotBeAskedNeedsAction(t *testing.T) {
	_, url := newSandbox(t, sandbox.Options{})
	broken := errors.New("no region")
	signer := &mayFail{Signer: cloudwatchtest.Signer(), err: errors.New("no credentials")}
	s := newSink(t, url, func(c *Config) {
		c.Resolve = func(context.Context) (Destination, error) { return Destination{URL: url, Signer: signer}, broken }
	})
	out := s.Send(t.Context(), request("x"))
	if !out.Config || out.Unsure || !errors.Is(out.Err, broken) {
		t.Errorf("without a destination the outcome is %+v", out)
	}
	broken = nil
	out = s.Send(t.Context(), request("x"))
	if !out.Config || out.Unsure || !errors.Is(out.Err, signer.err) {
		t.Errorf("without credentials the outcome is %+v", out)
	}
	signer.err = nil
	deliver(t, s, request("x"))
}

// mayFail is a signer that has no credentials while err is set.
type mayFail struct {
	Signer
	err error
}

func (m *mayFail) Sign(ctx context.Context, req *http.Request, sum string, at time.Time) error {
	if m.err != nil {
		return m.err
	}
	return m.Signer.Sign(ctx, req, sum, at)
}
