package awsprofile

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/processcreds"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/logging"

	"github.com/spillway/spillway/internal/awsauth"
)

// files are the shared files that apply. They are found anew for every load; the SDK finds its own once, when the
// program starts. A path is empty for a user without a home directory.
type files struct {
	config, credentials string
}

// load reads the shared configuration. It asks nothing of the network.
func load(ctx context.Context, o awsauth.Options) (aws.Config, error) {
	from, err := findFiles(o)
	if err != nil {
		return aws.Config{}, err
	}
	options, err := loadOptions(o, from)
	if err != nil {
		return aws.Config{}, err
	}
	loaded, err := config.LoadDefaultConfig(ctx, options...)
	var absent config.SharedConfigProfileNotExistError
	if errors.As(err, &absent) {
		return aws.Config{}, fmt.Errorf("neither %s nor %s has a profile %q", from.credentials, from.config, absent.Profile)
	}
	if err != nil {
		return aws.Config{}, describe(err)
	}
	return loaded, nil
}

// findFiles refuses files that the SDK would silently take as empty: one that is there and cannot be read, and one that
// was named and is not there.
func findFiles(o awsauth.Options) (files, error) {
	var from files
	var err error
	from.config, from.credentials, err = awsauth.SharedFiles()
	if o.CredentialsFile != "" {
		from.credentials, err = o.CredentialsFile, nil
		if err := checkFile(o.CredentialsFile); err != nil {
			return files{}, fmt.Errorf("aws: credentials-file: %w", err)
		}
	}
	if err != nil {
		return files{}, err
	}
	for _, path := range []string{from.config, from.credentials} {
		if err := checkFile(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return files{}, fmt.Errorf("shared AWS configuration: %w", err)
		}
	}
	return from, nil
}

func checkFile(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	return file.Close()
}

func loadOptions(o awsauth.Options, from files) ([]func(*config.LoadOptions) error, error) {
	client, authorities, err := newClient(o)
	if err != nil {
		return nil, err
	}
	options := []func(*config.LoadOptions) error{
		config.WithRetryer(func() aws.Retryer { return aws.NopRetryer{} }),
		config.WithHTTPClient(client),
		config.WithLogger(logging.Nop{}),
		// The mode auto of AWS_DEFAULTS_MODE would ask the instance metadata service at once.
		config.WithDefaultsMode(aws.DefaultsModeLegacy),
		config.WithSharedConfigFiles([]string{from.config}),
		config.WithSharedCredentialsFiles([]string{from.credentials}),
		config.WithProcessCredentialOptions(func(p *processcreds.Options) { p.Timeout = processTimeout }),
	}
	if o.Region != "" {
		options = append(options, config.WithRegion(o.Region))
	}
	if name := profileName(o); name != "" {
		options = append(options, config.WithSharedConfigProfile(name))
	}
	if !o.IMDS {
		options = append(options, config.WithEC2IMDSClientEnableState(imds.ClientDisabled))
	}
	if authorities != nil {
		options = append(options, config.WithCustomCABundle(bytes.NewReader(authorities)))
	}
	return options, nil
}

// newClient makes the client, and reads the authorities of ca-file, if it is set: the SDK adds them to those that the
// client has, and passes over AWS_CA_BUNDLE then.
func newClient(o awsauth.Options) (client *awshttp.BuildableClient, authorities []byte, err error) {
	proxy, err := awsauth.ProxyFunc(o.Proxy)
	if err != nil {
		return nil, nil, err
	}
	client = awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) { t.Proxy = proxy })
	if o.CAFile == "" {
		return client, nil, nil
	}
	if authorities, err = os.ReadFile(o.CAFile); err != nil {
		return nil, nil, fmt.Errorf("aws: ca-file: read the authorities: %w", err)
	}
	system, err := x509.SystemCertPool()
	if err != nil {
		return nil, nil, fmt.Errorf("aws: read the system's authorities, which ca-file adds to: %w", err)
	}
	return client.WithTransportOptions(func(t *http.Transport) { t.TLSClientConfig.RootCAs = system }), authorities, nil
}

// profileName is the profile that is asked for by name, if one is. A file that is asked for needs a name as well: only
// with one the SDK passes over the web identity of the environment, and says if the profile is not there.
func profileName(o awsauth.Options) string {
	if o.Profile != "" || o.CredentialsFile == "" {
		return o.Profile
	}
	for _, name := range []string{"AWS_PROFILE", "AWS_DEFAULT_PROFILE"} {
		if value := os.Getenv(name); value != "" {
			return value
		}
	}
	return config.DefaultSharedConfigProfile
}

// describe says what failed without anything secret. The SDK's error about a credential process quotes what that
// printed, and what it printed may be keys.
func describe(err error) error {
	var (
		process   *processcreds.ProviderError
		ended     *exec.ExitError
		operation *smithy.OperationError
	)
	switch {
	case errors.As(err, &process) && errors.As(err, &ended):
		return fmt.Errorf("the profile's credential_process failed (%s): run it by hand to see why", ended.ProcessState)
	case errors.As(err, &process):
		return errors.New("the profile's credential_process gave no object with Version 1, AccessKeyId and SecretAccessKey: run it by hand to see why")
	case errors.As(err, &operation):
		return fmt.Errorf("%s %s: %w", operation.ServiceID, operation.OperationName, awsauth.Explain(err))
	}
	return awsauth.Explain(err)
}
