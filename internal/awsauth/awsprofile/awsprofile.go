// Package awsprofile gets AWS credentials and the region from where only the SDK's configuration module can: profiles,
// SSO, web identity, assumed roles and credential processes.
//
// It is linked into the spillway program alone. `spillway exec` uses it directly; the containerd logger, which must stay
// small, runs `spillway aws-credentials`, which is [WriteProcessCredentials]. It adds no order of its own: which place
// is asked when is the business of package awsauth, in both programs the same.
//
// It refuses to retry, and to ask the instance metadata service where that is turned off.
package awsprofile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/spillway/spillway/internal/awsauth"
)

// processTimeout is shorter than the logger waits for its program, so that the reason still reaches it.
const processTimeout = 15 * time.Second

// Provider is [awsauth.Provider] with profiles answered within this process.
func Provider(o awsauth.Options) (aws.CredentialsProvider, error) {
	o.Profiles = profiles{o}
	return awsauth.Provider(o)
}

// Region is [awsauth.Region] with profiles answered within this process.
func Region(ctx context.Context, o awsauth.Options) (string, error) {
	o.Profiles = profiles{o}
	return awsauth.Region(ctx, o)
}

// WriteProcessCredentials writes the profile's credentials and region to w as one line of JSON, an
// [awsauth.ProcessDocument]. Without credentials it writes an object that says why and returns the error as well, with
// which the command ends with status 1. It takes at most 15 s, or until the context ends.
func WriteProcessCredentials(ctx context.Context, w io.Writer, o awsauth.Options) error {
	ctx, cancel := context.WithTimeout(ctx, processTimeout)
	defer cancel()
	creds, region, err := profiles{o}.retrieve(ctx)
	document := awsauth.NewProcessDocument(creds, region, err)
	if failed := json.NewEncoder(w).Encode(document); failed != nil {
		return errors.Join(err, fmt.Errorf("write the credentials: %w", failed))
	}
	return err
}

// profiles is the [awsauth.ProfileSource] of this process. It loads the configuration for every fetch: the SDK keeps
// credentials in the loaded one until their very end, and a file may have been changed.
type profiles struct {
	o awsauth.Options
}

// Credentials implements [awsauth.ProfileSource].
func (p profiles) Credentials(ctx context.Context) (aws.Credentials, error) {
	creds, _, err := p.retrieve(ctx)
	return creds, err
}

// Region implements [awsauth.ProfileSource].
func (p profiles) Region(ctx context.Context) (string, error) {
	config, err := load(ctx, p.o)
	if err != nil {
		return "", err
	}
	if config.Region == "" {
		return "", fmt.Errorf("%w: it names no region", awsauth.ErrNotConfigured)
	}
	return config.Region, nil
}

// retrieve gives the region even where there are no credentials.
func (p profiles) retrieve(ctx context.Context) (aws.Credentials, string, error) {
	config, err := load(ctx, p.o)
	if err != nil {
		return aws.Credentials{}, "", err
	}
	if onlyMetadata(config.Credentials) {
		return aws.Credentials{}, config.Region, fmt.Errorf("%w: it holds no credentials", awsauth.ErrNotConfigured)
	}
	creds, err := config.Credentials.Retrieve(ctx)
	if err != nil {
		return aws.Credentials{}, config.Region, describe(err)
	}
	if !creds.HasKeys() {
		return aws.Credentials{}, config.Region, errors.New("it gave no access key")
	}
	creds.Source = "profile"
	return creds, config.Region, nil
}

// onlyMetadata tells that the SDK found nothing in its configuration and would ask the instance metadata service, which
// is another place than a profile. A profile that names the service as the source of an assumed role has more sources.
func onlyMetadata(provider aws.CredentialsProvider) bool {
	named, ok := provider.(aws.CredentialProviderSource)
	if !ok {
		return false
	}
	sources := named.ProviderSources()
	return len(sources) == 1 && sources[0] == aws.CredentialSourceIMDS
}
