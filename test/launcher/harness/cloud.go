package harness

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/spillway/spillway/internal/sandbox/cloudwatch"
	"github.com/spillway/spillway/test/launcher"
)

// The names that the tests use at the endpoint.
const (
	Group  = "test-group"
	Stream = "test-stream"
	Region = "us-east-1"
)

// Cloud is a CloudWatch Logs endpoint on loopback: the sandbox with its real limits and its faults.
type Cloud struct {
	Front
	Sandbox *cloudwatch.Server
	t       testing.TB
	server  *httptest.Server
}

// NewCloud starts an endpoint that ends with the test. It holds the group Group and no stream.
func NewCloud(t testing.TB, options cloudwatch.Options) *Cloud {
	t.Helper()
	sandbox, err := cloudwatch.New(options)
	if err != nil {
		t.Fatalf("start the sandbox: %v", err)
	}
	c := &Cloud{t: t, Sandbox: sandbox, Front: Front{next: sandbox.Handler()}}
	c.server = httptest.NewServer(&c.Front)
	t.Cleanup(func() {
		sandbox.Close()
		c.server.CloseClientConnections()
		c.server.Close()
	})
	c.MustCall("CreateLogGroup", map[string]any{"logGroupName": Group}, nil)
	return c
}

// Fault switches a fault of the sandbox on, for all actions or the given ones.
func (c *Cloud) Fault(kind string, actions ...string) {
	c.t.Helper()
	if err := c.Sandbox.SetFault(kind, actions...); err != nil {
		c.t.Fatal(err)
	}
}

// Heal ends every fault and every script.
func (c *Cloud) Heal() {
	c.Sandbox.ClearFault()
	c.Sandbox.Script(nil)
}

// Refuse makes the endpoint refuse the given actions with a status and a type of error.
func (c *Cloud) Refuse(status int, kind, message string, actions ...string) {
	c.Sandbox.Script(func(action string, _ int) *cloudwatch.Answer {
		if !slices.Contains(actions, action) {
			return nil
		}
		return &cloudwatch.Answer{Status: status, Type: kind, Message: message}
	})
}

// URL is the endpoint's address.
func (c *Cloud) URL() string { return c.server.URL }

// Call asks the sandbox itself, past the list of calls but not past its faults, and decodes the answer into out if it
// is not nil.
func (c *Cloud) Call(action string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("encode %s: %w", action, err)
	}
	r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
	r.Header.Set("X-Amz-Target", "Logs_20140328."+action)
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	sum := sha256.Sum256(body)
	keys := aws.Credentials{AccessKeyID: cloudwatch.AccessKeyID, SecretAccessKey: cloudwatch.SecretAccessKey}
	err = v4.NewSigner().SignHTTP(context.Background(), keys, r, hex.EncodeToString(sum[:]), "logs", Region, time.Now())
	if err != nil {
		return fmt.Errorf("sign %s: %w", action, err)
	}
	w := httptest.NewRecorder()
	c.next.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		return fmt.Errorf("%s: HTTP %d: %s", action, w.Code, w.Body)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(w.Body.Bytes(), out); err != nil {
		return fmt.Errorf("decode the answer to %s: %w", action, err)
	}
	return nil
}

// MustCall is Call that fails the test.
func (c *Cloud) MustCall(action string, in, out any) {
	c.t.Helper()
	if err := c.Call(action, in, out); err != nil {
		c.t.Fatal(err)
	}
}

// CreateStream makes a stream in Group.
func (c *Cloud) CreateStream(stream string) {
	c.t.Helper()
	c.MustCall("CreateLogStream", map[string]any{"logGroupName": Group, "logStreamName": stream}, nil)
}

// Event is one event as readers see it.
type Event struct {
	Timestamp int64  `json:"timestamp"`
	Message   string `json:"message"`
}

// Events reads a stream from its start to its end in the order that readers see. A stream that does not exist has none.
func (c *Cloud) Events(group, stream string) []Event {
	c.t.Helper()
	var all []Event
	in := map[string]any{"logGroupName": group, "logStreamName": stream, "startFromHead": true}
	for token := ""; ; {
		var page struct {
			Events           []Event `json:"events"`
			NextForwardToken string  `json:"nextForwardToken"`
		}
		if err := c.Call("GetLogEvents", in, &page); err != nil {
			if len(all) == 0 && bytes.Contains([]byte(err.Error()), []byte("ResourceNotFoundException")) {
				return nil
			}
			c.t.Fatal(err)
		}
		all = append(all, page.Events...)
		if page.NextForwardToken == token {
			return all
		}
		token = page.NextForwardToken
		in["nextToken"] = token
	}
}

// Messages are the texts of Events.
func (c *Cloud) Messages(group, stream string) []string {
	c.t.Helper()
	var texts []string
	for _, e := range c.Events(group, stream) {
		texts = append(texts, e.Message)
	}
	return texts
}

// Args are the arguments of a logger that delivers to Group and Stream here.
func (c *Cloud) Args() []launcher.Arg {
	return []launcher.Arg{
		{Key: "--log-driver", Value: "awslogs"},
		{Key: "--awslogs-group", Value: Group},
		{Key: "--awslogs-stream", Value: Stream},
		{Key: "--awslogs-region", Value: Region},
		{Key: "--awslogs-endpoint", Value: c.URL()},
	}
}
