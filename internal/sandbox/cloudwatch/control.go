package cloudwatch

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// routes is the table of what the server answers beside the API: GET /credentials (the JSON of an ECS container
// credentials endpoint, for a client with an empty environment), GET /report, GET /healthz, and /sandbox/fault:
// POST {"fault":"503","operations":["PutLogEvents"],"for":"20s"} switches a fault on (all operations and no end by
// default), POST {} and DELETE switch it off, GET shows it.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /{$}", s.serveAPI)
	mux.HandleFunc("GET /credentials", s.serveCredentials)
	mux.HandleFunc("GET /report", func(w http.ResponseWriter, _ *http.Request) { answerJSON(w, s.Report()) })
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answerJSON(w, map[string]bool{"ok": true}) })
	mux.HandleFunc("GET /sandbox/fault", func(w http.ResponseWriter, _ *http.Request) { answerJSON(w, s.faults.state(s.now())) })
	mux.HandleFunc("POST /sandbox/fault", s.serveFault)
	mux.HandleFunc("DELETE /sandbox/fault", func(w http.ResponseWriter, _ *http.Request) {
		s.ClearFault()
		answerJSON(w, faultState{})
	})
	return mux
}

// answerJSON writes v. A write that fails has met a client that is gone.
func answerJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(encode(v), '\n'))
}

// serveCredentials answers as the ECS agent does (Amazon ECS developer guide, "task IAM role"). The credentials last
// for an hour from each request.
func (s *Server) serveCredentials(w http.ResponseWriter, _ *http.Request) {
	answerJSON(w, struct {
		AccessKeyID     string    `json:"AccessKeyId"`
		SecretAccessKey string    `json:"SecretAccessKey"`
		Token           string    `json:"Token"`
		Expiration      time.Time `json:"Expiration"`
		RoleARN         string    `json:"RoleArn"`
	}{AccessKeyID, SecretAccessKey, SessionToken, s.now().Add(time.Hour).UTC().Truncate(time.Second),
		"arn:aws:iam::000000000000:role/sandbox"})
}

// faultState is the JSON of /sandbox/fault.
type faultState struct {
	Fault      string   `json:"fault"`
	Operations []string `json:"operations,omitempty"`
	For        string   `json:"for,omitempty"`
}

func (s *Server) serveFault(w http.ResponseWriter, r *http.Request) {
	var in faultState
	body, err := io.ReadAll(io.LimitReader(r.Body, 64<<10))
	if err == nil {
		err = json.Unmarshal(body, &in)
	}
	var length time.Duration
	if err == nil && in.For != "" {
		if length, err = time.ParseDuration(in.For); err == nil && length <= 0 {
			err = fmt.Errorf("for %q: expected a duration above 0, such as 20s", in.For)
		}
	}
	if err == nil && in.Fault != "" {
		err = checkFault(in.Fault, in.Operations)
	}
	if err != nil {
		http.Error(w, fmt.Sprintf(`switching a fault: expected {"fault":"503","operations":["PutLogEvents"],"for":"20s"}: %v`, err),
			http.StatusBadRequest)
		return
	}
	s.faults.set(in.Fault, in.Operations, length, s.now())
	answerJSON(w, s.faults.state(s.now()))
}

// state describes the fault that is on.
func (f *faults) state(now time.Time) faultState {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.beginPlannedLocked(now)
	if f.current == nil || !f.current.until.IsZero() && !now.Before(f.current.until) {
		return faultState{}
	}
	st := faultState{Fault: f.current.kind, Operations: f.current.operations}
	if !f.current.until.IsZero() {
		st.For = f.current.until.Sub(now).Round(time.Millisecond).String()
	}
	return st
}
