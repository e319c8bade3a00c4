// Command spillway-shim is a binary logger for containerd: containerd starts one
// for each container and hands it the container's standard output and error. It
// takes the flags of shim-loggers-for-containerd. See --help.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/spillway/spillway/internal/catalog"
	"github.com/spillway/spillway/internal/config"
	"github.com/spillway/spillway/internal/version"
)

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() { os.Exit(run(os.Args[1:])) }

func run(argv []string) int {
	if slices.Contains(argv, "--help") || slices.Contains(argv, "-h") {
		if err := help(os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "spillway-shim:", err)
			return exitFailed
		}
		return exitDone
	}
	if slices.Contains(argv, "--version") {
		fmt.Println("spillway-shim", version.String())
		return exitDone
	}
	options, err := config.LoadArgs(argv, config.Input{
		Program: config.ProgramShim, Getenv: os.Getenv, Checks: catalog.Checks(),
	})
	if err != nil {
		return refuse(stateDir(argv), err, exitUsage)
	}
	l, err := newLogger(options)
	if err != nil {
		return refuse(options.StateDir(), err, exitFailed)
	}
	return l.run()
}

// stateDir is the state directory that wrong options still name.
func stateDir(argv []string) string {
	given := ""
	// What is wrong with the arguments has been found already.
	settings, _ := config.ParseArgs(argv)
	for _, s := range settings {
		if s.Name == "state-dir" {
			given = s.Value
		}
	}
	return config.StateDir(given, os.Getenv)
}

// refuse tells why there is no logger, where a person may see it: on standard
// error, and in the program's own log, since under containerd standard error
// goes nowhere.
func refuse(stateDir string, why error, code int) int {
	fmt.Fprintln(os.Stderr, "spillway-shim:", why)
	log, closer, err := openLog(stateDir, containerName(), false)
	if err != nil {
		fmt.Fprintln(os.Stderr, "spillway-shim:", err)
		return code
	}
	log.Error("the container has no logger", "container_id", os.Getenv("CONTAINER_ID"), "error", why.Error())
	if err := closer.Close(); err != nil {
		fmt.Fprintln(os.Stderr, "spillway-shim:", err)
	}
	return code
}

// containerName tells this logger from all others of the machine: a container
// may have several, one for each exec.
func containerName() string {
	return fmt.Sprintf("%s/%s/%d", os.Getenv("CONTAINER_NAMESPACE"), os.Getenv("CONTAINER_ID"), os.Getpid())
}

// heapLimit bounds the Go heap, in bytes. Records are held outside it.
const heapLimit = 14 << 20

var errNotLogger = errors.New("file descriptors 3, 4 and 5 must be the pipes that containerd gives to a binary logger: " +
	"standard output, standard error and the one that says ready; start it by a log URI such as " +
	"binary:///usr/local/bin/spillway-shim?--log-driver=awslogs&…")

// help writes what --help shows.
func help(w io.Writer) error {
	_, err := io.WriteString(w, `spillway-shim takes a container's output from containerd and delivers it.

containerd starts it; a person writes the log URI:

  ctr run --log-uri 'binary:///usr/local/bin/spillway-shim?--log-driver=awslogs&--awslogs-group=g&--awslogs-region=eu-central-1&--awslogs-stream=s' …

An option may be written --name value, --name=value, or as two arguments with the value
empty where it is absent. What a container does not set comes from the section defaults
of the node file, /etc/spillway/spillway.yaml.

Exit codes: 0 done, 1 failed, 2 the options are wrong.

Options:
`)
	return errors.Join(err, config.WriteFlags(w, config.ProgramShim))
}
