package kafka

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

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
		errors.Is(err, kerr.SaslAuthenticationFailed)
}

// code is Kafka's number of an error, 0 where it is none of its own.
func code(err error) int {
	var known *kerr.Error
	if errors.As(err, &known) {
		return int(known.Code)
	}
	return 0
}

// connection knows why there is none, which the library tells the hooks alone while it
// tries again.
type connection struct {
	mu  sync.Mutex
	err error
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

// OnBrokerConnect implements kgo.HookBrokerConnect.
func (c *connection) OnBrokerConnect(meta kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err = nil; err != nil {
		c.err = kafkaclient.ConnectError(meta, err)
	}
}
