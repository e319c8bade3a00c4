package cloudwatch

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spillway/spillway/internal/awsauth"
	sandbox "github.com/spillway/spillway/internal/sandbox/cloudwatch"
	"github.com/spillway/spillway/internal/sink/sinktest"
)

// TestConformance runs the suite of all sinks. It makes two attempts fail, one
// of a small request and one of a large one, each in its own way.
func TestConformance(t *testing.T) {
	for name, failures := range map[string][2]sandbox.Answer{
		"in doubt":     {{Handle: true, Drop: true}, {Handle: true, Status: 200, Body: []byte(`{"nextSequenceTok`)}},
		"not in doubt": {{Status: 503, Type: "ServiceUnavailableException"}, {Status: 400, Type: "ThrottlingException"}},
	} {
		t.Run(name, func(t *testing.T) {
			sinktest.Run(t, func(t *testing.T) sinktest.Destination { return destination(t, failures[:]) })
		})
	}
}

// destination is a sandbox as the suite wants one.
func destination(t *testing.T, failures []sandbox.Answer) sinktest.Destination {
	server, url := newSandbox(t, sandbox.Options{})
	makeStream(t, url)
	var next atomic.Pointer[sandbox.Answer]
	server.Script(func(op string, _ int) *sandbox.Answer {
		if op != "PutLogEvents" {
			return nil
		}
		return next.Swap(nil)
	})
	return sinktest.Destination{
		Sink: newSink(t, url),
		Read: func() ([]sinktest.Entry, error) { return readBack(t.Context(), url) },
		Fail: func() {
			next.Store(&failures[0])
			failures = failures[1:]
		},
		Traits: sinktest.Traits{Empty: " ", Resolution: time.Millisecond},
	}
}

// makeStream makes the log group and the log stream beside the sink.
func makeStream(t testing.TB, url string) {
	t.Helper()
	names := map[string]string{"logGroupName": testGroup, "logStreamName": testStream}
	for _, operation := range []string{"CreateLogGroup", "CreateLogStream"} {
		if err := ask(t.Context(), url, operation, names, nil); err != nil {
			t.Fatal(err)
		}
	}
}

// readBack reads the stream as its readers do, page by page.
func readBack(ctx context.Context, url string) ([]sinktest.Entry, error) {
	var all []sinktest.Entry
	params := map[string]any{"logGroupName": testGroup, "logStreamName": testStream, "startFromHead": true}
	for {
		var page struct {
			Events []putEvent `json:"events"`
			Next   string     `json:"nextForwardToken"`
		}
		if err := ask(ctx, url, "GetLogEvents", params, &page); err != nil {
			return nil, err
		}
		for _, e := range page.Events {
			all = append(all, sinktest.Entry{Time: time.UnixMilli(e.Timestamp), Text: e.Message})
		}
		if page.Next == params["nextToken"] {
			return all, nil
		}
		params["nextToken"] = page.Next
	}
}

// ask makes a call of the service's API, beside the sink.
func ask(ctx context.Context, url, operation string, params, into any) error {
	body, err := json.Marshal(params)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", "Logs_20140328."+operation)
	sum := sha256.Sum256(body)
	signer := awsauth.NewSigner(credentials{}, testRegion)
	if err := signer.Sign(ctx, req, hex.EncodeToString(sum[:]), time.Now()); err != nil {
		return err
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return err
	}
	reply, err := io.ReadAll(resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s %s", operation, resp.Status, reply)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(reply, into)
}
