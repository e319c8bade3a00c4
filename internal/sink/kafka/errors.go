package kafka

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/spillway/spillway/internal/kafkaclient"
	"github.com/spillway/spillway/internal/ledger"
)

// finalReason says why a message can never be taken, or that it may be yet.
func finalReason(err error) (reason string, final bool) {
	switch {
	case errors.Is(err, kerr.MessageTooLarge), errors.Is(err, kerr.RecordListTooLarge):
		return string(ledger.RejectedTooLong), true
	case errors.Is(err, kerr.InvalidRecord), errors.Is(err, kerr.InvalidTimestamp), errors.Is(err, kerr.InvalidTopicException):
		return string(ledger.RejectedInvalid), true
	}
	return "", false
}

// refusedWhole reports that an error comes from a broker that has not taken the message.
func refusedWhole(err error) bool {
	for _, known := range []error{
		kerr.TopicAuthorizationFailed, kerr.ClusterAuthorizationFailed, kerr.UnknownTopicOrPartition, kerr.NotEnoughReplicas, kerr.PolicyViolation,
	} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

// needsAction reports whether somebody has to put something right.
func needsAction(err error) bool {
	return errors.Is(err, kerr.TopicAuthorizationFailed) || errors.Is(err, kerr.ClusterAuthorizationFailed) || errors.Is(err, kerr.UnknownTopicOrPartition) ||
		kafkaclient.NeedsAction(err)
}

// code is Kafka's number of an error, 0 where it is none of its own.
func code(err error) int {
	var known *kerr.Error
	if errors.As(err, &known) {
		return int(known.Code)
	}
	return 0
}

// connection knows why there is none that works, which the library tells the hooks alone
// while it tries again.
type connection struct {
	mu    sync.Mutex
	err   error
	since time.Time // since when there is none; what was connected and then closed is none

	produced atomic.Int64 // requests with messages that were written
}

// explain adds why there is no connection to what went wrong.
func (c *connection) explain(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return fmt.Errorf("%w (%w)", c.err, err)
	}
	return err
}

func (c *connection) written() int64 { return c.produced.Load() }

// away is why there has been no connection for patience, where nothing was written since
// so much was.
func (c *connection) away(written int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil || time.Since(c.since) < patience || c.written() != written {
		return nil
	}
	return c.err
}

// OnBrokerConnect implements kgo.HookBrokerConnect.
func (c *connection) OnBrokerConnect(meta kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	if err != nil {
		c.failed(kafkaclient.ConnectError(meta, err))
	}
}

// OnBrokerRead implements kgo.HookBrokerRead. Only an answer to a request says that a
// connection works: a broker that wants SASL and gets none answers which versions it speaks,
// and closes at the first request, again and again.
func (c *connection) OnBrokerRead(meta kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, err error) {
	switch {
	case kafkaclient.ClosedUnanswered(err):
		c.failed(kafkaclient.ClosedError(meta, err))
	case err == nil && !kafkaclient.OfHandshake(key):
		c.mu.Lock()
		defer c.mu.Unlock()
		c.err = nil
	}
}

func (c *connection) failed(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.since = time.Now()
	}
	c.err = err
}

// OnBrokerWrite implements kgo.HookBrokerWrite.
func (c *connection) OnBrokerWrite(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, _ error) {
	if key == int16(kmsg.Produce) {
		c.produced.Add(1)
	}
}
