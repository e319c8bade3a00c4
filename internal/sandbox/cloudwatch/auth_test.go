package cloudwatch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// TestAuthorizationForm checks what is asked of every request.
func TestAuthorizationForm(t *testing.T) {
	set := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	cases := map[string]struct {
		change func(*http.Request)
		kind   string
	}{
		"as it should be":            {func(*http.Request) {}, ""},
		"unsigned":                   {func(r *http.Request) { r.Header.Del("Authorization") }, "UnrecognizedClientException"},
		"another algorithm":          {set("Authorization", "Bearer x"), "IncompleteSignatureException"},
		"another service":            {set("Authorization", strings.Replace(signedForm, "/logs/", "/s3/", 1)), "IncompleteSignatureException"},
		"short signature":            {set("Authorization", signedForm[:len(signedForm)-1]), "IncompleteSignatureException"},
		"host not signed":            {set("Authorization", strings.Replace(signedForm, "host;", "", 1)), "IncompleteSignatureException"},
		"no date":                    {func(r *http.Request) { r.Header.Del("X-Amz-Date") }, "IncompleteSignatureException"},
		"payload hash that is none":  {set("X-Amz-Content-Sha256", "abc"), "InvalidSignatureException"},
		"payload hash of right form": {set("X-Amz-Content-Sha256", strings.Repeat("0", 64)), ""},
		"content type":               {set("Content-Type", "application/json"), "SerializationException"},
		"unknown operation":          {set("X-Amz-Target", targetPrefix+"PutLogs"), "UnknownOperationException"},
		"unknown target":             {set("X-Amz-Target", "PutLogEvents"), "UnknownOperationException"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := newStream(t, Options{})
			if got := call(s, "PutLogEvents", put(line{0, "1"}), c.change); got.Type != c.kind {
				t.Errorf("answer %d %s: %s, want %q", got.Status, got.Type, got.Message, c.kind)
			}
		})
	}
}

// TestVerifyPayload signs with the AWS SDK and changes things after signing.
func TestVerifyPayload(t *testing.T) {
	s := newServer(t, Options{VerifyPayload: true, Keys: map[string]string{"OTHER": "other secret"}})
	body := `{"logGroupName":"g"}`
	sum := sha256.Sum256([]byte(body))
	hash := hex.EncodeToString(sum[:])
	sign := func(key, secret, token string, header bool) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Del("Authorization")
			r.Header.Add("X-Twice", "  a   b ")
			r.Header.Add("X-Twice", "c")
			if header {
				r.Header.Set("X-Amz-Content-Sha256", hash)
			}
			creds := aws.Credentials{AccessKeyID: key, SecretAccessKey: secret, SessionToken: token}
			must(t, v4.NewSigner().SignHTTP(context.Background(), creds, r, hash, "logs", "eu-west-3", now))
		}
	}
	good := sign(AccessKeyID, SecretAccessKey, SessionToken, false)
	cases := []struct {
		name   string
		change []func(*http.Request)
		body   string
		kind   string
	}{
		{"right", []func(*http.Request){good}, body, ""},
		{"right, with the hash as a header", []func(*http.Request){sign(AccessKeyID, SecretAccessKey, "", true)}, body, "ResourceAlreadyExistsException"},
		{"another key of the options", []func(*http.Request){sign("OTHER", "other secret", "", false)}, body, "ResourceAlreadyExistsException"},
		{"unknown key", []func(*http.Request){sign("UNKNOWN", "x", "", false)}, body, "UnrecognizedClientException"},
		{"wrong secret", []func(*http.Request){sign(AccessKeyID, "x", "", false)}, body, "InvalidSignatureException"},
		{"other body", []func(*http.Request){good}, `{"logGroupName":"h"}`, "InvalidSignatureException"},
		{"other body than the header says", []func(*http.Request){sign(AccessKeyID, SecretAccessKey, "", true)}, `{"logGroupName":"h"}`, "InvalidSignatureException"},
		{"header changed", []func(*http.Request){good, func(r *http.Request) { r.Header.Set("X-Amz-Security-Token", "x") }}, body, "InvalidSignatureException"},
	}
	for _, c := range cases {
		if got := call(s, "CreateLogGroup", c.body, c.change...); got.Type != c.kind {
			t.Errorf("%s: answer %d %s: %s, want %q", c.name, got.Status, got.Type, got.Message, c.kind)
		}
	}
}
