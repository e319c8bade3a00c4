package cloudwatch

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// apiError is a refusal as the AWS JSON 1.1 protocol carries it: an HTTP status and {"__type":…,"message":…}.
type apiError struct {
	status  int
	kind    string
	message string
}

// Error makes an apiError usable where Go wants an error.
func (e *apiError) Error() string {
	return fmt.Sprintf("%s (HTTP %d): %s", e.kind, e.status, e.message)
}

// body is the answer's body. Marshalling a struct of two strings cannot fail, so a failure is a bug.
func (e *apiError) body() []byte {
	b, err := json.Marshal(struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}{e.kind, e.message})
	if err != nil {
		panic("BUG: marshalling an error answer: " + err.Error())
	}
	return b
}

func refuse(kind, message string) *apiError {
	return &apiError{status: http.StatusBadRequest, kind: kind, message: message}
}

func invalidParameter(format string, args ...any) *apiError {
	return refuse("InvalidParameterException", fmt.Sprintf(format, args...))
}

// constraint is the form in which the service reports a member that breaks its model.
func constraint(what, rule string) *apiError {
	return invalidParameter("1 validation error detected: %s failed to satisfy constraint: %s", what, rule)
}

// serialization refuses a body that is no JSON, has a value of a wrong type, or is not UTF-8.
func serialization(format string, args ...any) *apiError {
	return refuse("SerializationException", fmt.Sprintf(format, args...))
}

func groupMissing() *apiError {
	return refuse("ResourceNotFoundException", "The specified log group does not exist.")
}

func streamMissing() *apiError {
	return refuse("ResourceNotFoundException", "The specified log stream does not exist.")
}

func alreadyExists(what string) *apiError {
	return refuse("ResourceAlreadyExistsException", "The specified "+what+" already exists")
}

func throttled() *apiError {
	return refuse("ThrottlingException", "Rate exceeded")
}

func unavailable() *apiError {
	return &apiError{http.StatusServiceUnavailable, "ServiceUnavailableException", "The service cannot complete the request."}
}

func denied() *apiError {
	return refuse("AccessDeniedException", "User is not authorized to perform this action on this resource")
}

func unrecognizedClient() *apiError {
	return refuse("UnrecognizedClientException", "The security token included in the request is invalid.")
}

func limitExceeded() *apiError {
	return refuse("LimitExceededException", "Resource limit exceeded.")
}
