package cloudwatch

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/sink"
)

// callError is a call that got no answer.
type callError struct {
	operation string
	err       error
	unsure    bool // the service may have taken the request
	config    bool // somebody must act
}

func (e *callError) Error() string { return e.operation + ": " + e.err.Error() }
func (e *callError) Unwrap() error { return e.err }

// apiError is an answer that is an error.
type apiError struct {
	operation  string
	status     int
	code       string // such as ThrottlingException
	message    string
	retryAfter time.Duration
}

// newAPIError reads an answer. The code stands in the body's __type, behind a
// namespace and a hash sign, or in a header.
func newAPIError(operation string, resp *http.Response, reply []byte) *apiError {
	e := &apiError{operation: operation, status: resp.StatusCode}
	var body struct {
		Type    string `json:"__type"`
		Code    string `json:"code"`
		Lower   string `json:"message"`
		Capital string `json:"Message"`
	}
	if err := json.Unmarshal(reply, &body); err != nil {
		// Proxies and load balancers answer in their own ways; the status says enough.
		body.Lower = strings.TrimSpace(string(reply[:min(len(reply), 200)]))
	}
	e.code = body.Type
	for _, other := range []string{body.Code, resp.Header.Get("X-Amzn-Errortype")} {
		if e.code == "" {
			e.code = other
		}
	}
	if i := strings.LastIndexByte(e.code, '#'); i >= 0 {
		e.code = e.code[i+1:]
	}
	e.code, _, _ = strings.Cut(e.code, ":")
	e.message = body.Lower + body.Capital
	e.message = e.message[:min(len(e.message), maxMessage)]
	e.retryAfter = sink.RetryAfter(resp.Header)
	return e
}

// maxMessage bounds what is kept of an answer's words, in bytes: a denial with
// two resource names in it is shorter. The service may quote the records that it
// refuses, which have no place in a log or a status.
const maxMessage = 500

func (e *apiError) Error() string {
	return fmt.Sprintf("%s: the service answered %d %s: %q", e.operation, e.status, e.code, e.message)
}

func (e *apiError) is(codes ...string) bool {
	for _, c := range codes {
		if e.code == c {
			return true
		}
	}
	return false
}

// credentials reports that who we are, or what we may, was refused.
func (e *apiError) credentials() bool {
	return e.status == http.StatusUnauthorized || e.status == http.StatusForbidden || e.is(
		"AccessDeniedException", "UnrecognizedClientException", "ExpiredTokenException", "ExpiredToken",
		"InvalidSignatureException", "IncompleteSignatureException", "IncompleteSignature", "MissingAuthenticationTokenException",
		"MissingAuthenticationToken", "InvalidClientTokenId", "OptInRequired", "NotAuthorized",
		"SignatureDoesNotMatch",
	)
}

// Throttled reports that the service asks for fewer requests.
func (e *apiError) Throttled() bool {
	return e.status == http.StatusTooManyRequests || e.is(
		"ThrottlingException", "Throttling", "TooManyRequestsException", "LimitExceededException",
		"RequestLimitExceeded", "ProvisionedThroughputExceededException", "ServiceQuotaExceededException",
	)
}

// failed turns an error of a call into an outcome. What is not known is tried
// again.
func failed(err error) sink.Outcome {
	out := sink.Outcome{Err: err}
	var call *callError
	var answer *apiError
	switch {
	case errors.As(err, &call):
		out.Unsure, out.Config = call.unsure, call.config
	case !errors.As(err, &answer):
	case answer.operation != "PutLogEvents":
		out.Throttled, out.RetryAfter = answer.Throttled(), answer.retryAfter
		// Somebody else, often another container's logger, makes the same at this moment.
		contended := answer.is("OperationAbortedException")
		out.Config = answer.status/100 == 4 && !out.Throttled && !contended
	case answer.is("DataAlreadyAcceptedException"):
		return sink.Outcome{Verdict: sink.Delivered}
	case answer.is("InvalidParameterException", "SerializationException"):
		out.Verdict, out.Reason = sink.Refuse, string(ledger.RejectedInvalid)
	case answer.status == http.StatusRequestEntityTooLarge:
		out.Verdict, out.Reason = sink.Refuse, string(ledger.RejectedTooLong)
	default:
		out.Throttled, out.RetryAfter = answer.Throttled(), answer.retryAfter
		out.Config = answer.credentials() || answer.is("ResourceNotFoundException")
		// A 503 says that nothing was done. After the others of the service, and of a
		// proxy that lost sight of it, the request may have been taken.
		out.Unsure = answer.status/100 == 5 && answer.status != http.StatusServiceUnavailable
	}
	return out
}
