// Package awsauth finds the AWS credentials, the region and the endpoint of the logs service, builds the HTTP client
// that reaches it, and signs requests.
//
// It is linked into the containerd logger, of which a node runs one for every container, so it takes only the light
// parts of the SDK: the signer, and the providers for container endpoints and for instance metadata. Profiles, SSO, web
// identity and assumed roles need the SDK's configuration module; a logger gets them by running
// `spillway aws-credentials`, and the spillway program itself by package awsprofile, which fills [Options.Profiles].
//
// It refuses to send a request for credentials in plain text to a host beyond the node, and it never retries: a fetch
// that failed is an error, and when to ask again is for the caller to decide.
//
// The callers are the CloudWatch Logs sink, and the two commands that assemble it.
package awsauth

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
)

// ErrNotConfigured says that a place holds no credentials, or no region, because nobody put any there. It sends the
// search on to the next place; every other error ends it, because falling through from a broken source to another
// identity would hide the fault and could write to another account.
var ErrNotConfigured = errors.New("not configured")

// Options says where credentials and the region may come from, and how to reach AWS. The zero value asks the
// environment, the container variables and the default profile, and no instance metadata. It is not changed by this
// package and may be used for several calls.
type Options struct {
	// CredentialsEndpoint is the option awslogs-credentials-endpoint: a path on the ECS credentials host
	// (http://169.254.170.2), as Docker takes it, or a whole http or https URL. If it is set nothing else is asked.
	CredentialsEndpoint string `json:"-"`

	// CredentialsFile and Profile name a shared credentials file and a profile. If either is set the search ends there.
	CredentialsFile string
	Profile         string

	// IMDS permits asking the instance metadata service. AWS_EC2_METADATA_DISABLED=true forbids it all the same.
	IMDS bool

	// Proxy is the URL of the proxy for requests to AWS; empty means that of the environment. Loopback and link-local
	// hosts are never reached through a proxy: they are this node, which a proxy cannot be.
	Proxy string `json:"-"`

	// CAFile is a PEM file of authorities to trust beside the system's; empty means that of AWS_CA_BUNDLE, which replaces
	// them.
	CAFile string

	// Region is the option awslogs-region.
	Region string

	// HTTPClient asks for credentials and metadata; nil means one without proxy, redirects and idle connections.
	HTTPClient *http.Client `json:"-"`

	// ProgramPath is the spillway program that is run for profiles; empty means "spillway" beside the running program.
	ProgramPath string

	// Profiles answers for profiles within this process; nil means running ProgramPath.
	Profiles ProfileSource `json:"-"`

	// MaxInFlight is how many idle connections the client for the logs service keeps: one for each request that may be
	// in flight. 0 means 2.
	MaxInFlight int

	// WriteBuffer is the bytes of each connection's write buffer; 0 means 4096.
	WriteBuffer int
}

// Format prints the options without what is secret in them: a proxy's password, and the path of a credentials endpoint,
// which on ECS is all that a process on the node needs to get a task's credentials.
func (o Options) Format(f fmt.State, _ rune) {
	endpoint := ""
	if o.CredentialsEndpoint != "" {
		endpoint = "set"
	}
	fmt.Fprintf(f, "{credentials-endpoint:%s credentials-file:%s profile:%s imds:%t proxy:%s ca-file:%s region:%s program:%s}",
		endpoint, o.CredentialsFile, o.Profile, o.IMDS, shownURL(o.Proxy), o.CAFile, o.Region, o.ProgramPath)
}

// metadataOff gives the reason why instance metadata must not be asked, or nil if it may.
func (o Options) metadataOff() error {
	if !o.IMDS {
		return fmt.Errorf("%w: turned off by imds: false", ErrNotConfigured)
	}
	if strings.EqualFold(os.Getenv("AWS_EC2_METADATA_DISABLED"), "true") {
		return fmt.Errorf("%w: turned off by AWS_EC2_METADATA_DISABLED", ErrNotConfigured)
	}
	return nil
}

// shownURL gives the scheme and the host of a URL, which are all that a message may show of it.
func shownURL(text string) string {
	if text == "" {
		return ""
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return "(not a URL)"
	}
	return u.Scheme + "://" + u.Host
}
