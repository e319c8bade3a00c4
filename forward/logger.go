package forward

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// LoggerOptions configure a Logger.
type LoggerOptions struct {
	// TagPrefix stands before every tag, with a dot between.
	TagPrefix string
	// PostTimeout limits the wait for room of a client in mode Block; without it,
	// Post waits as long as it takes.
	PostTimeout time.Duration
	// CloseTimeout limits the delivery of what is left in Close (10 s).
	CloseTimeout time.Duration
}

// Logger has the methods of fluent-logger-golang's Fluent, for programs that
// are written for it. It takes the same messages: maps with string keys, structs
// with the tags "msg" or "codec", msgp.Marshalers. What differs: times keep
// their nanoseconds always, Post returns ErrBufferFull instead of discarding what it took, and
// Close waits for delivery, and says what was not delivered.
type Logger struct {
	c *Client
	o LoggerOptions
}

// NewLogger makes a logger on a client, which Close closes.
func NewLogger(c *Client, o LoggerOptions) *Logger {
	set(&o.CloseTimeout, 10*time.Second)
	return &Logger{c, o}
}

// Post posts a message that happened now.
func (l *Logger) Post(tag string, message any) error {
	return l.PostWithTime(tag, time.Now(), message)
}

// PostWithTime posts a message that happened at t.
func (l *Logger) PostWithTime(tag string, t time.Time, message any) error {
	if l.o.TagPrefix != "" {
		tag = l.o.TagPrefix + "." + tag
	}
	return l.EncodeAndPostData(tag, t, message)
}

// EncodeAndPostData is PostWithTime under a tag to which no prefix is added, as it is
// there.
func (l *Logger) EncodeAndPostData(tag string, t time.Time, message any) error {
	ctx := context.Background()
	if l.o.PostTimeout > 0 {
		limited, cancel := context.WithTimeout(ctx, l.o.PostTimeout)
		defer cancel()
		ctx = limited
	}
	return l.c.Post(ctx, tag, t, message)
}

// Close delivers what is left, at most for CloseTimeout, and closes the client.
// The error is an *UndeliveredError if that was not enough. Closing twice does
// no harm.
func (l *Logger) Close() error {
	ctx, cancel := context.WithTimeoutCause(context.Background(), l.o.CloseTimeout, fmt.Errorf("not delivered within %v", l.o.CloseTimeout))
	defer cancel()
	if err := l.c.Close(ctx); !errors.Is(err, ErrClosed) || errors.As(err, new(*UndeliveredError)) {
		return err
	}
	return nil
}
