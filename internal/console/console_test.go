package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestAsk gets what each process reports, in the order of the names.
func TestAsk(t *testing.T) {
	dir := socketDir(t)
	for _, name := range []string{"b", "c", "a"} {
		serve(t, dir, name, "report of "+name)
	}
	answers, err := Ask(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"report of a", "report of b", "report of c"}; !slices.Equal(texts(answers), want) {
		t.Errorf("the answers are %q, want %q", texts(answers), want)
	}
}

func TestAskWhereNobodyRuns(t *testing.T) {
	for _, dir := range []string{socketDir(t), "/nonexistent"} {
		if answers, err := Ask(t.Context(), dir); err != nil || len(answers) > 0 {
			t.Errorf("asking in %s: %s, %v, want nothing", dir, answers, err)
		}
	}
}

// TestAskWhereNobodyMayLook: what cannot be read is not said to be empty.
func TestAskWhereNobodyMayLook(t *testing.T) {
	dir := filepath.Join(socketDir(t), "file")
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if answers, err := Ask(t.Context(), dir); err == nil {
		t.Errorf("asking in what is no folder: %s and no error", answers)
	}
}

// TestAskReportsAfresh: a report is made for each question.
func TestAskReportsAfresh(t *testing.T) {
	dir := socketDir(t)
	s, err := Listen(dir, "x")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	s.Serve(func() any { n++; return fmt.Sprint(n) })
	for _, want := range []string{"1", "2"} {
		answers, err := Ask(t.Context(), dir)
		if err != nil || !slices.Equal(texts(answers), []string{want}) {
			t.Errorf("the answer is %q (%v), want %q", texts(answers), err, want)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if isThere(t, filepath.Join(dir, "x.sock")) {
		t.Error("Close left the socket behind")
	}
}

// TestTheConsoleChangesNothing: it has one question, and no other method.
func TestTheConsoleChangesNothing(t *testing.T) {
	dir := socketDir(t)
	serve(t, dir, "x", "report")
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(dir, "x.sock"))
	}}
	for _, c := range []struct {
		method, path string
		status       int
	}{{"GET", statusPath, 200}, {"POST", statusPath, 405}, {"DELETE", statusPath, 405}, {"GET", "/", 404}, {"GET", "/debug/pprof/", 404}} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, "http://x"+c.path, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); errors.Join(err, resp.Body.Close()) != nil || resp.StatusCode != c.status {
			t.Errorf("%s %s: %s, want %d", c.method, c.path, resp.Status, c.status)
		}
	}
}

// TestListenTakesALeftSocketOver, and Ask removes one.
func TestListenTakesALeftSocketOver(t *testing.T) {
	dir := socketDir(t)
	leave(t, dir, "x")
	serve(t, dir, "x", "new")
	left := leave(t, dir, "y")
	answers, err := Ask(t.Context(), dir)
	if err != nil || !slices.Equal(texts(answers), []string{"new"}) {
		t.Errorf("the answer is %q (%v), want that of the new process", texts(answers), err)
	}
	if isThere(t, left) {
		t.Error("a socket that nobody listens on is still there")
	}
}

// TestAProcessMayEndMeanwhile: a socket that goes between the listing and the
// question is no failure.
func TestAProcessMayEndMeanwhile(t *testing.T) {
	dir := socketDir(t)
	serve(t, dir, "x", "report")
	// It is listed, and is not there when it is asked.
	if err := os.Symlink(filepath.Join(dir, "gone"), filepath.Join(dir, "a.sock")); err != nil {
		t.Fatal(err)
	}
	answers, err := Ask(t.Context(), dir)
	if err != nil || !slices.Equal(texts(answers), []string{"report"}) {
		t.Errorf("the answer is %q with the error %v, want that of the one that is there", texts(answers), err)
	}
}

// TestLongPaths: the kernel cuts no path short.
func TestLongPaths(t *testing.T) {
	dir := socketDir(t)
	fits := strings.Repeat("n", maxSocketPath-len(dir)-len("/.sock"))
	serve(t, dir, fits, "report")
	answers, err := Ask(t.Context(), dir)
	if err != nil || len(answers) != 1 {
		t.Errorf("a path of %d bytes: %s, %v", maxSocketPath, answers, err)
	}
	_, err = Listen(dir, fits+"n")
	if !errors.Is(err, ErrPathTooLong) {
		t.Fatalf("a path of %d bytes: %v, want %v", maxSocketPath+1, err, ErrPathTooLong)
	}
	for _, part := range []string{dir, "108 bytes", "107", "--state-dir"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error does not say %q: %v", part, err)
		}
	}
}

