package elasticsearch

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// policy is a lifecycle policy, of ILM or of ISM.
type policy struct {
	raw     []byte
	version uint64 // 1 for the first.
}

// phaseActions is the table of which actions may stand in which phase of an ILM policy (Elasticsearch reference, "Index
// lifecycle actions").
var phaseActions = map[string][]string{
	"hot":    {"set_priority", "unfollow", "rollover", "readonly", "downsample", "shrink", "forcemerge", "searchable_snapshot"},
	"warm":   {"set_priority", "unfollow", "readonly", "downsample", "allocate", "migrate", "shrink", "forcemerge"},
	"cold":   {"set_priority", "unfollow", "readonly", "downsample", "searchable_snapshot", "allocate", "migrate", "freeze"},
	"frozen": {"unfollow", "searchable_snapshot"},
	"delete": {"wait_for_snapshot", "delete"},
}

// ilmPolicy checks the body of PUT /_ilm/policy/NAME.
func ilmPolicy(body []byte) *apiError {
	members, err := object("put_lifecycle_request", body, "policy")
	if err != nil {
		return err
	}
	if members["policy"] == nil {
		return illegal("Required [policy]")
	}
	parts, err := object("lifecycle_policy", members["policy"], "phases", "_meta", "deprecated")
	if err != nil {
		return err
	}
	if parts["phases"] == nil {
		return illegal("Required [phases]")
	}
	phases, err := object("phases", parts["phases"])
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(phases)) {
		if err := ilmPhase(name, phases[name]); err != nil {
			return err
		}
	}
	return nil
}

func ilmPhase(name string, raw json.RawMessage) *apiError {
	allowed, known := phaseActions[name]
	if !known {
		return illegal("Timeseries lifecycle does not support phase [%s]", name)
	}
	phase, err := object("phase", raw, "min_age", "actions")
	if err != nil {
		return err
	}
	if age := phase["min_age"]; age != nil && !isTime(age) {
		return illegal("failed to parse setting [min_age] with value %s as a time value: unit is missing or unrecognized", age)
	}
	if phase["actions"] == nil {
		return nil
	}
	actions, err := object("actions", phase["actions"])
	if err != nil {
		return err
	}
	for _, action := range slices.Sorted(maps.Keys(actions)) {
		if !slices.Contains(allowed, action) {
			return illegal("invalid action [%s] defined in phase [%s]", action, name)
		}
		options, err := object(action, actions[action])
		if err != nil {
			return err
		}
		if action == "rollover" && len(options) == 0 {
			return illegal("At least one max_* rollover condition must be set.")
		}
	}
	return nil
}

// isTime reports whether a value is a time as the node writes it: "30d", "0ms", 0.
func isTime(raw json.RawMessage) bool {
	text := strings.Trim(string(raw), `"`)
	digits := strings.TrimLeft(text, "0123456789")
	return text == "0" || text == "-1" || digits != text && slices.Contains([]string{"d", "h", "m", "s", "ms", "micros", "nanos"}, digits)
}

// ismPolicy checks the body of PUT /_plugins/_ism/policies/NAME (OpenSearch documentation, "Policies").
func ismPolicy(body []byte) *apiError {
	members, err := object("policy", body, "policy")
	if err != nil {
		return err
	}
	if members["policy"] == nil {
		return illegal("Policy is null")
	}
	parts, err := object("Policy", members["policy"], "policy_id", "description", "last_updated_time", "schema_version", "error_notification",
		"default_state", "states", "ism_template", "user")
	if err != nil {
		return err
	}
	var policy struct {
		Description  *string                      `json:"description"`
		DefaultState *string                      `json:"default_state"`
		States       []map[string]json.RawMessage `json:"states"`
		Template     any                          `json:"ism_template"`
	}
	if json.Unmarshal(members["policy"], &policy) != nil || policy.Description == nil {
		return illegal("description is null")
	}
	switch {
	case policy.DefaultState == nil:
		return illegal("default_state is null")
	case parts["states"] == nil || len(policy.States) == 0:
		return illegal("Policy must contain at least one State")
	}
	return ismStates(*policy.DefaultState, policy.States)
}

