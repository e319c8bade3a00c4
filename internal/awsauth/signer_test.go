package awsauth

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// expectedSignature computes Signature Version 4 from its specification, for a POST to / without a query
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html).
func expectedSignature(r *http.Request, signedHeaders, payloadSHA256, secret, region string, at time.Time) string {
	canonical := "POST\n/\n\n"
	for _, name := range strings.Split(signedHeaders, ";") {
		value := r.Header.Get(name)
		switch name {
		case "host":
			value = r.URL.Host
		case "content-length":
			value = "5"
		}
		canonical += name + ":" + value + "\n"
	}
	canonical += "\n" + signedHeaders + "\n" + payloadSHA256
	day := at.UTC().Format("20060102")
	scope := day + "/" + region + "/logs/aws4_request"
	digest := sha256.Sum256([]byte(canonical))
	text := "AWS4-HMAC-SHA256\n" + at.UTC().Format("20060102T150405Z") + "\n" + scope + "\n" + hex.EncodeToString(digest[:])
	key := []byte("AWS4" + secret)
	for _, part := range []string{day, region, "logs", "aws4_request", text} {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(part))
		key = mac.Sum(nil)
	}
	return hex.EncodeToString(key)
}

func newRequest(t *testing.T) (*http.Request, string) {
	t.Helper()
	body := []byte("hello")
	r, err := http.NewRequest(http.MethodPost, "https://logs.eu-west-1.amazonaws.com/", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "Logs_20140328.PutLogEvents")
	digest := sha256.Sum256(body)
	return r, hex.EncodeToString(digest[:])
}

// TestSignature checks the signature against the specification, with a token and, on the same request, without.
func TestSignature(t *testing.T) {
	at := time.Date(2026, 11, 20, 23, 59, 59, 0, time.FixedZone("", 3600))
	r, hash := newRequest(t)
	for _, token := range []string{"token", ""} {
		creds := aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "secret", SessionToken: token}
		signer := NewSigner(staticProvider{creds: creds}, "eu-west-1")
		if err := signer.Sign(t.Context(), r, hash, at); err != nil {
			t.Fatal(err)
		}
		got := r.Header.Get("Authorization")
		rest, ok := strings.CutPrefix(got, "AWS4-HMAC-SHA256 Credential=AKID/20261120/eu-west-1/logs/aws4_request, SignedHeaders=")
		headers, signature, found := strings.Cut(rest, ", Signature=")
		if !ok || !found {
			t.Fatalf("Authorization %q", got)
		}
		names := strings.Split(headers, ";")
		for _, name := range []string{"host", "content-length", "content-type", "x-amz-date", "x-amz-target"} {
			if !slices.Contains(names, name) {
				t.Errorf("header %s is not signed: %s", name, headers)
			}
		}
		if slices.Contains(names, "x-amz-security-token") != (token != "") || r.Header.Get("X-Amz-Security-Token") != token {
			t.Errorf("token %q: signed headers %s, header %q", token, headers, r.Header.Get("X-Amz-Security-Token"))
		}
		if want := expectedSignature(r, headers, hash, "secret", "eu-west-1", at); signature != want {
			t.Errorf("signature %s, want %s", signature, want)
		}
	}
}

type staticProvider struct {
	creds aws.Credentials
	err   error
}

func (s staticProvider) Retrieve(context.Context) (aws.Credentials, error) { return s.creds, s.err }

func TestSignErrors(t *testing.T) {
	r, hash := newRequest(t)
	good := staticProvider{creds: aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "secret"}}
	for _, bad := range []string{"", hash[1:], hash[:62] + "zz"} {
		if err := NewSigner(good, "r").Sign(t.Context(), r, bad, time.Now()); err == nil || !strings.Contains(err.Error(), "64 hex digits") {
			t.Errorf("hash %q: %v", bad, err)
		}
	}
	isolate(t)
	provider, err := Provider(Options{})
	if err != nil {
		t.Fatal(err)
	}
	err = NewSigner(provider, "r").Sign(t.Context(), r, hash, time.Now())
	var failed *CredentialsError
	if !errors.As(err, &failed) || err.Error() != failed.Error() {
		t.Errorf("error %v, want the CredentialsError alone", err)
	}
	if r.Header.Get("Authorization") != "" {
		t.Error("a request was signed without credentials")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err = NewSigner(staticProvider{err: context.Canceled}, "r").Sign(ctx, r, hash, time.Now())
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that of the context", err)
	}
}

// TestInvalidate checks that the next signature is made with credentials fetched anew.
func TestInvalidate(t *testing.T) {
	isolate(t)
	server := serve(t, keys("k", time.Now().Add(time.Hour)))
	provider, err := Provider(Options{CredentialsEndpoint: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	signer := NewSigner(provider, "r")
	r, hash := newRequest(t)
	for _, want := range []int64{1, 1, 2} {
		if want == 2 {
			signer.Invalidate()
		}
		if err := signer.Sign(t.Context(), r, hash, time.Now()); err != nil {
			t.Fatal(err)
		}
		if got := server.asked.Load(); got != want {
			t.Errorf("asked %d times, want %d", got, want)
		}
	}
	NewSigner(staticProvider{}, "r").Invalidate() // Nothing is held, and nothing happens.
}

// BenchmarkSign gives the cost of a signature, which is paid once for each request.
func BenchmarkSign(b *testing.B) {
	signer := NewSigner(staticProvider{creds: aws.Credentials{AccessKeyID: "AKID", SecretAccessKey: "secret", SessionToken: "t"}}, "eu-west-1")
	r, err := http.NewRequest(http.MethodPost, "https://logs.eu-west-1.amazonaws.com/", strings.NewReader("hello"))
	if err != nil {
		b.Fatal(err)
	}
	hash := strings.Repeat("0", 64)
	at := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		if err := signer.Sign(b.Context(), r, hash, at); err != nil {
			b.Fatal(err)
		}
	}
}