// TestASweepSparesASocketThatIsJustOpened: a neighbour may look at the very
// moment when the socket is there and nobody listens on it yet.
func TestASweepSparesASocketThatIsJustOpened(t *testing.T) {
	dir := socketDir(t)
	over, swept := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-over:
				swept <- nil
				return
			default:
			}
			if err := sweep(dir); err != nil {
				swept <- err
				return
			}
		}
	}()
	for range 2000 {
		s, err := Listen(dir, "x")
		if err != nil {
			t.Fatal(err)
		}
		if !isThere(t, filepath.Join(dir, "x.sock")) {
			t.Fatal("the socket was swept away")
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	close(over)
	if err := <-swept; err != nil {
		t.Error(err)
	}
}

// TestNoServer is what a process has whose folder has no room for a socket.
func TestNoServer(t *testing.T) {
	var s *Server
	s.Serve(func() any { return nil })
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestListenSweepsWhatIsLeft: those that look first must not hide the others,
// however many run.
func TestListenSweepsWhatIsLeft(t *testing.T) {
	dir := socketDir(t)
	for i := range sweepMost {
		serve(t, dir, fmt.Sprintf("a%02d", i), "report")
	}
	left := leave(t, dir, "z")
	for range 30 { // A start may look at others.
		s, err := Listen(dir, "b")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if isThere(t, left) {
		t.Error("a socket that nobody listens on is still there after 30 starts")
	}
	answers, err := Ask(t.Context(), dir)
	if err != nil || len(answers) != sweepMost {
		t.Errorf("of %d processes %d answer: %v", sweepMost, len(answers), err)
	}
}

// TestStoppedProcessesHoldNobodyUp: neither a start, nor the answers of others.
func TestStoppedProcessesHoldNobodyUp(t *testing.T) {
	dir := socketDir(t)
	stopped(t, dir, "a")
	serve(t, dir, "b", "report")
	answers, err := Ask(t.Context(), dir)
	if !slices.Equal(texts(answers), []string{"report"}) {
		t.Errorf("the answers are %q, want the other's", texts(answers))
	}
	if err == nil || !strings.Contains(err.Error(), "a.sock") {
		t.Errorf("the error is %v, want one about the stopped process", err)
	}
}

// TestHangingProcessesAreBounded: who takes the question and says nothing, or
// begins an answer and does not end it, is not waited for for ever.
func TestHangingProcessesAreBounded(t *testing.T) {
	for name, begin := range map[string]bool{"no answer": false, "half an answer": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := socketDir(t)
			other(t, dir, "a", func(w http.ResponseWriter, r *http.Request) {
				if begin {
					if err := json.NewEncoder(w).Encode("half"); err != nil {
						t.Error(err)
					}
					if err := http.NewResponseController(w).Flush(); err != nil {
						t.Error(err)
					}
				}
				<-r.Context().Done()
			})
			serve(t, dir, "b", "report")
			answers, err := Ask(t.Context(), dir)
			if !slices.Equal(texts(answers), []string{"report"}) {
				t.Errorf("the answers are %q, want the other's", texts(answers))
			}
			if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "a.sock") {
				t.Errorf("the error is %v, want one about the time and the socket", err)
			}
		})
	}
}

// TestAskEndsWithItsContext also while a process hangs.
func TestAskEndsWithItsContext(t *testing.T) {
	dir := socketDir(t)
	ctx, cancel := context.WithCancel(t.Context())
	other(t, dir, "a", func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	if answers, err := Ask(ctx, dir); len(answers) > 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("asking: %s, %v, want the context's error", answers, err)
	}
}

// TestAnswersThatAreNone: another program's socket is told of, in clear words.
func TestAnswersThatAreNone(t *testing.T) {
	dir := socketDir(t)
	other(t, dir, "a", http.NotFound)
	serve(t, dir, "b", "report")
	answers, err := Ask(t.Context(), dir)
	if !slices.Equal(texts(answers), []string{"report"}) {
		t.Errorf("the answers are %q, want the other's", texts(answers))
	}
	if err == nil || !strings.Contains(err.Error(), "404 Not Found") || !strings.Contains(err.Error(), "a.sock") || strings.Contains(err.Error(), "%!") {
		t.Errorf("the error is %v, want one that tells who answered what", err)
	}
}
