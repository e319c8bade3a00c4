// Package kafkaclient turns what a configuration says about a Kafka cluster into
// options of the library, for the source and the sink alike: brokers, TLS, SASL and
// the client's name. It says in words what a refused connection means.
//
// It connects to nobody, and knows neither topics nor groups.
package kafkaclient

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"syscall"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/aws"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/spillway/spillway/internal/tlserror"
)

// Mechanism is a way to show who one is.
type Mechanism string

// The mechanisms of SASL.
const (
	NoSASL      Mechanism = ""
	Plain       Mechanism = "PLAIN"
	ScramSHA256 Mechanism = "SCRAM-SHA-256"
	ScramSHA512 Mechanism = "SCRAM-SHA-512"
	OAuthBearer Mechanism = "OAUTHBEARER"
	AWSMSKIAM   Mechanism = "AWS_MSK_IAM"
)

// AWSKeys are credentials for AWS_MSK_IAM.
type AWSKeys struct{ AccessKey, SecretKey, SessionToken string }

// Options are what there is to know of a cluster and of this client.
type Options struct {
	// Brokers are addresses of which one at least must answer; they tell the others.
	Brokers  []string
	ClientID string
	// Software and Version are how the program presents itself to the brokers.
	Software, Version string
	// TLS is nil where connections are plain.
	TLS *tls.Config

	Mechanism Mechanism
	// User and Password are for PLAIN and SCRAM.
	User, Password string
	// Token gives a token for OAUTHBEARER each time one is needed; Extensions go with it.
	Token      func(context.Context) (string, error)
	Extensions map[string]string
	// Keys gives credentials for AWS_MSK_IAM each time they are needed.
	Keys func(context.Context) (AWSKeys, error)
}

// Library returns the options of the library.
func (o *Options) Library() ([]kgo.Opt, error) {
	opts := []kgo.Opt{kgo.SeedBrokers(o.Brokers...), kgo.ClientID(o.ClientID)}
	if o.Software != "" {
		opts = append(opts, kgo.SoftwareNameAndVersion(o.Software, o.Version))
	}
	if o.TLS != nil {
		opts = append(opts, kgo.DialTLSConfig(o.TLS))
	}
	m, err := o.mechanism()
	if err != nil {
		return nil, err
	}
	if m != nil {
		opts = append(opts, kgo.SASL(m))
	}
	return opts, nil
}

func (o *Options) mechanism() (sasl.Mechanism, error) {
	switch o.Mechanism {
	case NoSASL:
		return nil, nil
	case Plain:
		return plain.Auth{User: o.User, Pass: o.Password}.AsMechanism(), nil
	case ScramSHA256:
		return scram.Auth{User: o.User, Pass: o.Password}.AsSha256Mechanism(), nil
	case ScramSHA512:
		return scram.Auth{User: o.User, Pass: o.Password}.AsSha512Mechanism(), nil
	case OAuthBearer:
		return bearer{oauth.Oauth(func(ctx context.Context) (oauth.Auth, error) {
			token, err := o.Token(ctx)
			if err != nil {
				return oauth.Auth{}, fmt.Errorf("find a token for OAUTHBEARER: %w", err)
			}
			return oauth.Auth{Token: token, Extensions: o.Extensions}, nil
		})}, nil
	case AWSMSKIAM:
		return aws.ManagedStreamingIAM(func(ctx context.Context) (aws.Auth, error) {
			keys, err := o.Keys(ctx)
			if err != nil {
				return aws.Auth{}, fmt.Errorf("find credentials for AWS_MSK_IAM: %w", err)
			}
			return aws.Auth{AccessKey: keys.AccessKey, SecretKey: keys.SecretKey, SessionToken: keys.SessionToken, UserAgent: o.Software + "/" + o.Version}, nil
		}), nil
	}
	return nil, fmt.Errorf("found the SASL mechanism %q, expected PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER or AWS_MSK_IAM", o.Mechanism)
}

// bearer keeps what a broker says of a token that it does not take, which the library
// does not.
type bearer struct{ sasl.Mechanism }

// Authenticate implements sasl.Mechanism.
func (b bearer) Authenticate(ctx context.Context, host string) (sasl.Session, []byte, error) {
	session, first, err := b.Mechanism.Authenticate(ctx, host)
	return bearerSession{session}, first, err
}

type bearerSession struct{ sasl.Session }

// Challenge implements sasl.Session. What a broker answers to a token that it takes is
// empty; else it is JSON that says why not (RFC 7628, section 3.2.2).
func (b bearerSession) Challenge(answer []byte) (bool, []byte, error) {
	if len(answer) > 0 {
		return false, nil, &tokenError{string(answer[:min(len(answer), maxAnswer)])}
	}
	return b.Session.Challenge(answer)
}

// maxAnswer bounds what is told of a broker's words, in bytes.
const maxAnswer = 300

