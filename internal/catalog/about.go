package catalog

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/spillway/spillway/internal/config"
)

// About is what a buffer on disk must remember of a logger whose destination
// this is, opened by these options, as JSON. config.FromAbout is the way back: it
// leads to the same destination, under the same names, when the container is
// gone. There is no secret in it. The attributes of a line are: who chose
// variables of the container for them has published those with each line.
func (d *Destination) About(r *config.Resolved) (json.RawMessage, error) {
	a, err := d.about(r)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(a)
	if err != nil {
		return nil, fmt.Errorf("write down the options of the destination: %w", err)
	}
	if len(text) > config.MaxAbout {
		return nil, fmt.Errorf("write down the options of the destination: they take %d bytes, expected at most %d; "+
			"choose fewer variables with env and env-regex, or fewer labels", len(text), config.MaxAbout)
	}
	return text, nil
}

func (d *Destination) about(r *config.Resolved) (config.About, error) {
	a, err := r.About()
	if err != nil {
		return a, err
	}
	switch r.Driver() {
	case config.DriverAWSLogs:
		a.Options["awslogs-stream"] = d.stream
		// The options have AWS_REGION already. This one is of the process as well, and
		// another process may have another.
		if region := os.Getenv("AWS_DEFAULT_REGION"); a.Options["awslogs-region"] == "" && region != "" {
			a.Options["awslogs-region"] = region
		}
	case config.DriverJSONFile:
		a.Attrs = json.RawMessage(noAttrs)
		if len(d.attrs) > 0 {
			a.Attrs = d.attrs
		}
	case config.DriverFluentd:
		a.Record = d.record
	case config.DriverLocal:
		a.Run = d.run
	}
	return a, nil
}

// Identity says whose records a buffer holds and where they go: two loggers have
// the same one only if either may deliver what the other left behind.
func (d *Destination) Identity(r *config.Resolved) (string, error) {
	a, err := d.about(r)
	if err != nil {
		return "", err
	}
	to := ""
	switch r.Driver() {
	case config.DriverAWSLogs:
		// Names of groups and streams may hold slashes and spaces, so each is quoted.
		to = fmt.Sprintf("%q %q %q %q", a.Options["awslogs-endpoint"], a.Options["awslogs-region"], a.Options["awslogs-group"], d.stream)
	case config.DriverJSONFile:
		to = a.Options["log-path"]
	case config.DriverFluentd:
		to = fmt.Sprintf("%q %q", a.Options["fluentd-address"], a.Record.Tag)
	case config.DriverLocal:
		to = a.Options["state-dir"]
	}
	if r.Program() == config.ProgramShim {
		return fmt.Sprintf("container/%s/%s/%s/%s", a.Container.Namespace, a.Container.ID, r.Driver(), to), nil
	}
	return fmt.Sprintf("exec/%s/%s", r.Driver(), to), nil
}
