// Package runcatalog is the list of the sources and sinks of "spillway run": it
// makes them of what the file says. internal/catalog is the list of the
// destinations of containers, of which one program runs for each; that one must
// not link what is here.
//
// What is not named here is not linked. Secrets are read here, and handed to who
// needs them alone.
package runcatalog

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/spillway/spillway/internal/awsauth"
	"github.com/spillway/spillway/internal/catalog"
	"github.com/spillway/spillway/internal/config/runfile"
)

// Surroundings are what sources and sinks need from the program around them.
type Surroundings struct {
	// Getenv reads a variable of the process.
	Getenv func(string) string
	// StateDir is the state directory; empty keeps nothing.
	StateDir string
	// Provider and Region find credentials and region; the plans say where.
	Provider func(awsauth.Options) (aws.CredentialsProvider, error)
	Region   func(context.Context, awsauth.Options) (string, error)
	// UserAgent is how the program presents itself.
	UserAgent string
	// Log hears what goes wrong with connections.
	Log *slog.Logger
}

// OpenSink makes a sink. It contacts nobody.
func (s *Surroundings) OpenSink(plan *runfile.Sink) (*catalog.Destination, error) {
	var d *catalog.Destination
	var err error
	switch {
	case plan.Forward != nil:
		d, err = s.forwardSink(plan.Forward)
	case plan.File != nil:
		d, err = s.fileSink(plan.File)
	case plan.CloudWatch != nil:
		d, err = s.cloudWatchSink(plan.CloudWatch)
	case plan.Kafka != nil:
		d, err = s.kafkaSink(plan.Kafka)
	case plan.Search != nil:
		d, err = s.searchSink(plan.Search)
	default:
		err = fmt.Errorf("sinks of type %s are not in this version", plan.Type)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: open the sink %q: %w", plan.Where, plan.Name, err)
	}
	return d, nil
}

// hostname is the name that is given, or this host's.
func hostname(given string) (string, error) {
	if given != "" {
		return given, nil
	}
	name, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("find this host's name: %w; give self-hostname", err)
	}
	return name, nil
}
