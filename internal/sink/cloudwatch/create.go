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

	"github.com/spillway/spillway/internal/jsontext"
)

// create makes the log stream, and the log group where that is missing and may
// be made. What is there already is as good as made.
func (s *Sink) create(ctx context.Context, d *Destination) error {
	err := s.createStream(ctx, d)
	var answer *apiError
	if !errors.As(err, &answer) || !answer.is("ResourceNotFoundException") || !s.cfg.CreateGroup {
		return err
	}
	if err := s.ask(ctx, d, "CreateLogGroup", map[string]any{"logGroupName": s.cfg.Group}, nil); !made(err) {
		return fmt.Errorf("create log group %q: %w", s.cfg.Group, err)
	}
	return s.createStream(ctx, d)
}

func (s *Sink) createStream(ctx context.Context, d *Destination) error {
	err := s.ask(ctx, d, "CreateLogStream",
		map[string]any{"logGroupName": s.cfg.Group, "logStreamName": s.cfg.Stream}, nil)
	if made(err) {
		return nil
	}
	return fmt.Errorf("create log stream %q in log group %q: %w", s.cfg.Stream, s.cfg.Group, err)
}

// made reports that a thing is there after an attempt to create it.
func made(err error) bool {
	var answer *apiError
	return err == nil || errors.As(err, &answer) && answer.is("ResourceAlreadyExistsException")
}

// find reports an error where the log stream is not there.
func (s *Sink) find(ctx context.Context, d *Destination) error {
	var found struct {
		LogStreams []struct {
			Name string `json:"logStreamName"`
		} `json:"logStreams"`
	}
	// The names come in order, so the stream itself is the first with its prefix.
	err := s.ask(ctx, d, "DescribeLogStreams", map[string]any{
		"logGroupName": s.cfg.Group, "logStreamNamePrefix": s.cfg.Stream, "limit": 1,
	}, &found)
	if err != nil {
		return fmt.Errorf("look for log stream %q in log group %q: %w", s.cfg.Stream, s.cfg.Group, err)
	}
	if len(found.LogStreams) == 0 || found.LogStreams[0].Name != s.cfg.Stream {
		return fmt.Errorf("log stream %q is not in log group %q, and awslogs-create-stream is false: "+
			"create the stream or allow its creation", s.cfg.Stream, s.cfg.Group)
	}
	return nil
}

// ask makes a small call; into takes the answer, unless it is nil.
func (s *Sink) ask(ctx context.Context, d *Destination, operation string, params map[string]any, into any) error {
	body, err := json.Marshal(params)
	if err != nil {
		return fmt.Errorf("encode %s: %w", operation, err)
	}
	sum := sha256.Sum256(body)
	reply, err := s.call(ctx, d, operation, io.NopCloser(bytes.NewReader(body)), int64(len(body)), hex.EncodeToString(sum[:]))
	if err != nil || into == nil {
		return err
	}
	if err := json.Unmarshal(reply, into); err != nil {
		return fmt.Errorf("read the answer to %s: %w", operation, err)
	}
	return nil
}

// quote is s as a JSON string.
func quote(s string) []byte {
	return append(jsontext.Repair.AppendString([]byte{'"'}, []byte(s)), '"')
}
