package awsauth

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

const (
	// expiryWindow is how long before their end credentials are fetched anew. Five minutes is what the SDK uses for
	// container endpoints; both ECS and EC2 offer the next set by then.
	expiryWindow = 5 * time.Minute

	// refreshPause is how long credentials that could not be renewed are used on before the next attempt.
	refreshPause = time.Minute

	endpointTimeout = 5 * time.Second
	metadataTimeout = 5 * time.Second

	// programTimeout leaves a profile time for a call to SSO and one to STS.
	programTimeout = 20 * time.Second
)

// Provider gives the credentials of the first of these places that is configured:
//
//  1. the credentials endpoint of the options, and then no other place;
//  2. AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN;
//  3. the endpoint of AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or AWS_CONTAINER_CREDENTIALS_FULL_URI;
//  4. the profile: of the options, and then no further place; else of AWS_PROFILE, web identity of the environment, or
//     the default profile of the user's files;
//  5. the instance metadata service, if the options and the environment permit it.
//
// Nothing is asked before the first Retrieve, so that a start waits for nothing, and each Retrieve looks at all places
// again, so that what an administrator repairs is found. The result keeps credentials until five minutes before their
// end (half of their life, if that is shorter than ten); it is an [aws.CredentialsCache], safe for concurrent use, which
// asks once for all who wait. When they cannot be renewed they are used to their end, with one attempt a minute; then
// the failure is returned. The error of a failed Retrieve holds a [CredentialsError].
//
// A Retrieve returns when its context ends. The fetch that it began goes on for those who wait after it, at most for the
// time limits of the places: 5 s for an endpoint and for metadata, 20 s for a profile.
//
// The error is that of an option that can never work, such as a plain-text endpoint on another host.
func Provider(o Options) (aws.CredentialsProvider, error) {
	if o.CredentialsEndpoint != "" {
		target, err := parseEndpointOption(o.CredentialsEndpoint)
		if err != nil {
			return nil, fmt.Errorf("awslogs-credentials-endpoint: %w", err)
		}
		return newCache(endpointPlace(o, target)), nil
	}
	profile, err := profilePlace(o)
	if err != nil {
		return nil, err
	}
	places := []place{environmentPlace(), containerPlace(o), profile}
	if !o.explicitProfile() {
		places = append(places, metadataPlace(o))
	}
	return newCache(places...), nil
}

// place is one of the places that may hold credentials.
type place struct {
	name    string
	timeout time.Duration
	fetch   func(context.Context) (aws.Credentials, error)
}

// ask fetches within the time limit of the place, and refuses an answer without usable keys.
func (p place) ask(ctx context.Context) (aws.Credentials, error) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	creds, err := p.fetch(ctx)
	switch {
	case err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded):
		return aws.Credentials{}, fmt.Errorf("no answer within %v", p.timeout)
	case err != nil:
		return aws.Credentials{}, err
	case !creds.HasKeys():
		return aws.Credentials{}, errors.New("the answer holds no access key")
	case creds.CanExpire && !time.Now().Before(creds.Expires):
		return aws.Credentials{}, fmt.Errorf("the credentials given ended at %s: refresh them, or set the clock right",
			creds.Expires.UTC().Format(time.RFC3339))
	}
	return creds, nil
}

// chain asks its places in order. The credentials it gives end early, so that the cache asks again while the old ones
// still work; until keeps their real end. The SDK cache's own window is not used, because it would make credentials
// with a short life expired on arrival, and fetch them for every request.
type chain struct {
	places []place

	mu    sync.Mutex
	until time.Time
}

func newCache(places ...place) *aws.CredentialsCache {
	return aws.NewCredentialsCache(&chain{places: places})
}

// Retrieve implements [aws.CredentialsProvider].
func (c *chain) Retrieve(ctx context.Context) (aws.Credentials, error) {
	var tried []Attempt
	for _, p := range c.places {
		creds, err := p.ask(ctx)
		if err == nil {
			return c.endEarly(creds), nil
		}
		tried = append(tried, Attempt{Place: p.name, Err: err})
		if !errors.Is(err, ErrNotConfigured) {
			break
		}
	}
	return aws.Credentials{}, &CredentialsError{Attempts: tried}
}

func (c *chain) endEarly(creds aws.Credentials) aws.Credentials {
	if !creds.CanExpire {
		return creds
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.until = creds.Expires
	creds.Expires = c.until.Add(-min(expiryWindow, time.Until(c.until)/2))
	return creds
}

// HandleFailToRefresh implements [aws.HandleFailRefreshCredentialsCacheStrategy]: credentials that have not ended yet
// stay in use. The failure is not lost, only late: it comes back when they end, or when the cache is invalidated.
func (c *chain) HandleFailToRefresh(_ context.Context, previous aws.Credentials, err error) (aws.Credentials, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	left := time.Until(c.until)
	if !previous.HasKeys() || left <= 0 {
		return aws.Credentials{}, err
	}
	previous.Expires = time.Now().Add(min(left, refreshPause))
	return previous, nil
}

// Attempt is one place and why it gave nothing.
type Attempt struct {
	Place string
	Err   error
}

// CredentialsError is the failure to get credentials: every place that was looked at, in order, and what it answered.
// No part of it is secret.
type CredentialsError struct {
	Attempts []Attempt
}

func (e *CredentialsError) Error() string {
	return "no AWS credentials: " + joinAttempts(e.Attempts) +
		"; give awslogs-credentials-endpoint (in a sink of spillway run credentials-endpoint), or credentials-file or profile under aws: in the node file, or an instance role with imds: true"
}

func joinAttempts(attempts []Attempt) string {
	parts := make([]string, len(attempts))
	for i, a := range attempts {
		parts[i] = a.Place + ": " + a.Err.Error()
	}
	return strings.Join(parts, "; ")
}

// environmentPlace reads the keys of the environment. Half a pair is an error and not an absent one: whoever set it
// meant this identity and no other.
func environmentPlace() place {
	fetch := func(context.Context) (aws.Credentials, error) {
		key, secret := os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY")
		switch {
		case key == "" && secret == "":
			return aws.Credentials{}, fmt.Errorf("%w: AWS_ACCESS_KEY_ID is not set", ErrNotConfigured)
		case key == "":
			return aws.Credentials{}, errors.New("AWS_SECRET_ACCESS_KEY is set and AWS_ACCESS_KEY_ID is not: set both or neither")
		case secret == "":
			return aws.Credentials{}, errors.New("AWS_ACCESS_KEY_ID is set and AWS_SECRET_ACCESS_KEY is not: set both or neither")
		}
		return aws.Credentials{
			AccessKeyID: key, SecretAccessKey: secret, SessionToken: os.Getenv("AWS_SESSION_TOKEN"), Source: "environment",
		}, nil
	}
	return place{name: "environment", timeout: time.Second, fetch: fetch}
}
