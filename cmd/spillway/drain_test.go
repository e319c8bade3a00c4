package main

import (
	"testing"

	"github.com/spillway/spillway/internal/config"
	"github.com/spillway/spillway/internal/diskbuffer"
	"github.com/spillway/spillway/internal/statedir"
)

// TestTrust: a buffer of another user is believed where its name, which that user
// cannot give, stands for the file that it says.
func TestTrust(t *testing.T) {
	file := []config.Setting{{Name: "to", Value: "json-file"}, {Name: "log-path", Value: "/var/log/x.log"}}
	store := []config.Setting{{Name: "state-dir", Value: "/var/lib/spillway"}}
	cloud := []config.Setting{{Name: "to", Value: "cloudwatch"}, {Name: "awslogs-group", Value: "g"}, {Name: "awslogs-stream", Value: "s"}}
	for _, c := range []struct {
		own      []config.Setting
		identity string
		name     string // "" is that of the identity
		want     bool
	}{
		{file, "container/ns/c1/json-file/json-file /var/log/x.log", "", true},
		{file, "container/ns/c1/json-file/json-file /var/log/x.log", statedir.BufferName("container/ns/c1/json-file/json-file /var/log/x.log", 7), true},
		{file, "container/ns/c1/json-file//var/log/x.log", "", true},
		{file, "container/ns/c1/json-file/json-file /var/log/y.log", "", false},
		{file, "container/ns/c1/json-file/json-file /elsewhere/var/log/x.log", "", false},
		{file, "container/ns/c1/json-file/json-file /var/log/x.log", "0123456789abcdef", false},
		{store, "exec/local /var/lib/spillway/local", "", true},
		{store, "exec/local /home/x/local", "", false},
		{cloud, "exec/awslogs g/s", "", true},
		{cloud, "exec/awslogs g/s", "0123456789abcdef", false},
	} {
		options, err := config.Resolve(config.Input{Program: config.ProgramExec, Own: c.own})
		if err != nil {
			t.Fatal(err)
		}
		name := c.name
		if name == "" {
			name = statedir.BufferName(c.identity, 1)
		}
		l := &leftBuffer{path: "/state/buffers/" + name, options: options}
		if err := l.trust(diskbuffer.Meta{Identity: c.identity}); (err == nil) != c.want {
			t.Errorf("%s as %s is trusted: %v, want %v", c.identity, name, err, c.want)
		}
	}
}

func TestStateOf(t *testing.T) {
	for path, want := range map[string]string{
		"/var/lib/spillway/buffers/0123456789abcdef": "/var/lib/spillway", "/tmp/x": "", "/var/lib/spillway/buffers": "",
	} {
		if got := stateOf(path); got != want {
			t.Errorf("%s is in %q, want %q", path, got, want)
		}
	}
}
