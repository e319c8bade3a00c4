package elasticsearch

import "net/http"

// inParts is what a node answers that carries out a body in parts, as Elasticsearch does from 8.16 on where
// rest.incremental_bulk is on, when it comes to the first item that is hit: see FaultKinds.
func (s *Server) inParts(a *Answer, f *Fault, items []Item) {
	hit := -1
	for i := range items {
		if f.hitsItem(i, &items[i]) {
			hit = i
			break
		}
	}
	if hit < 0 {
		return // Nothing is wrong with it.
	}
	refusal := ItemAnswer{Status: f.Status, Type: f.Type}
	whole := f.Status == http.StatusRequestEntityTooLarge
	switch {
	case refusal.Type != "":
		refusal.Reason = "a fault of the sandbox, in the middle of the body"
	case f.Status == http.StatusTooManyRequests:
		refusal.Type = s.rejected()
		refusal.Reason = "Request contains an operation of size [921839] bytes, which exceeds the maximum allowed limit of [512000] bytes"
	case f.Status == http.StatusBadRequest:
		whole = true
		refusal.Type = "illegal_argument_exception"
		refusal.Reason = "Malformed action/metadata line, expected field [create], [delete], [index] or [update] but found a fault of the sandbox"
	default:
		e := s.wholeFault(f.Status)
		refusal.Type, refusal.Reason = e.kind, e.reason
	}
	start := hit - hit%f.Part
	if !whole && start > 0 {
		a.Item = func(i int, _ *Item) *ItemAnswer {
			if i < start {
				return nil
			}
			one := refusal
			return &one
		}
		return
	}
	a.Status, a.Type, a.Reason, a.First = f.Status, refusal.Type, refusal.Reason, start
	if f.Status == http.StatusRequestEntityTooLarge {
		a.Body = s.wholeFault(f.Status).raw
	}
}
