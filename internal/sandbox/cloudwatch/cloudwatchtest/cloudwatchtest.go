// Package cloudwatchtest is CloudWatch Logs for the tests of those who send there: the
// sandbox served, called and read beside the sink.
package cloudwatchtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/spillway/spillway/internal/awsauth"
	"github.com/spillway/spillway/internal/sandbox/cloudwatch"
	"github.com/spillway/spillway/internal/sandbox/host/hosttest"
	"github.com/spillway/spillway/internal/sink/sinktest"
)

// Region is the one that calls are signed for.
const Region = "eu-central-1"

// Credentials are those that the sandbox knows.
type Credentials struct{}

// Retrieve implements aws.CredentialsProvider.
func (Credentials) Retrieve(context.Context) (aws.Credentials, error) {
	return aws.Credentials{
		AccessKeyID: cloudwatch.AccessKeyID, SecretAccessKey: cloudwatch.SecretAccessKey, SessionToken: cloudwatch.SessionToken,
	}, nil
}

// Signer signs with them.
func Signer() *awsauth.Signer { return awsauth.NewSigner(Credentials{}, Region) }

// New serves an endpoint until the test ends, and returns its address, without a / at the
// end.
func New(t testing.TB, o cloudwatch.Options) (*cloudwatch.Server, string) {
	t.Helper()
	o.ErrorLog = log.New(io.Discard, "", 0)
	s, err := cloudwatch.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s, hosttest.Serve(t, s)
}

// Ask makes a call of the service's API. into may be nil.
func Ask(ctx context.Context, url, operation string, params, into any) error {
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
	if err := Signer().Sign(ctx, req, hex.EncodeToString(sum[:]), time.Now()); err != nil {
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

// Make makes a log group and a log stream in it.
func Make(t testing.TB, url, group, stream string) {
	t.Helper()
	names := map[string]string{"logGroupName": group, "logStreamName": stream}
	for _, operation := range []string{"CreateLogGroup", "CreateLogStream"} {
		if err := Ask(t.Context(), url, operation, names, nil); err != nil {
			t.Fatal(err)
		}
	}
}

// Read reads a log stream as its readers do, page by page.
func Read(ctx context.Context, url, group, stream string) ([]sinktest.Entry, error) {
	var all []sinktest.Entry
	params := map[string]any{"logGroupName": group, "logStreamName": stream, "startFromHead": true}
	for {
		var page struct {
			Events []struct {
				Timestamp int64
				Message   string
			} `json:"events"`
			Next string `json:"nextForwardToken"`
		}
		if err := Ask(ctx, url, "GetLogEvents", params, &page); err != nil {
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
