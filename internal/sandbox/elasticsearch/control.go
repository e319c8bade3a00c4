package elasticsearch

import (
	"fmt"
	"net/http"
)

// routes is the table of what the server answers beside the node's own paths: GET /_sandbox/report, and
// /_sandbox/fault: POST {"faults":["item-429,ok=5"]} replaces the faults, DELETE ends them, GET shows them.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", s.serve)
	mux.HandleFunc("GET /_sandbox/report", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, encode(s.Report())) })
	mux.HandleFunc("GET /_sandbox/fault", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, encode(faultList{s.faults.texts()})) })
	mux.HandleFunc("POST /_sandbox/fault", s.serveFault)
	mux.HandleFunc("DELETE /_sandbox/fault", s.serveFault)
	return mux
}

// serveFault changes the faults.
func (s *Server) serveFault(w http.ResponseWriter, r *http.Request) {
	var in faultList
	if r.Method == http.MethodPost {
		if err := decodeStrict(r, &in); err != nil {
			http.Error(w, fmt.Sprintf(`switching faults: expected {"faults":["item-429,ok=5"]}: %v`, err), http.StatusBadRequest)
			return
		}
	}
	if err := s.SetFaults(in.Faults...); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	writeJSON(w, encode(faultList{s.faults.texts()}))
}
