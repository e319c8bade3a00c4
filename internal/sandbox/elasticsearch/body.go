package elasticsearch

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/spillway/spillway/internal/sandbox/host"
)

// maxPooled is the largest buffer that is kept for the next request.
const maxPooled = 16 << 20

// badBody is what a body that cannot be read is answered.
func badBody(err error) *apiError {
	if errors.Is(err, host.ErrTooLarge) {
		return &apiError{status: http.StatusRequestEntityTooLarge, kind: "content_too_long_exception", reason: "entity content is too long", raw: []byte{}}
	}
	return refuse(http.StatusBadRequest, "parse_exception", "%v", err)
}

func unreadable(err error) *apiError {
	return badBody(fmt.Errorf("the body could not be read: %w", err))
}

// read reads the request's body as it was sent. pace, if not nil, is called before each piece of 64 KiB.
func (s *Server) read(r *http.Request, pace func()) (*[]byte, *apiError) {
	var from io.Reader = r.Body
	if pace != nil {
		from = &paced{r.Body, pace}
	}
	wire, err := s.buffers.Read(from, r.ContentLength, s.options.MaxContentLength)
	if err != nil {
		return nil, badBody(err)
	}
	return wire, nil
}

// paced reads slowly.
type paced struct {
	from io.Reader
	wait func()
}

func (p *paced) Read(to []byte) (int, error) {
	p.wait()
	return p.from.Read(to[:min(len(to), 64<<10)])
}

// skipHalf reads half of the request's body and throws it away.
func skipHalf(r *http.Request) error {
	half := r.ContentLength / 2
	if r.ContentLength < 0 {
		half = 64 << 10
	}
	_, err := io.CopyN(io.Discard, r.Body, half)
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// unpack returns the body that wire stands for: itself, or a buffer of its own if it was sent compressed.
func (s *Server) unpack(encoding string, wire *[]byte) (*[]byte, *apiError) {
	if !packed(encoding) || len(*wire) == 0 {
		return wire, nil
	}
	plain, err := s.buffers.Gunzip(*wire, s.options.MaxContentLength)
	if err != nil {
		return nil, badBody(err)
	}
	return plain, nil
}

func packed(encoding string) bool { return strings.EqualFold(strings.TrimSpace(encoding), "gzip") }

// faultList is the JSON of /_sandbox/fault.
type faultList struct {
	Faults []string `json:"faults"`
}

func decodeStrict(r *http.Request, v any) error {
	decoder := json.NewDecoder(io.LimitReader(r.Body, 64<<10))
	decoder.DisallowUnknownFields()
	return decoder.Decode(v)
}
