package cloudwatch

import (
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/spillway/spillway/internal/sandbox/host"
)

// maxPooled is the largest buffer that is kept for the next request: an ordinary full batch is far below it.
const maxPooled = 4 << 20

// badBody is what a body that cannot be read is answered.
func badBody(err error) *apiError {
	if errors.Is(err, host.ErrTooLarge) {
		return &apiError{http.StatusRequestEntityTooLarge, "RequestEntityTooLargeException", "The request body is over 16 MiB."}
	}
	return serialization("%v", err)
}

// skipHalf reads half of the request's body and throws it away.
func skipHalf(r *http.Request) error {
	_, err := io.CopyN(io.Discard, r.Body, max(r.ContentLength, 0)/2)
	return err
}

// unpack returns the body that wire stands for: itself, or a buffer of its own if it was sent compressed.
func (s *Server) unpack(encoding string, wire *[]byte) (*[]byte, *apiError) {
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "", "identity":
		return wire, nil
	case "gzip":
	default:
		return nil, serialization("content-encoding %q: expected gzip or none", encoding)
	}
	plain, err := s.buffers.Gunzip(*wire, maxBody)
	if err != nil {
		return nil, badBody(err)
	}
	return plain, nil
}
