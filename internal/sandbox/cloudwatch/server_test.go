package cloudwatch

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestOptions(t *testing.T) {
	for name, o := range map[string]Options{
		"fault":         {Fault: "500"},
		"fault times":   {FaultAt: time.Second},
		"negative time": {Fault: "503", FaultFor: -1},
		"latency":       {Latency: -1},
		"reject":        {Reject: "old"},
		"reject count":  {Reject: RejectTooOld, RejectEvents: -1},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("%s: no error for %+v", name, o)
		}
	}
	for _, listen := range []string{"", "127.0.0.1", "0.0.0.0:0", ":0", "example.com:80", "10.0.0.1:0"} {
		s, err := New(Options{Listen: listen})
		if listen == "" {
			must(t, err) // It may be for its handler alone.
			err = s.ListenAndServe(t.Context())
		}
		if err == nil || !strings.Contains(err.Error(), "127.0.0.1:8080") && !strings.Contains(err.Error(), "loopback") {
			t.Errorf("listen %q: %v", listen, err)
		}
	}
}

// TestServeEnds ends a server in the midst of requests that hang, wait for the latency or a script, or are half sent.
func TestServeEnds(t *testing.T) {
	s, err := New(Options{Listen: "127.0.0.1:0"})
	must(t, err)
	ln, err := s.Listen()
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, ln) }()
	url, client := "http://"+ln.Addr().String(), newClient(t)

	must(t, s.SetFault(FaultHang, "CreateLogGroup"))
	s.SetLatency(time.Hour)
	s.Script(func(op string, _ int) *Answer {
		if op == "DeleteLogGroup" {
			return &Answer{Hold: make(chan struct{})}
		}
		return nil
	})
	ended := make(chan error, 3)
	for _, op := range []string{"CreateLogGroup", "DescribeLogGroups", "DeleteLogGroup"} {
		go func() {
			_, err := send(client, url, op, `{"logGroupName":"g"}`)
			ended <- err
		}()
	}
	half, err := net.Dial("tcp", ln.Addr().String())
	must(t, err)
	defer half.Close()
	_, err = io.WriteString(half, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
	must(t, err)
	waitFor(t, func() bool { return s.Report().MaxInFlight == 4 })
	cancel()
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	for range cap(ended) {
		if err := <-ended; err != nil {
			t.Log("a request that hung:", err)
		}
	}
	if active := s.host.Active(); active != 0 {
		t.Errorf("%d requests are being served after Serve has returned", active)
	}
	if _, err := send(client, url, "DescribeLogGroups", "{}"); err == nil {
		t.Error("the server answers after its end")
	}
}

// TestServeFails reports a listener that is closed under the server.
func TestServeFails(t *testing.T) {
	s, err := New(Options{Listen: "127.0.0.1:0"})
	must(t, err)
	ln, err := s.Listen()
	must(t, err)
	must(t, ln.Close())
	if err := s.Serve(t.Context(), ln); err == nil {
		t.Error("no error")
	}
}

// TestCloseHandler ends a server that has a handler only, and a request that its script holds.
func TestCloseHandler(t *testing.T) {
	s := newStream(t, Options{})
	s.Script(func(string, int) *Answer { return &Answer{Hold: make(chan struct{})} })
	held := make(chan reply)
	go func() { held <- call(s, "DescribeLogGroups", "{}") }()
	waitFor(t, func() bool { return s.Report().Requests["DescribeLogGroups"].Requests == 1 })
	s.Close()
	if got := <-held; got.Status != 200 {
		t.Errorf("the request that was held: %+v", got)
	}
	s.Close()
	defer func() {
		if r := recover(); r != http.ErrAbortHandler {
			t.Errorf("recovered %v, want http.ErrAbortHandler", r)
		}
	}()
	call(s, "DescribeLogGroups", "{}")
}

func TestSmallEndpoints(t *testing.T) {
	s := newStream(t, Options{})
	mustCall(t, s, "PutLogEvents", put(line{0, "n 1"}, line{0, "n 3"}))
	url, client := serve(t, s), newClient(t)
	get := func(path string, into any) {
		t.Helper()
		resp, err := client.Get(url + path)
		must(t, err)
		defer resp.Body.Close()
		if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %s, %s", path, resp.Status, resp.Header.Get("Content-Type"))
		}
		must(t, json.NewDecoder(resp.Body).Decode(into))
	}
	var credentials struct {
		AccessKeyID                        string `json:"AccessKeyId"`
		SecretAccessKey, Token, Expiration string
	}
	get("/credentials", &credentials)
	if credentials.AccessKeyID != AccessKeyID || credentials.SecretAccessKey != SecretAccessKey ||
		credentials.Token != SessionToken || credentials.Expiration != "2026-11-20T13:00:00Z" {
		t.Errorf("credentials %+v", credentials)
	}
	var health map[string]bool
	if get("/healthz", &health); !health["ok"] {
		t.Errorf("health %v", health)
	}
	var report Report
	get("/report", &report)
	st, ok := report.Stream("g", "s")
	if !ok {
		t.Fatal("the report lacks the stream")
	}
	if n, ok := st.SeriesNamed("n "); !ok || n.Missing != 1 || n.Gaps[0] != [2]uint64{2, 2} {
		t.Errorf("series %+v", st.Series)
	}
	resp, err := client.Get(url + "/")
	must(t, err)
	must(t, resp.Body.Close())
	if resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET /: %s", resp.Status)
	}
}

// TestBodies sends a body without a length, one that is too large, and one that is shorter than it says.
func TestBodies(t *testing.T) {
	s := newStream(t, Options{})
	unknownLength := func(r *http.Request) { r.ContentLength = -1 }
	if got := call(s, "PutLogEvents", put(line{0, "1"}), unknownLength); got.Status != 200 {
		t.Errorf("chunked: %+v", got)
	}
	if got := call(s, "PutLogEvents", strings.Repeat(" ", maxBody+1), unknownLength); got.Status != 413 {
		t.Errorf("chunked and too large: %+v", got)
	}
	if got := call(s, "PutLogEvents", "", func(r *http.Request) { r.ContentLength = maxBody + 1 }); got.Status != 413 {
		t.Errorf("too large: %+v", got)
	}
	if got := call(s, "PutLogEvents", "{}", func(r *http.Request) { r.ContentLength = 9 }); got.Type != "SerializationException" {
		t.Errorf("too short: %+v", got)
	}
}
