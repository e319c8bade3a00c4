// Package runfile turns the file of "spillway run -c FILE" into typed settings:
// sources, sinks, routes and what holds for all of them.
//
// It is strict. An unknown key, a bad value or an impossible combination is a
// problem, and all problems of a file come at once, each as FILE:LINE:COLUMN with
// what was found, what was expected and the nearest valid name. What is possible
// and surely not meant, such as a sink that no route names, is a warning.
//
// The options of each type of source and sink stand in one table, of which the
// errors, the reference page and the parser are made. The options of a route are
// those of internal/config, so that a route and a container mean the same by the
// same words. The sections defaults and aws are shared with the loggers of
// containers, which read the same file and pass over the rest.
//
// It connects to nothing, resolves no name and keeps no secret: a Secret is the
// place where one is. Its callers are "spillway run" and "spillway check".
package runfile

import (
	"time"

	"github.com/spillway/spillway/internal/config"
	"github.com/spillway/spillway/internal/match"
)

// File is a file that was read and found to be good. Nothing changes it.
type File struct {
	Path string

	// Memory bounds what the whole process holds, in bytes. Where the file does not
	// say it, it is the sum of the limits of all legs.
	Memory int64
	// StateDir is what the file says about the state directory, "" for nothing.
	// The command line beats it, and it beats the environment.
	StateDir string
	// ShutdownTimeout limits how long delivery goes on after SIGTERM.
	ShutdownTimeout time.Duration
	// MaxDeadLetters bounds the store of dead letters, in bytes.
	MaxDeadLetters int64
	// Unmatched says what becomes of a record that no route takes.
	Unmatched Unmatched
	// FailedTag is the tag under which dead letters that were messages of Kafka go to
	// the routes as well; "" copies none.
	FailedTag string
	// Verbose logs at debug level, as the section defaults says.
	Verbose bool

	Sources []Source // in the order of the file, as are all lists
	Sinks   []Sink
	Routes  []Route

	// Warnings are one line each: "FILE:LINE:COLUMN: what is not as it seems".
	Warnings []string
}

// Unmatched is what becomes of records that no route takes. Either way they are
// counted by their tag.
type Unmatched string

// The choices of Unmatched.
const (
	UnmatchedDeadLetter Unmatched = "dead-letter" // kept in the store of dead letters
	UnmatchedDrop       Unmatched = "drop"        // dropped, under a reason of its own
)

// Source is one entry of the section sources. Exactly one of the pointers is set,
// that of its type.
type Source struct {
	Name  string
	Type  string // as the file writes it: "forward", "stdin", "kafka"
	Where string // "FILE:LINE:COLUMN" of its name
	// Contents tells what the files hold that it names from what they held another time,
	// in one process; 0 before File.Look.
	Contents uint64

	Forward *ForwardSource
	Stdin   *StdinSource
	Kafka   *KafkaSource
}

// Sink is one entry of the section sinks. Exactly one of the pointers is set,
// that of its type.
type Sink struct {
	Name  string
	Type  string // as the file writes it: "forward", "file", "cloudwatch"
	Where string // "FILE:LINE:COLUMN" of its name
	// Contents is as in a Source.
	Contents uint64

	Forward    *ForwardSink
	File       *FileSink
	CloudWatch *CloudWatchSink
	Kafka      *KafkaSink
	Search     *SearchSink // of the types elasticsearch and opensearch
}

// Route is one entry of the section routes: the first whose Match takes a tag has
// all records of that tag.
type Route struct {
	// Name is part of the identity of the route's disk buffers, and so names no
	// second route. Where the file gives none it is the patterns of Match.
	Name  string
	Where string // "FILE:LINE:COLUMN" of the route

	Match *match.Matcher
	// To are the names of its sinks, each once; every one of them is a leg with
	// this Buffer for itself.
	To     []string
	Buffer config.Buffer
}

// Legs counts the legs of all routes.
func (f *File) Legs() int {
	n := 0
	for i := range f.Routes {
		n += len(f.Routes[i].To)
	}
	return n
}

// Sink returns the sink of that name, which exists for every name in a route's To.
func (f *File) Sink(name string) *Sink {
	for i := range f.Sinks {
		if f.Sinks[i].Name == name {
			return &f.Sinks[i]
		}
	}
	return nil
}
