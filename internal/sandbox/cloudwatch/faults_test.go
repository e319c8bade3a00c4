package cloudwatch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// newClient returns a client that does not retry: each connection is used once, so that net/http has no reason to.
func newClient(t *testing.T) *http.Client {
	transport := &http.Transport{DisableKeepAlives: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// TestFaultAnswers switches faults that answer on and off, for all operations and for one.
func TestFaultAnswers(t *testing.T) {
	for kind, want := range map[string]reply{
		FaultUnavailable: {Status: 503, Type: "ServiceUnavailableException"},
		FaultThrottled:   {Status: 400, Type: "ThrottlingException"},
		FaultDenied:      {Status: 400, Type: "AccessDeniedException"},
	} {
		t.Run(kind, func(t *testing.T) {
			s := newStream(t, Options{})
			check := func(op, body string, faulty bool) {
				t.Helper()
				got := call(s, op, body)
				if faulty && (got.Status != want.Status || got.Type != want.Type) || !faulty && got.Status != 200 {
					t.Errorf("%s: %d %s, faulty %v", op, got.Status, got.Type, faulty)
				}
			}
			must(t, s.SetFault(kind))
			check("PutLogEvents", put(line{0, "1"}), true)
			check("CreateLogGroup", `{"logGroupName":"other"}`, true)
			must(t, s.SetFault(kind, "CreateLogStream"))
			check("PutLogEvents", put(line{0, "2"}), false)
			check("CreateLogStream", `{"logGroupName":"g","logStreamName":"other"}`, true)
			s.ClearFault()
			check("CreateLogStream", `{"logGroupName":"g","logStreamName":"other"}`, false)
			r := s.Report()
			if r.Faults[kind] != 3 || r.Requests["CreateLogStream"].Errors[want.Type] != 1 || r.Totals.Events != 1 {
				t.Errorf("report: faults %v, requests %v, %d events", r.Faults, r.Requests, r.Totals.Events)
			}
		})
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestFaultReset sees a reset, and nothing stored, before, amid and after the body. It works on bare connections, since
// an HTTP client hides which end of a connection failed first.
func TestFaultReset(t *testing.T) {
	s := newStream(t, Options{})
	url := serve(t, s)
	must(t, s.SetFault(FaultReset))
	body := put(many(1000, 900)...)
	var wire bytes.Buffer
	must(t, request(context.Background(), url+"/", "PutLogEvents", []byte(body)).Write(&wire))
	for i := range 6 {
		conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		must(t, err)
		written := make(chan error, 1)
		go func() {
			_, err := conn.Write(wire.Bytes())
			written <- err
		}()
		_, readErr := conn.Read(make([]byte, 1))
		writeErr := <-written
		must(t, conn.Close())
		if i%3 == 2 && (writeErr != nil || !errors.Is(readErr, syscall.ECONNRESET)) {
			t.Errorf("request %d, read in whole: written %v, read %v, want a reset", i, writeErr, readErr)
		}
		if !errors.Is(readErr, syscall.ECONNRESET) && !errors.Is(writeErr, syscall.ECONNRESET) && !errors.Is(writeErr, syscall.EPIPE) {
			t.Errorf("request %d: written %v, read %v, want a reset", i, writeErr, readErr)
		}
	}
	s.ClearFault()
	if got, err := send(newClient(t), url, "PutLogEvents", body); err != nil || got.Status != 200 {
		t.Errorf("after the fault: %+v, %v", got, err)
	}
	if r := s.Report(); r.Totals.Events != 1000 || r.Requests["PutLogEvents"].Errors[FaultReset] != 6 {
		t.Errorf("%d events stored, requests %v", r.Totals.Events, r.Requests)
	}
}

// TestFaultHang holds requests until the fault ends, then closes their connections without storing anything.
func TestFaultHang(t *testing.T) {
	s := newStream(t, Options{})
	url, client := serve(t, s), newClient(t)
	must(t, s.SetFault(FaultHang, "PutLogEvents"))
	results := make(chan error, 3)
	for range cap(results) {
		go func() {
			_, err := send(client, url, "PutLogEvents", put(line{0, "1"}))
			results <- err
		}()
	}
	waitFor(t, func() bool { return s.Report().Faults[FaultHang] == 3 })
	if got, err := send(client, url, "CreateLogGroup", `{"logGroupName":"h"}`); err != nil || got.Status != 200 {
		t.Errorf("another operation: %+v, %v", got, err)
	}
	if len(results) != 0 {
		t.Error("a request ended while the fault was on")
	}
	s.ClearFault()
	for range cap(results) {
		if err := <-results; !errors.Is(err, io.EOF) {
			t.Errorf("hanging request: %v, want EOF", err)
		}
	}
	if r := s.Report(); r.Totals.Events != 0 || r.MaxInFlight < 3 {
		t.Errorf("%d events stored, %d in flight", r.Totals.Events, r.MaxInFlight)
	}
}

// waitFor polls for what another goroutine of the test brings about.
func waitFor(t *testing.T, ready func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !ready(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("waited for two minutes in vain")
		}
	}
}

// TestFaultHangClientGone lets a client give up on a hanging request.
func TestFaultHangClientGone(t *testing.T) {
	s := newStream(t, Options{})
	url, client := serve(t, s), newClient(t)
	must(t, s.SetFault(FaultHang))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		_, err := client.Do(request(ctx, url+"/", "PutLogEvents", []byte(put(line{0, "1"}))))
		done <- err
	}()
	waitFor(t, func() bool { return s.Report().Faults[FaultHang] == 1 })
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("request: %v", err)
	}
	waitFor(t, func() bool { return s.Report().Disconnected == 1 })
}

// TestPlannedFault checks the times of Options.FaultAt and FaultFor, and the latency, with a clock of its own.
func TestPlannedFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := New(Options{Fault: FaultUnavailable, FaultAt: 10 * time.Second, FaultFor: 20 * time.Second, Latency: 60 * time.Millisecond})
		must(t, err)
		start := time.Now()
		for _, step := range []struct {
			at     time.Duration
			status int
		}{{0, 200}, {9999 * time.Millisecond, 400}, {10 * time.Second, 503}, {29999 * time.Millisecond, 503}, {30 * time.Second, 400}} {
			time.Sleep(time.Until(start.Add(step.at)))
			before := time.Now()
			if got := call(s, "CreateLogGroup", `{"logGroupName":"g"}`); got.Status != step.status {
				t.Errorf("at %v: status %d, want %d", step.at, got.Status, step.status)
			}
			if took := time.Since(before); took != 60*time.Millisecond {
				t.Errorf("at %v: answered after %v, want the latency of 60ms", step.at, took)
			}
		}
	})
}

