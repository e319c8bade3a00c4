package parts

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"time"
)

// signature has the form of a signature and signs nothing. The servers here find the service in the
// scope and do not verify it; the client of the product is not used, so that a defect in it cannot
// hide itself.
const signature = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/logs/aws4_request, SignedHeaders=host;x-amz-date, " +
	"Signature=0000000000000000000000000000000000000000000000000000000000000000"

// callWithin bounds one call. Moto sorts a stream's whole history for each page.
const callWithin = 2 * time.Minute

// CloudWatch calls the CloudWatch Logs API at a base address. The zero value of everything but
// Endpoint is ready; methods may be called by several goroutines.
type CloudWatch struct {
	// Endpoint is the base address without a final slash.
	Endpoint string
}

// Event is one event as GetLogEvents returns it; the timestamp is in milliseconds since 1970.
type Event struct {
	Timestamp int64  `json:"timestamp"`
	Message   string `json:"message"`
}

// Call makes one call of the JSON 1.1 protocol, with `in` as the request and `out` as the answer. A
// status other than 200 is an error that quotes the answer.
func (c CloudWatch) Call(action string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("encode %s: %w", action, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), callWithin)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.Endpoint+"/", bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("call %s: %w", action, err)
	}
	request.Header.Set("Content-Type", "application/x-amz-json-1.1")
	request.Header.Set("X-Amz-Target", "Logs_20140328."+action)
	request.Header.Set("X-Amz-Date", time.Now().UTC().Format("20060102T150405Z"))
	request.Header.Set("Authorization", signature)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("call %s: %w", action, err)
	}
	answer, err := io.ReadAll(response.Body)
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return fmt.Errorf("read the answer to %s: %w", action, err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("call %s at %s: status %s, want 200: %s", action, c.Endpoint, response.Status, answer)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("decode the answer to %s: %w", action, err)
	}
	return nil
}

// Create makes a group and, where a name is given, a stream in it.
func (c CloudWatch) Create(group, stream string) error {
	if err := c.Call("CreateLogGroup", map[string]any{"logGroupName": group}, nil); err != nil {
		return err
	}
	if stream == "" {
		return nil
	}
	return c.Call("CreateLogStream", map[string]any{"logGroupName": group, "logStreamName": stream}, nil)
}

// Events yields a stream's events in the order in which readers of CloudWatch see them, from the
// head, page by page until the service repeats the token, which is its sign for the end. An error
// is yielded once, as the last pair.
func (c CloudWatch) Events(group, stream string) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		request := map[string]any{"logGroupName": group, "logStreamName": stream, "startFromHead": true}
		token := ""
		for {
			var page struct {
				Events           []Event `json:"events"`
				NextForwardToken string  `json:"nextForwardToken"`
			}
			if err := c.Call("GetLogEvents", request, &page); err != nil {
				yield(Event{}, err)
				return
			}
			for _, event := range page.Events {
				if !yield(event, nil) {
					return
				}
			}
			if page.NextForwardToken == token {
				return
			}
			token = page.NextForwardToken
			request["nextToken"] = token
		}
	}
}

// Messages reads a whole stream, for streams that are small.
func (c CloudWatch) Messages(group, stream string) ([]string, error) {
	var messages []string
	for event, err := range c.Events(group, stream) {
		if err != nil {
			return nil, err
		}
		messages = append(messages, event.Message)
	}
	return messages, nil
}
