package cloudwatch

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// The credentials that GET /credentials hands out.
const (
	AccessKeyID     = "AKIASANDBOXEXAMPLE00"
	SecretAccessKey = "sandbox/secret/not/for/any/real/account0"
	SessionToken    = "sandbox-session-token"
)

const algorithm = "AWS4-HMAC-SHA256"

// authorization is a parsed Authorization header of Signature Version 4, as "Create a signed AWS API request" in the
// IAM user guide describes it.
type authorization struct {
	key, date, region string
	signed            []string
	signature         string
}

// authenticate checks that a request has the form of a signed one, and with verify that it was signed rightly.
func (s *Server) authenticate(r *http.Request, body []byte) *apiError {
	header := r.Header.Get("Authorization")
	if header == "" {
		return unrecognizedClient()
	}
	a, ok := parseAuthorization(header)
	if !ok || r.Header.Get("X-Amz-Date") == "" || !slices.Contains(a.signed, "host") {
		return refuse("IncompleteSignatureException",
			"Authorization header requires Credential, SignedHeaders with host, and Signature; X-Amz-Date is required, too.")
	}
	claimed := r.Header.Get("X-Amz-Content-Sha256")
	if claimed != "" && claimed != "UNSIGNED-PAYLOAD" && !isHex(claimed, sha256.Size) {
		return badSignature("The provided 'x-amz-content-sha256' header must be a valid SHA256.")
	}
	if !s.verify {
		return nil
	}
	sum := sha256.Sum256(body)
	hash := hex.EncodeToString(sum[:])
	if claimed == "UNSIGNED-PAYLOAD" {
		hash = claimed
	}
	if claimed != "" && claimed != hash {
		return badSignature("The provided 'x-amz-content-sha256' header does not match what was computed.")
	}
	secret, known := s.keys[a.key]
	if !known {
		return unrecognizedClient()
	}
	if subtle.ConstantTimeCompare([]byte(a.sign(r, hash, secret)), []byte(a.signature)) == 0 {
		return badSignature("The request signature we calculated does not match the signature you provided. " +
			"Check your AWS Secret Access Key and signing method.")
	}
	return nil
}

func badSignature(message string) *apiError {
	return refuse("InvalidSignatureException", message)
}

func parseAuthorization(header string) (a authorization, ok bool) {
	rest, ok := strings.CutPrefix(header, algorithm+" ")
	if !ok {
		return a, false
	}
	for part := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch name {
		case "Credential":
			scope := strings.Split(value, "/")
			if len(scope) != 5 || scope[0] == "" || scope[3] != "logs" || scope[4] != "aws4_request" {
				return a, false
			}
			a.key, a.date, a.region = scope[0], scope[1], scope[2]
		case "SignedHeaders":
			a.signed = strings.Split(value, ";")
		case "Signature":
			a.signature = value
		}
	}
	return a, a.key != "" && len(a.signed) > 0 && isHex(a.signature, sha256.Size)
}

func isHex(s string, size int) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == size
}

// sign computes the signature that the request should carry.
func (a *authorization) sign(r *http.Request, payloadHash, secret string) string {
	var c strings.Builder
	path := r.URL.EscapedPath()
	if path == "" {
		path = "/"
	}
	// Query parameters sorted by name; AWS wants %20 where net/url writes a plus.
	query := strings.ReplaceAll(r.URL.Query().Encode(), "+", "%20")
	c.WriteString(r.Method + "\n" + path + "\n" + query + "\n")
	for _, name := range a.signed {
		c.WriteString(name + ":" + canonicalHeader(r, name) + "\n")
	}
	c.WriteString("\n" + strings.Join(a.signed, ";") + "\n" + payloadHash)
	request := sha256.Sum256([]byte(c.String()))
	scope := a.date + "/" + a.region + "/logs/aws4_request"
	toSign := algorithm + "\n" + r.Header.Get("X-Amz-Date") + "\n" + scope + "\n" + hex.EncodeToString(request[:])
	key := []byte("AWS4" + secret)
	for _, part := range []string{a.date, a.region, "logs", "aws4_request", toSign} {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(part)) // A hash's Write returns no error.
		key = mac.Sum(nil)
	}
	return hex.EncodeToString(key)
}

// canonicalHeader is a header's values, trimmed, inner spaces made one, joined by commas. net/http moves two of them
// out of the header map.
func canonicalHeader(r *http.Request, name string) string {
	switch name {
	case "host":
		return r.Host
	case "content-length":
		return strconv.FormatInt(r.ContentLength, 10)
	}
	values := r.Header.Values(name)
	clean := make([]string, len(values))
	for i, v := range values {
		clean[i] = strings.Join(strings.Fields(v), " ")
	}
	return strings.Join(clean, ",")
}
