package elasticsearch

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/spillway/spillway/internal/awsauth"
	"github.com/spillway/spillway/internal/sink"
)

type awsKeys struct{}

// Retrieve implements aws.CredentialsProvider.
func (awsKeys) Retrieve(context.Context) (aws.Credentials, error) {
	return aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "secret", SessionToken: "token"}, nil
}

var authorization = regexp.MustCompile(`^AWS4-HMAC-SHA256 Credential=AKID/([0-9]{8})/eu-west-1/(\w+)/aws4_request, SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})$`)

// signature is what a request must carry, worked out of what arrived by the specification alone
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html).
func signature(r *http.Request, body []byte, day, service string, headers []string) string {
	var path []string
	for _, segment := range strings.Split(r.URL.EscapedPath(), "/") {
		path = append(path, strings.ReplaceAll(url.QueryEscape(segment), "+", "%20")) // Once more, but for S3.
	}
	var query []string
	for name, values := range r.URL.Query() {
		for _, v := range values {
			query = append(query, strings.ReplaceAll(url.QueryEscape(name)+"="+url.QueryEscape(v), "+", "%20"))
		}
	}
	slices.Sort(query)
	canonical := r.Method + "\n" + strings.Join(path, "/") + "\n" + strings.Join(query, "&") + "\n"
	for _, name := range headers {
		value := strings.Join(r.Header.Values(name), ",")
		switch name {
		case "host":
			value = r.Host
		case "content-length":
			value = fmt.Sprint(r.ContentLength)
		}
		canonical += name + ":" + strings.TrimSpace(value) + "\n"
	}
	sum := sha256.Sum256(body)
	canonical += "\n" + strings.Join(headers, ";") + "\n" + hex.EncodeToString(sum[:])
	digest := sha256.Sum256([]byte(canonical))
	text := "AWS4-HMAC-SHA256\n" + r.Header.Get("X-Amz-Date") + "\n" + day + "/eu-west-1/" + service + "/aws4_request\n" + hex.EncodeToString(digest[:])
	key := []byte("AWS4secret")
	for _, part := range []string{day, "eu-west-1", service, "aws4_request", text} {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(part))
		key = mac.Sum(nil)
	}
	return hex.EncodeToString(key)
}

// What arrives carries the signature that AWS would work out of it: bulk requests of every
// size, compressed or not, and those that put templates, whatever their names.
func TestSignaturesThatArrive(t *testing.T) {
	for _, service := range []string{"es", "aoss"} {
		for _, compressed := range []bool{false, true} {
			t.Run(fmt.Sprint(service, compressed), func(t *testing.T) {
				var calls []string
				host := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					body, err := io.ReadAll(r.Body)
					if err != nil {
						t.Error(err)
					}
					calls = append(calls, r.Method)
					got := authorization.FindStringSubmatch(r.Header.Get("Authorization"))
					if got == nil || got[2] != service {
						t.Errorf("%s %s is signed %q", r.Method, r.URL, r.Header.Get("Authorization"))
						return
					}
					headers := strings.Split(got[3], ";")
					if want := signature(r, body, got[1], service, headers); got[4] != want {
						t.Errorf("%s %s with %d bytes, signed headers %v: the signature is %s, expected %s", r.Method, r.URL, len(body), headers, got[4], want)
					}
					for _, name := range []string{"host", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256"} {
						if !slices.Contains(headers, name) {
							t.Errorf("the header %s of %s is not signed", name, r.Method)
						}
					}
					w.WriteHeader(map[string]int{http.MethodGet: 404, http.MethodHead: 404, http.MethodPut: 200, http.MethodPost: 429}[r.Method])
				}))
				defer host.Close()
				made := sinkTo(t, &server{Server: host}, func(o *Options) {
					o.Gzip = compressed
					o.Setup.Templates, o.Setup.Alias = []Document{{Name: "a b/ä*", Body: []byte("{}")}}, "logs"
					o.Signer = func(context.Context) (Signer, error) {
						return awsauth.NewServiceSigner(awsKeys{}, "eu-west-1", service), nil
					}
				})
				for _, n := range []int{1, 5000} {
					if out := made.Send(t.Context(), lines(n)); out.Verdict != sink.Retry || !out.Throttled {
						t.Errorf("%+v", out)
					}
				}
				if got := strings.Join(calls, " "); got != "GET PUT HEAD PUT POST POST" {
					t.Errorf("the calls are %s", got)
				}
			})
		}
	}
}