// TestPlannedHang releases requests when the planned fault ends.
func TestPlannedHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := New(Options{Fault: FaultHang, FaultFor: 5 * time.Second})
		must(t, err)
		start := time.Now()
		func() {
			defer func() {
				if r := recover(); r != http.ErrAbortHandler { // A recorder is no connection that could be closed.
					t.Errorf("recovered %v, want http.ErrAbortHandler", r)
				}
			}()
			call(s, "CreateLogGroup", `{"logGroupName":"g"}`)
		}()
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("the request hung for %v, want 5s", took)
		}
	})
}

// TestFaultByHTTP switches faults the way a test of another process does.
func TestFaultByHTTP(t *testing.T) {
	s := newStream(t, Options{})
	url, client := serve(t, s), newClient(t)
	control := func(method, body string) (int, string) {
		t.Helper()
		r, err := http.NewRequest(method, url+"/sandbox/fault", strings.NewReader(body))
		must(t, err)
		resp, err := client.Do(r)
		must(t, err)
		defer resp.Body.Close()
		data, err := io.ReadAll(resp.Body)
		must(t, err)
		return resp.StatusCode, string(bytes.TrimSpace(data))
	}
	for _, step := range []struct {
		method, body string
		status       int
		answer       string
		putStatus    int
	}{
		{"GET", "", 200, `{"fault":""}`, 200},
		{"POST", `{"fault":"503"}`, 200, `{"fault":"503"}`, 503},
		{"POST", `{"fault":"429","operations":["PutLogEvents"],"for":"20s"}`, 200, `{"fault":"429","operations":["PutLogEvents"],"for":"20s"}`, 400},
		{"GET", "", 200, `{"fault":"429","operations":["PutLogEvents"],"for":"20s"}`, 400},
		{"POST", `{"fault":"503","operations":["CreateLogGroup"]}`, 200, `{"fault":"503","operations":["CreateLogGroup"]}`, 200},
		{"POST", `{"fault":"503"}`, 200, `{"fault":"503"}`, 503},
		{"POST", `{"fault":"500"}`, 400, "", 503},
		{"POST", `{"fault":"503","for":"soon"}`, 400, "", 503},
		{"POST", `{"fault":"503","for":"-1s"}`, 400, "", 503},
		{"POST", `{"fault":"503","operations":["Put"]}`, 400, "", 503},
		{"POST", `{}`, 200, `{"fault":""}`, 200},
		{"POST", `{"fault":"503"}`, 200, `{"fault":"503"}`, 503},
		{"DELETE", "", 200, `{"fault":""}`, 200},
	} {
		if status, answer := control(step.method, step.body); status != step.status || step.answer != "" && answer != step.answer {
			t.Errorf("%s %s: %d %s", step.method, step.body, status, answer)
		}
		if got := call(s, "PutLogEvents", put(line{0, "1"})); got.Status != step.putStatus {
			t.Errorf("after %s %s: PutLogEvents %d, want %d", step.method, step.body, got.Status, step.putStatus)
		}
	}
}

