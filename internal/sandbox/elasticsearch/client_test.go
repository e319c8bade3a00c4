package elasticsearch

import (
	"bytes"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/spillway/spillway/internal/sandbox/host/hosttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newServer(t testing.TB, o Options) *Server {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	s.now = func() time.Time { return time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC) }
	s.faults.restart(s.now())
	t.Cleanup(s.Close)
	return s
}

// serve runs a server on a loopback port until the test ends and returns its address.
func serve(t testing.TB, s *Server) string {
	t.Helper()
	s.options.ErrorLog = log.New(io.Discard, "", 0)
	return hosttest.Serve(t, s)
}

// call sends a request to the handler and returns the status and the body.
func call(t testing.TB, s *Server, method, path, body string) (int, string) {
	t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/x-ndjson")
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func mustCall(t testing.TB, s *Server, method, path, body string) string {
	t.Helper()
	status, answer := call(t, s, method, path, body)
	if status/100 != 2 {
		t.Fatalf("%s %s: %d %s", method, path, status, answer)
	}
	return answer
}

// item is one item of an answer to a bulk request.
type item struct {
	Op     string
	Index  string `json:"_index"`
	ID     string `json:"_id"`
	Status int    `json:"status"`
	Result string `json:"result"`
	Error  struct {
		Type   string `json:"type"`
		Reason string `json:"reason"`
	} `json:"error"`
}

type bulkAnswer struct {
	Errors bool              `json:"errors"`
	Items  []map[string]item `json:"items"`
}

func parseAnswer(t testing.TB, text []byte) (bool, []item) {
	t.Helper()
	var a bulkAnswer
	if err := json.Unmarshal(text, &a); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	var items []item
	for _, one := range a.Items {
		for op, it := range one {
			it.Op = op
			items = append(items, it)
		}
	}
	return a.Errors, items
}

func mustBulk(t testing.TB, s *Server, path, body string) (bool, []item) {
	t.Helper()
	return parseAnswer(t, []byte(mustCall(t, s, "POST", path, body)))
}

// post sends a bulk request over a connection of its own.
func post(t testing.TB, address, body string, header http.Header) (*http.Response, []byte, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "POST", address+"/_bulk", bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-ndjson")
	for name, values := range header {
		r.Header[name] = values
	}
	r.Close = true
	client := http.Client{Timeout: 2 * time.Minute}
	defer client.CloseIdleConnections()
	resp, err := client.Do(r)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	return resp, answer, err
}