func ismStates(start string, states []map[string]json.RawMessage) *apiError {
	var names, wanted []string
	for _, state := range states {
		for _, member := range slices.Sorted(maps.Keys(state)) {
			if !slices.Contains([]string{"name", "actions", "transitions"}, member) {
				return illegal("Invalid field: [%s] found in State.", member)
			}
		}
		var name string
		var transitions []struct {
			StateName string `json:"state_name"`
		}
		if json.Unmarshal(state["name"], &name) != nil || name == "" {
			return illegal("State name is null")
		}
		if state["transitions"] != nil && json.Unmarshal(state["transitions"], &transitions) != nil {
			return illegal("transitions of state [%s] are no list of objects", name)
		}
		names = append(names, name)
		for _, t := range transitions {
			wanted = append(wanted, t.StateName)
		}
	}
	if !slices.Contains(names, start) {
		return illegal("Policy must have a valid default state")
	}
	for _, name := range wanted {
		if !slices.Contains(names, name) {
			return illegal("Policy contains a transition in state=%s pointing to a nonexistent state=%s", start, name)
		}
	}
	return nil
}

// putPolicy stores a policy whose body was found to be right.
func (c *catalog) putPolicy(name string, body []byte) *policy {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := &policy{raw: slices.Clone(body), version: 1}
	if old := c.policies[name]; old != nil {
		p.version = old.version + 1
	}
	c.policies[name] = p
	return p
}

// ism answers requests for a policy of OpenSearch: 201 for a new one, 409 for a second one that does not say which it
// replaces.
func (s *Server) ism(r *http.Request, name string, body []byte) (int, []byte, *apiError) {
	s.catalog.mu.RLock()
	old := s.catalog.policies[name]
	s.catalog.mu.RUnlock()
	switch r.Method {
	case http.MethodPut:
		if err := ismPolicy(body); err != nil {
			return 0, nil, err
		}
		if old != nil && (r.URL.Query().Get("if_seq_no") == "" || r.URL.Query().Get("if_primary_term") == "") {
			return 0, nil, refuse(http.StatusConflict, "version_conflict_engine_exception",
				"[%s]: version conflict, document already exists (current version [%d])", name, old.version)
		}
		p := s.catalog.putPolicy(name, body)
		status := http.StatusCreated
		if p.version > 1 {
			status = http.StatusOK
		}
		return status, ismAnswer(name, p), nil
	case http.MethodGet, http.MethodHead:
		if old == nil {
			return 0, nil, refuse(http.StatusNotFound, "status_exception", "Policy not found")
		}
		return http.StatusOK, ismAnswer(name, old), nil
	}
	return 0, nil, notAllowed(r)
}

func ismAnswer(name string, p *policy) []byte {
	var in struct {
		Policy json.RawMessage `json:"policy"`
	}
	if err := json.Unmarshal(p.raw, &in); err != nil {
		panic("BUG: a policy that was checked is no JSON: " + err.Error())
	}
	return encode(map[string]any{"_id": name, "_version": p.version, "_primary_term": 1, "_seq_no": p.version - 1, "policy": in.Policy})
}

// ilm answers requests for a policy of Elasticsearch.
func (s *Server) ilm(r *http.Request, name string, body []byte) (int, []byte, *apiError) {
	switch r.Method {
	case http.MethodPut:
		if err := ilmPolicy(body); err != nil {
			return 0, nil, err
		}
		s.catalog.putPolicy(name, body)
		return http.StatusOK, acknowledged, nil
	case http.MethodGet, http.MethodHead:
		s.catalog.mu.RLock()
		defer s.catalog.mu.RUnlock()
		p := s.catalog.policies[name]
		if p == nil {
			return 0, nil, refuse(http.StatusNotFound, "resource_not_found_exception", "Lifecycle policy not found: %s", name)
		}
		var in struct {
			Policy json.RawMessage `json:"policy"`
		}
		if err := json.Unmarshal(p.raw, &in); err != nil {
			panic("BUG: a policy that was checked is no JSON: " + err.Error())
		}
		return http.StatusOK, encode(map[string]any{name: map[string]any{"version": p.version, "policy": in.Policy}}), nil
	}
	return 0, nil, notAllowed(r)
}