// TestScript answers, delays, holds and drops single requests.
func TestScript(t *testing.T) {
	s := newStream(t, Options{})
	url, client := serve(t, s), newClient(t)
	answers := []*Answer{
		nil,
		{Status: 429, Type: "X", Message: "m", Header: http.Header{"Retry-After": {"7"}}},
		{Status: 500, Body: []byte("<html>"), Handle: true},
		{Drop: true, Handle: true},
		{Reset: true},
	}
	s.Script(func(op string, n int) *Answer {
		if op != "PutLogEvents" {
			return nil
		}
		return answers[n-1]
	})
	stored := []uint64{1, 1, 2, 3, 3}
	for i := range answers {
		resp, err := client.Do(request(context.Background(), url+"/", "PutLogEvents", []byte(put(line{0, "1"}))))
		switch i {
		case 3, 4:
			if err == nil {
				t.Errorf("request %d was answered", i)
			}
		default:
			must(t, err)
			body, err := io.ReadAll(resp.Body)
			must(t, err)
			must(t, resp.Body.Close())
			got := fmt.Sprintf("%d %s %s", resp.StatusCode, body, resp.Header.Get("Retry-After"))
			if want := []string{`200 {"nextSequenceToken"`, `429 {"__type":"X","message":"m"} 7`, `500 <html> `}[i]; !strings.HasPrefix(got, want) {
				t.Errorf("request %d: %s, want %s", i, got, want)
			}
		}
		if got := s.Report().Totals.Events; got != stored[i] {
			t.Errorf("request %d: %d events stored, want %d", i, got, stored[i])
		}
	}
	s.Script(nil)
	mustCall(t, s, "PutLogEvents", put(line{0, "1"}))
}

// TestScriptHold keeps requests of one stream in flight together and lets them be handled in a chosen order.
func TestScriptHold(t *testing.T) {
	s := newStream(t, Options{})
	before, hold := make(chan struct{}), make(chan struct{})
	s.Script(func(op string, n int) *Answer {
		if op != "PutLogEvents" {
			return nil
		}
		if n == 1 {
			return &Answer{Before: before, Hold: hold}
		}
		return &Answer{Hold: hold}
	})
	var wg sync.WaitGroup
	for i, message := range []string{"first", "second", "third"} {
		wg.Go(func() { mustCall(t, s, "PutLogEvents", put(line{0, message})) })
		waitFor(t, func() bool { return s.Report().Requests["PutLogEvents"].Requests == uint64(i+1) })
		waitFor(t, func() bool { return streamReport(t, s).Events == uint64(i) })
	}
	close(before)
	waitFor(t, func() bool { return streamReport(t, s).Events == 3 })
	if got := s.Report().Requests["PutLogEvents"].OK; got != 0 {
		t.Errorf("%d requests answered while held", got)
	}
	close(hold)
	wg.Wait()
	if got := strings.Join(messages(t, s), " "); got != "second third first" {
		t.Errorf("readers see %s", got)
	}
	if got := streamReport(t, s).MaxInFlight; got != 3 {
		t.Errorf("at most %d in flight for the stream, want 3", got)
	}
}
