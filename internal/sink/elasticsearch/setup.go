package elasticsearch

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/spillway/spillway/internal/sink"
	"github.com/spillway/spillway/internal/tlserror"
)

// Setup is what is put before the first record, in this order. What is there
// already is left alone unless Overwrite says otherwise.
type Setup struct {
	Policies   []Document // of index lifecycles: ILM, or ISM where PolicyAPI says so
	Components []Document // component templates
	Templates  []Document // index templates
	Legacy     []Document // templates of before index templates
	// Alias is the write alias of a rolling index, whose first index is made where it
	// is missing: with -000001 behind it.
	Alias     string
	PolicyAPI PolicyAPI
	Overwrite bool
}

// Document is a named body of JSON.
type Document struct {
	Name string
	Body []byte
}

// PolicyAPI is the dialect of policies.
type PolicyAPI string

// The dialects of policies.
const (
	ILM PolicyAPI = "ilm" // Elasticsearch
	ISM PolicyAPI = "ism" // OpenSearch
)

// step is one thing of a setup.
type step struct {
	what, path string
	body       []byte
}

func (s *Setup) steps() []step {
	var all []step
	add := func(what, path string, documents []Document) {
		for _, d := range documents {
			all = append(all, step{what + " " + d.Name, path + url.PathEscape(d.Name), d.Body})
		}
	}
	if s.PolicyAPI == ISM {
		add("ISM policy", "/_plugins/_ism/policies/", s.Policies)
	} else {
		add("ILM policy", "/_ilm/policy/", s.Policies)
	}
	add("component template", "/_component_template/", s.Components)
	add("index template", "/_index_template/", s.Templates)
	add("template", "/_template/", s.Legacy)
	return all
}

// setupState is how far the setup has come.
type setupState struct {
	done atomic.Bool
	turn chan struct{}
}

// ready makes sure that what is to be put is there. Where it is not, the outcome says
// why.
func (s *Sink) ready(ctx context.Context) (sink.Outcome, bool) {
	if s.setup.done.Load() {
		return sink.Outcome{}, true
	}
	if err := s.prepareDestination(ctx); err != nil {
		out := sink.Outcome{Err: err}
		var e *answerError
		var credentials *credentialsError
		switch {
		case errors.As(err, &e):
			out.Throttled, out.RetryAfter = e.status == http.StatusTooManyRequests, e.retryAfter
			out.Config = e.status/100 == 4 && !out.Throttled
		case errors.As(err, &credentials), tlserror.OfCertificate(err):
			out.Config = true
		}
		return out, false
	}
	return sink.Outcome{}, true
}

func (s *Sink) prepareDestination(ctx context.Context) error {
	select {
	case s.setup.turn <- struct{}{}:
		defer func() { <-s.setup.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if s.setup.done.Load() {
		return nil
	}
	for _, one := range s.o.Setup.steps() {
		if err := s.put(ctx, one); err != nil {
			return fmt.Errorf("put the %s: %w", one.what, err)
		}
	}
	if err := s.alias(ctx); err != nil {
		return err
	}
	s.setup.done.Store(true)
	return nil
}

// put puts one thing, unless it is there and is to be left alone.
func (s *Sink) put(ctx context.Context, one step) error {
	status, answer, err := s.call(ctx, http.MethodGet, one.path, nil)
	if err != nil {
		return err
	}
	path := one.path
	switch {
	case status == http.StatusOK && !s.o.Setup.Overwrite:
		return nil
	case status == http.StatusOK:
		path += version(one.path, answer)
	case status != http.StatusNotFound:
		return smallError(status, answer)
	}
	if status, answer, err = s.call(ctx, http.MethodPut, path, one.body); err != nil {
		return err
	}
	if status/100 != 2 {
		return smallError(status, answer)
	}
	return nil
}

// version is what ISM wants to hear of the policy that is replaced.
func version(path string, answer []byte) string {
	var known struct {
		SeqNo       int64 `json:"_seq_no"`
		PrimaryTerm int64 `json:"_primary_term"`
	}
	if !strings.Contains(path, "/_ism/") || json.Unmarshal(answer, &known) != nil {
		return ""
	}
	return fmt.Sprintf("?if_seq_no=%d&if_primary_term=%d", known.SeqNo, known.PrimaryTerm)
}

// alias makes the first index of a rolling one.
func (s *Sink) alias(ctx context.Context) error {
	name := s.o.Setup.Alias
	if name == "" {
		return nil
	}
	status, answer, err := s.call(ctx, http.MethodHead, "/"+url.PathEscape(name), nil)
	if err != nil {
		return err
	}
	if status == http.StatusOK {
		return nil
	}
	if status != http.StatusNotFound {
		return fmt.Errorf("look for the alias %s: %w", name, smallError(status, answer))
	}
	body, err := json.Marshal(map[string]any{"aliases": map[string]any{name: map[string]any{"is_write_index": true}}})
	if err != nil {
		return err
	}
	if status, answer, err = s.call(ctx, http.MethodPut, "/"+url.PathEscape(name+"-000001"), body); err != nil {
		return err
	}
	if status/100 == 2 {
		return nil
	}
	e := smallError(status, answer)
	var told *answerError
	if errors.As(e, &told) && told.kind == "resource_already_exists_exception" {
		return nil // Another process was quicker.
	}
	return fmt.Errorf("make the first index of %s: %w", name, e)
}

func smallError(status int, answer []byte) error {
	return refusedWhole(&http.Response{StatusCode: status}, answer)
}

// small makes a request whose body is small.
func (s *Sink) small(ctx context.Context, method, path string, text []byte) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, method, path, bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("make a request: %w", err)
	}
	s.authorize(r)
	if len(text) > 0 {
		r.Header.Set("Content-Type", "application/json")
	}
	if s.o.Signer != nil {
		sum := sha256.Sum256(text)
		r.Header.Set("X-Amz-Content-Sha256", hex.EncodeToString(sum[:]))
	}
	return r, nil
}

// Check implements sink.Sink: a node answers, knows us, and has what is to be put.
func (s *Sink) Check(ctx context.Context) error {
	status, answer, err := s.call(ctx, http.MethodGet, "/", nil)
	if err != nil {
		return err
	}
	// Serverless ones have nothing there.
	if status/100 != 2 && status != http.StatusNotFound {
		return smallError(status, answer)
	}
	return s.prepareDestination(ctx)
}

// forgetCredentials makes the next request ask for new ones.
func (s *Sink) forgetCredentials() {
	s.signer.mu.Lock()
	defer s.signer.mu.Unlock()
	if s.signer.got != nil {
		s.signer.got.Invalidate()
	}
}
