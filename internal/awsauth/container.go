package awsauth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/endpointcreds"
)

// ecsHost is where the ECS agent gives tasks their credentials; Docker appends awslogs-credentials-endpoint to it
// (moby, daemon/logger/awslogs).
const ecsHost = "http://169.254.170.2"

// maxTokenBytes bounds an authorization token file. EKS pod identity tokens are about 1.5 KiB.
const maxTokenBytes = 64 << 10

// plainHosts are the addresses beyond loopback that may be asked without TLS: those on which ECS and EKS answer within
// the node. It is the list of the SDK's own resolver.
func plainHosts() []netip.Addr {
	return []netip.Addr{
		netip.AddrFrom4([4]byte{169, 254, 170, 2}),
		netip.AddrFrom4([4]byte{169, 254, 170, 23}),
		netip.MustParseAddr("fd00:ec2::23"),
	}
}

var errNoEndpoint = errors.New("expected a path that begins with /, or an http or https URL with a host")

// parseEndpointOption turns the option awslogs-credentials-endpoint into a URL.
func parseEndpointOption(option string) (*url.URL, error) {
	if strings.HasPrefix(option, "/") {
		return parseEndpoint(ecsHost + option)
	}
	return parseEndpoint(option)
}

// parseEndpoint checks the URL of a credentials endpoint. Its errors never show the path, which is as good as a
// credential on ECS. A host name is not resolved, because that could wait for a name server: only localhost counts as
// loopback.
func parseEndpoint(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		// The parser's own words quote pieces of the URL, and a piece may be a password.
		return nil, errNoEndpoint
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" {
		return nil, errNoEndpoint
	}
	if u.Scheme == "http" && !plainAllowed(u.Hostname()) {
		return nil, fmt.Errorf("%s would send credentials in plain text: use https, or one of the hosts localhost, 127.0.0.1, [::1], 169.254.170.2 (ECS), 169.254.170.23 and [fd00:ec2::23] (EKS)", u.Scheme+"://"+u.Host)
	}
	return u, nil
}

func plainAllowed(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	addr = addr.Unmap()
	if addr.IsLoopback() {
		return true
	}
	for _, allowed := range plainHosts() {
		if addr == allowed {
			return true
		}
	}
	return false
}

// endpointPlace asks the endpoint of the option. No authorization token goes with it: the tokens of the environment
// belong to the endpoint of the environment.
func endpointPlace(o Options, target *url.URL) place {
	fetch := func(ctx context.Context) (aws.Credentials, error) {
		return askEndpoint(ctx, o, target, "")
	}
	return place{name: "credentials endpoint " + target.Scheme + "://" + target.Host, timeout: endpointTimeout, fetch: fetch}
}

// containerPlace asks the endpoint that ECS, EKS and Greengrass name in the environment of a container.
func containerPlace(o Options) place {
	fetch := func(ctx context.Context) (aws.Credentials, error) {
		target, err := containerEndpoint()
		if err != nil {
			return aws.Credentials{}, err
		}
		token, err := containerToken()
		if err != nil {
			return aws.Credentials{}, err
		}
		creds, err := askEndpoint(ctx, o, target, token)
		if err != nil {
			return aws.Credentials{}, fmt.Errorf("%s: %w", target.Scheme+"://"+target.Host, err)
		}
		return creds, nil
	}
	return place{name: "container credentials", timeout: endpointTimeout, fetch: fetch}
}

func containerEndpoint() (*url.URL, error) {
	const relative, full = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"
	name, text := relative, os.Getenv(relative)
	switch {
	case strings.HasPrefix(text, "/"):
		text = ecsHost + text
	case text != "":
		return nil, fmt.Errorf("%s: expected a path that begins with /", relative)
	default:
		name, text = full, os.Getenv(full)
		if text == "" {
			return nil, fmt.Errorf("%w: neither %s nor %s is set", ErrNotConfigured, relative, full)
		}
	}
	u, err := parseEndpoint(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return u, nil
}

// containerToken reads the authorization token. The file is read for every fetch, because EKS replaces it; the line end
// that editors leave is removed, since no header may hold one.
func containerToken() (string, error) {
	path := os.Getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
	if path == "" {
		return os.Getenv("AWS_CONTAINER_AUTHORIZATION_TOKEN"), nil
	}
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("open the file of AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: %w", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxTokenBytes+1))
	if err != nil {
		return "", fmt.Errorf("read the file of AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: %w", err)
	}
	token := strings.TrimRight(string(text), "\r\n")
	if len(text) > maxTokenBytes || token == "" || strings.ContainsAny(token, "\r\n") {
		return "", fmt.Errorf("read the file of AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: expected one line of at most %d bytes in %s", maxTokenBytes, path)
	}
	return token, nil
}

// askEndpoint makes one request, and keeps the token and the path out of what the answer says of them.
func askEndpoint(ctx context.Context, o Options, target *url.URL, token string) (aws.Credentials, error) {
	client, err := newNodeClient(o, target.Scheme)
	if err != nil {
		return aws.Credentials{}, err
	}
	client.wantObject = true
	provider := endpointcreds.New(target.String(), func(e *endpointcreds.Options) {
		e.HTTPClient = client
		e.Retryer = aws.NopRetryer{}
		e.AuthorizationToken = token
	})
	creds, err := provider.Retrieve(ctx)
	if err != nil {
		return aws.Credentials{}, Explain(err, token, target.RequestURI(), target.Path)
	}
	creds.Source = "credentials endpoint " + target.Host
	return creds, nil
}
