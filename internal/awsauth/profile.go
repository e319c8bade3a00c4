package awsauth

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// ProfileSource answers for what the shared configuration, web identity and SSO say. An error that is ErrNotConfigured
// means that they say nothing; no error may hold a secret. The methods are called by one goroutine at a time, with a
// context that ends in at most 20 s.
type ProfileSource interface {
	Credentials(context.Context) (aws.Credentials, error)
	Region(context.Context) (string, error)
}

// explicitProfile tells whether the options name a profile or a file: then nothing may stand in for it.
func (o Options) explicitProfile() bool {
	return o.Profile != "" || o.CredentialsFile != ""
}

func profilePlace(o Options) (place, error) {
	source, err := profileSource(o)
	if err != nil {
		return place{}, err
	}
	fetch := func(ctx context.Context) (aws.Credentials, error) {
		if err := profileWanted(o); err != nil {
			return aws.Credentials{}, err
		}
		return source.Credentials(ctx)
	}
	return place{name: profileName(o), timeout: programTimeout, fetch: fetch}, nil
}

func profileRegion(ctx context.Context, o Options) (string, error) {
	if err := profileWanted(o); err != nil {
		return "", err
	}
	source, err := profileSource(o)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, programTimeout)
	defer cancel()
	return source.Region(ctx)
}

func profileSource(o Options) (ProfileSource, error) {
	if o.Profiles != nil {
		return o.Profiles, nil
	}
	return newProgram(o)
}

func profileName(o Options) string {
	switch {
	case o.Profile != "" && o.CredentialsFile != "":
		return fmt.Sprintf("profile %q of %s", o.Profile, o.CredentialsFile)
	case o.Profile != "":
		return fmt.Sprintf("profile %q", o.Profile)
	case o.CredentialsFile != "":
		return "credentials file " + o.CredentialsFile
	}
	return "profile"
}

// profileWanted looks for a sign that there is a profile to ask for. On most nodes there is none, and running a program
// for each container only to learn that would be waste.
func profileWanted(o Options) error {
	if o.explicitProfile() {
		return nil
	}
	for _, name := range []string{"AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE"} {
		if os.Getenv(name) != "" {
			return nil
		}
	}
	config, credentials, err := SharedFiles()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotConfigured, err)
	}
	for _, path := range []string{config, credentials} {
		// A file that is there but cannot be looked at is a sign as well: the error about it is worth having.
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			return nil
		}
	}
	return fmt.Errorf("%w: neither %s nor %s exists", ErrNotConfigured, config, credentials)
}

// SharedFiles gives the paths of the shared configuration and credentials files: AWS_CONFIG_FILE and
// AWS_SHARED_CREDENTIALS_FILE, else config and credentials in .aws of the user's home directory. The error is that of
// a user without a home directory; a path that needs none is given with it.
func SharedFiles() (config, credentials string, err error) {
	config, credentials = os.Getenv("AWS_CONFIG_FILE"), os.Getenv("AWS_SHARED_CREDENTIALS_FILE")
	if config != "" && credentials != "" {
		return config, credentials, nil
	}
	home, err := homeDir()
	if err != nil {
		return config, credentials, err
	}
	if config == "" {
		config = filepath.Join(home, ".aws", "config")
	}
	if credentials == "" {
		credentials = filepath.Join(home, ".aws", "credentials")
	}
	return config, credentials, nil
}

// homeDir is HOME, or the user database's answer where HOME is not set, as under containerd.
func homeDir() (string, error) {
	if home := os.Getenv("HOME"); home != "" {
		return home, nil
	}
	found, err := user.LookupId(strconv.Itoa(os.Getuid()))
	if err != nil {
		return "", fmt.Errorf("find the home directory of user %d: %w", os.Getuid(), err)
	}
	if found.HomeDir == "" {
		return "", fmt.Errorf("user %d has no home directory", os.Getuid())
	}
	return found.HomeDir, nil
}

func notConfigured(reason string) error {
	return fmt.Errorf("%w: %s", ErrNotConfigured, printable(reason))
}
