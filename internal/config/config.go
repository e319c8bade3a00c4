// Package config holds the one table of options and turns what people wrote,
// on a command line and in the node file, into typed settings.
//
// An option has one name everywhere: as a flag, in the arguments that
// containerd hands to spillway-shim, and under "defaults" in the node file.
// The container's own value beats the node's, which beats the environment
// (AWS_REGION, SPILLWAY_STATE_DIR, CONTAINER_ID), which beats the built-in one;
// Resolved.Explain shows which of them decided.
//
// The package connects to nothing, reads no file but the node file, and never
// prints the value of a secret. It refuses what it does not know: an unknown
// name, a bad value or an impossible combination is an error that says what was
// found, what was expected and what to do, and all of them come at once.
//
// Its callers are the commands: spillway-shim through LoadArgs, "spillway exec"
// through Flags and Load, "spillway explain" through Explain, "spillway drain"
// through FromAbout, and the file of "spillway run" through ResolveRoute. It imports neither
// a command-line library nor anything of Spillway beyond its own parts, because the shim runs
// once for each container and pays for every package that it links.
package config

import "strconv"

// Program says who asks, because some options belong to one program only.
type Program uint8

// The programs that take options.
const (
	ProgramExec  Program = iota // "spillway exec"
	ProgramShim                 // "spillway-shim"
	ProgramRoute                // a route of "spillway run"; see ResolveRoute
)

// String returns the program as a person would type it.
func (p Program) String() string {
	switch p {
	case ProgramExec:
		return "spillway exec"
	case ProgramShim:
		return "spillway-shim"
	case ProgramRoute:
		return "a route"
	}
	return "program " + strconv.Itoa(int(p))
}

// ProgramSet is a set of programs.
type ProgramSet uint8

// Has reports whether the set holds p.
func (s ProgramSet) Has(p Program) bool { return s&(1<<p) != 0 }

const (
	execOnly     ProgramSet = 1 << ProgramExec
	shimOnly     ProgramSet = 1 << ProgramShim
	bothPrograms            = execOnly | shimOnly
	// everywhere marks what a buffer does, wherever it stands.
	everywhere = bothPrograms | 1<<ProgramRoute
)

// Driver is a destination by the name that Docker and shim-loggers gave it.
type Driver uint8

// The drivers. Splunk is known by name, so that its options can be recognised,
// but no version has it yet.
const (
	DriverNone     Driver = iota // not chosen
	DriverLocal                  // the local store, "spillway exec" only
	DriverAWSLogs                // CloudWatch Logs
	DriverJSONFile               // a file as Docker's json-file driver writes it
	DriverFluentd                // a server of the forward protocol
	DriverSplunk
)

// String returns the driver's name in Docker's spelling.
func (d Driver) String() string {
	switch d {
	case DriverNone:
		return "none"
	case DriverLocal:
		return "local"
	case DriverAWSLogs:
		return "awslogs"
	case DriverJSONFile:
		return "json-file"
	case DriverFluentd:
		return "fluentd"
	case DriverSplunk:
		return "splunk"
	}
	return "driver " + strconv.Itoa(int(d))
}

// driverNamed is the inverse of String; cloudwatch is a second name of awslogs.
func driverNamed(name string) Driver {
	if name == "cloudwatch" {
		return DriverAWSLogs
	}
	for d := DriverLocal; d <= DriverSplunk; d++ {
		if d.String() == name {
			return d
		}
	}
	return DriverNone
}

// DriverSet is a set of drivers.
type DriverSet uint8

// Has reports whether the set holds d.
func (s DriverSet) Has(d Driver) bool { return s&(1<<d) != 0 }

const (
	awslogs  DriverSet = 1 << DriverAWSLogs
	jsonFile DriverSet = 1 << DriverJSONFile
	fluentd  DriverSet = 1 << DriverFluentd
	splunk   DriverSet = 1 << DriverSplunk
	// present are the drivers of this version.
	present = 1<<DriverLocal | awslogs | jsonFile | fluentd
	// anyDriver marks the common options.
	anyDriver = present | splunk
)

// Level says where a value came from.
type Level string

// The levels, from the strongest to the weakest.
const (
	LevelContainer   Level = "container"   // the container's own option, or the command line
	LevelRoute       Level = "route"       // what a route of "spillway run" says
	LevelBuffer      Level = "buffer"      // what a buffer on disk remembers of its logger; nothing beats it
	LevelNode        Level = "node"        // the node file
	LevelEnvironment Level = "environment" // a variable of the process
	LevelBuiltIn     Level = "built in"
)

// rank orders the levels; a larger one wins.
func (l Level) rank() int {
	switch l {
	case LevelContainer, LevelRoute, LevelBuffer:
		return 3
	case LevelNode:
		return 2
	case LevelEnvironment:
		return 1
	}
	return 0
}

// own reports whether the value is the container's or the route's own: such a value
// is held to its word, where one of the node may be meant for others.
func (l Level) own() bool { return l == LevelContainer || l == LevelRoute }

// Setting is one option as its owner wrote it: a name of the table, or an
// unknown one, and the raw text of its value.
type Setting struct {
	Name  string
	Value string
}

// Placed is a setting of a file.
type Placed struct {
	Setting
	Where string // "FILE:LINE:COLUMN"
}