type tokenError struct{ answer string }

func (e *tokenError) Error() string {
	return fmt.Sprintf("the token is refused; have another one put into its place, a file is read again for each connection: the broker answers %q", e.answer)
}

// ConnectError says why there is no connection to a broker. What to do comes first:
// what is shown of it may be cut short.
func ConnectError(meta kgo.BrokerMetadata, err error) error {
	at := net.JoinHostPort(meta.Host, strconv.Itoa(int(meta.Port)))
	var eof *kgo.ErrFirstReadEOF
	switch {
	case errors.As(err, &eof):
		return advise("the broker %s closes each new connection: it expects TLS or SASL where none is configured, or not the one that is: %w", at, err)
	case errors.Is(err, kerr.SaslAuthenticationFailed):
		return advise("the broker %s refuses the user or the password: %w", at, err)
	case strings.Contains(err.Error(), "cannot determine the region in"): // The library has no type for it.
		return advise("the name of the broker %s does not say its region; set AWS_REGION in the environment: %w", at, err)
	case errors.Is(err, kerr.UnsupportedSaslMechanism):
		return advise("the broker %s does not take this SASL mechanism: %w", at, err)
	}
	if said := tlserror.Explain("the broker "+at, err); said != nil {
		return &advice{said}
	}
	if strings.Contains(err.Error(), "speaking to a tls endpoint") { // Nor for this.
		return advise("the broker %s speaks TLS at this port; set tls: true, or name its port without TLS: %w", at, err)
	}
	return fmt.Errorf("connect to the broker %s: %w", at, err)
}

// ClosedUnanswered reports that a connection was closed in place of an answer, of what was
// read from it.
func ClosedUnanswered(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET)
}

// ClosedError says what that means, where it goes on.
func ClosedError(meta kgo.BrokerMetadata, err error) error {
	at := net.JoinHostPort(meta.Host, strconv.Itoa(int(meta.Port)))
	return advise("the broker %s closes the connection in place of an answer: it expects SASL where none is configured, or it is about to end: %w", at, err)
}

// OfHandshake reports whether requests of this kind belong to making a connection.
func OfHandshake(key int16) bool {
	return key == int16(kmsg.ApiVersions) || key == int16(kmsg.SASLHandshake) || key == int16(kmsg.SASLAuthenticate)
}

// NeedsAction reports whether there is no connection before somebody puts something
// right: we are not let in as who we are, or do not trust the other side.
func NeedsAction(err error) bool {
	var token *tokenError
	return errors.As(err, &token) || errors.Is(err, kerr.SaslAuthenticationFailed) || errors.Is(err, kerr.UnsupportedSaslMechanism) ||
		tlserror.OfCertificate(err)
}

// GroupError says why a member is not in its group.
func GroupError(group string, err error) error {
	switch {
	case errors.Is(err, kerr.GroupAuthorizationFailed):
		return advise("this user may not join the group %q: grant Read on the group: %w", group, err)
	case errors.Is(err, kerr.FencedInstanceID):
		return advise("another member of the group %q has the same instance-id: give each process one of its own: %w", group, err)
	case errors.Is(err, kerr.InvalidSessionTimeout):
		return advise("the brokers do not take this session-timeout: see group.min.session.timeout.ms and group.max.session.timeout.ms of theirs: %w", err)
	case errors.Is(err, kerr.InconsistentGroupProtocol):
		return advise("the group %q has members that divide partitions in another way: stop those, or take another group: %w", group, err)
	}
	return fmt.Errorf("be a member of the group %q: %w", group, err)
}

// TopicError says why a topic cannot be used; need is what must be granted on it.
func TopicError(topic, need string, err error) error {
	switch {
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		return advise("the topic %q does not exist; create it, or correct the name: it is used as soon as it is there: %w", topic, err)
	case errors.Is(err, kerr.TopicAuthorizationFailed):
		return advise("this user may not use the topic %q: grant %s on it: %w", topic, need, err)
	}
	return fmt.Errorf("the topic %q: %w", topic, err)
}

// CommitError says why offsets of a group cannot be committed.
func CommitError(group string, err error) error {
	if errors.Is(err, kerr.GroupAuthorizationFailed) {
		return advise("commit offsets of the group %q: this user may not: grant Read on the group: %w", group, err)
	}
	return fmt.Errorf("commit offsets of the group %q: %w", group, err)
}

// advice is an error that says what to do.
type advice struct{ error }

// Unwrap gives what advice is given for.
func (a *advice) Unwrap() error { return a.error }

func advise(format string, args ...any) error { return &advice{fmt.Errorf(format, args...)} }

// Advises reports whether an error says what to do, and not just what a broker or a
// connection said: of two that have one cause it is the one to show.
func Advises(err error) bool {
	var a *advice
	return errors.As(err, &a)
}
