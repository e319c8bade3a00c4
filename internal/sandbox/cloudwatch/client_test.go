package cloudwatch

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/spillway/spillway/internal/sandbox/host/hosttest"
)

// now is a moment that event times in tests are relative to; servers of tests think it is now.
var now = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// newServer returns a server whose clock stands still at now.
func newServer(t testing.TB, o Options) *Server {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	s.now = func() time.Time { return now }
	return s
}

// newStream returns a server with group "g" and stream "s".
func newStream(t testing.TB, o Options) *Server {
	t.Helper()
	s := newServer(t, o)
	mustCall(t, s, "CreateLogGroup", `{"logGroupName":"g"}`)
	mustCall(t, s, "CreateLogStream", `{"logGroupName":"g","logStreamName":"s"}`)
	return s
}

// serve runs a server on a loopback port until the test ends and returns its address.
func serve(t *testing.T, s *Server) string {
	t.Helper()
	return hosttest.Serve(t, s)
}

const signedForm = "AWS4-HMAC-SHA256 Credential=AKID/20261120/us-east-1/logs/aws4_request, " +
	"SignedHeaders=content-type;host;x-amz-date;x-amz-target, " +
	"Signature=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// request builds a request with everything that the server looks at.
func request(ctx context.Context, url, op string, body []byte) *http.Request {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		panic(err) // The tests' own addresses parse.
	}
	r.Header.Set("X-Amz-Target", targetPrefix+op)
	r.Header.Set("Content-Type", contentType)
	r.Header.Set("X-Amz-Date", "20261120T120000Z")
	r.Header.Set("Authorization", signedForm)
	return r
}

// reply is what came back: Type and Message of an error, or the body of a success.
type reply struct {
	Status        int
	Type, Message string
	Body          string
}

func readReply(status int, body []byte) reply {
	r := reply{Status: status, Body: string(body)}
	if status == http.StatusOK {
		return r
	}
	var e struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}
	if json.Unmarshal(body, &e) == nil {
		r.Type, r.Message = e.Type, e.Message
	}
	return r
}

// call sends a request straight to the handler.
func call(s *Server, op, body string, change ...func(*http.Request)) reply {
	r := request(context.Background(), "http://sandbox/", op, []byte(body))
	for _, c := range change {
		c(r)
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return readReply(w.Code, w.Body.Bytes())
}

func mustCall(t testing.TB, s *Server, op, body string) string {
	t.Helper()
	r := call(s, op, body)
	if r.Status != http.StatusOK {
		t.Fatalf("%s %.200s: %d %s: %s", op, body, r.Status, r.Type, r.Message)
	}
	return r.Body
}

// send sends a request over the network with client.
func send(client *http.Client, url, op, body string) (reply, error) {
	resp, err := client.Do(request(context.Background(), url+"/", op, []byte(body)))
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return readReply(resp.StatusCode, data), err
}

// line is an event of a test: milliseconds after now, and a message.
type line struct {
	after   int64
	message string
}

// put is the body of a PutLogEvents request for group g, stream s.
func put(lines ...line) string {
	var b strings.Builder
	for i, l := range lines {
		if i > 0 {
			b.WriteByte(',')
		}
		m, err := json.Marshal(l.message)
		if err != nil {
			panic(err)
		}
		b.WriteString(`{"message":` + string(m) + `,"timestamp":` + jsonInt(now.UnixMilli()+l.after) + `}`)
	}
	return `{"logEvents":[` + b.String() + `],"logGroupName":"g","logStreamName":"s"}`
}

func jsonInt(n int64) string {
	b, err := json.Marshal(n)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// account is the report of group g, stream s.
func streamReport(t testing.TB, s *Server) StreamReport {
	t.Helper()
	r := s.Report()
	st, ok := r.Stream("g", "s")
	if !ok {
		t.Fatal("the report has no stream g/s")
	}
	sum := st.EmptyLines + st.LossMarkers.Count + st.Unnumbered + st.OtherSeries
	for _, one := range st.Series {
		sum += one.Count
	}
	if sum != st.Events {
		t.Fatalf("the parts of the report add up to %d events, its total is %d", sum, st.Events)
	}
	return st
}
