package main

import "testing"

// TestDestinationOf: people are told where the records of a buffer were going.
func TestDestinationOf(t *testing.T) {
	for _, c := range []struct{ identity, about, want string }{
		{`run/"app.**"/"relay"`, `{"route":"app.**","sink":"relay"}`, `of spillway run, of its route "app.**", for the sink "relay"`},
		{"exec/local", `{"program":"exec","options":{"to":"local"}}`, "of spillway exec, for the local store"},
		{"exec/fluentd", `{"program":"exec","options":{"to":"fluentd","fluentd-address":"127.0.0.1:24224"}}`, "of spillway exec, for the server 127.0.0.1:24224"},
		{
			"default/c1", `{"program":"shim","container":{"id":"c1","name":"web","namespace":"default"},"options":{"log-driver":"awslogs","awslogs-group":"g","awslogs-stream":"s"}}`,
			"of container default/c1 (web), for awslogs g/s",
		},
		{"what", "", "of an unknown logger"},
	} {
		if got := destinationOf(c.identity, []byte(c.about)); got != c.want {
			t.Errorf("%s: %q, want %q", c.identity, got, c.want)
		}
	}
}
