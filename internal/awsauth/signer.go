package awsauth

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// signedService is the name of CloudWatch Logs in a signature's credential scope.
const signedService = "logs"

// Signer signs requests to one service with Signature Version 4. It is safe for concurrent use.
type Signer struct {
	credentials aws.CredentialsProvider
	region      string
	service     string
	v4          *v4.Signer
}

// NewSigner signs for CloudWatch Logs in a region with what the provider gives.
func NewSigner(credentials aws.CredentialsProvider, region string) *Signer {
	return NewServiceSigner(credentials, region, signedService)
}

// NewServiceSigner does so for the service of that name in credential scopes, such as es.
func NewServiceSigner(credentials aws.CredentialsProvider, region, service string) *Signer {
	return &Signer{credentials: credentials, region: region, service: service, v4: v4.NewSigner()}
}

// Sign adds the headers Authorization, X-Amz-Date and, with temporary credentials, X-Amz-Security-Token. The payload's
// hash is the lower-case hex of its SHA-256. All other headers, the URL and ContentLength must be set before, and not
// be changed after; the service accepts the signature for about five minutes around the given time. A request may be
// signed again.
//
// The error is a [CredentialsError], that of the context, or that of a hash that is none.
func (s *Signer) Sign(ctx context.Context, request *http.Request, payloadSHA256 string, at time.Time) error {
	if _, err := hex.DecodeString(payloadSHA256); err != nil || len(payloadSHA256) != 64 {
		return fmt.Errorf("sign a request to %s: expected the payload's SHA-256 as 64 hex digits, found %d bytes of something else",
			request.URL.Host, len(payloadSHA256))
	}
	credentials, err := s.credentials.Retrieve(ctx)
	if err != nil {
		var failed *CredentialsError
		if errors.As(err, &failed) {
			return failed // Without the words of the SDK's cache, which add nothing.
		}
		return fmt.Errorf("get credentials to sign a request to %s: %w", request.URL.Host, err)
	}
	// A token of an earlier signature must not go out with keys that have none.
	request.Header.Del("X-Amz-Security-Token")
	if err := s.v4.SignHTTP(ctx, credentials, request, payloadSHA256, s.service, s.region, at); err != nil {
		return fmt.Errorf("sign a request to %s: %w", request.URL.Host, err)
	}
	return nil
}

// Invalidate forgets the credentials held, so that the next Sign fetches new ones. It is for an answer that says that
// they are expired or unknown (ExpiredTokenException, UnrecognizedClientException).
func (s *Signer) Invalidate() {
	if held, ok := s.credentials.(interface{ Invalidate() }); ok {
		held.Invalidate()
	}
}
