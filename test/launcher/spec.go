// Package launcher starts a containerd binary logger exactly as containerd's shim does, and ends it the same way.
//
// A binary logger is a program that containerd starts for each container: file descriptors 3 and 4 are the read ends
// of the container's stdout and stderr, 5 is the write end of a pipe on which the logger says that it is ready; 0, 1
// and 2 are /dev/null; the environment holds CONTAINER_ID and CONTAINER_NAMESPACE and nothing else; the arguments are
// the query of the log URI, key and value as two arguments each, in an order that changes from start to start because
// it comes from a Go map. On delete the write ends are closed, SIGTERM follows at once, and SIGKILL 12 seconds later
// (containerd, process/io.go and process/io_util.go, the same in 1.6 to 2.4).
//
// The package refuses to know any particular logger: it reads a balance from an exit line where there is one, and has no
// other notion of what it starts. It uses the standard library and golang.org/x/sys alone, so that tests and benchmarks
// of other modules can use it. Its callers are the contract tests, the fault tests and the benchmarks.
package launcher

import (
	"math/rand/v2"
	"time"
)

// KillDelay is how long containerd waits between SIGTERM and SIGKILL when a task is deleted.
const KillDelay = 12 * time.Second

// DefaultReadyTimeout is how long Start waits for fd 5. containerd itself waits without any limit.
const DefaultReadyTimeout = 20 * time.Second

// Arg is one key of the log URI's query with its first value. It becomes two arguments; a key without a value becomes
// the key and an empty argument.
type Arg struct {
	Key   string
	Value string
}

// Spec says what to start and how. The zero value of every field but Binary is usable.
type Spec struct {
	// Binary is the path of the logger, absolute as in a log URI or relative to Dir.
	Binary string
	// Args are the pairs of the query. Their order on the command line is drawn from Seed.
	Args []Arg
	// Seed decides the order of Args; equal seeds give equal orders.
	Seed uint64
	// Literal is put behind Args word by word. containerd never does this; it is for forms that other callers use.
	Literal []string
	// ContainerID and Namespace fill the two variables; empty means a 64-digit id and "default".
	ContainerID string
	Namespace   string
	// ExtraEnv is added to the environment. containerd adds nothing; it is for hooks of a test alone.
	ExtraEnv []string
	// Dir is the working directory, which is the bundle directory under containerd. Empty means that of the caller.
	Dir string
	// ReadyTimeout bounds the wait for fd 5; zero means DefaultReadyTimeout.
	ReadyTimeout time.Duration
	// KillAfter replaces KillDelay where a test needs a longer or shorter one; zero means KillDelay.
	KillAfter time.Duration
	// CaptureStderr gives the logger an unlinked file as stderr instead of /dev/null; Logger.Stderr reads it.
	CaptureStderr bool
	// StateDir is where the logger keeps exits.jsonl; it is read for the exit line if stderr has none. It is not passed
	// to the logger: Args do that.
	StateDir string
	// Groups are supplementary groups that the logger is started with; only root can set them.
	Groups []uint32
	// Pipes, if not nil, are the container's streams, which outlive the logger; its Stdout and Stderr are nil then, and
	// nothing that ends the logger closes them.
	Pipes *Pipes
	// Cgroup, if not nil, holds the logger from before its first instruction.
	Cgroup *Cgroup
}

// argv gives the arguments after the program's name.
func (s *Spec) argv() []string {
	order := rand.New(rand.NewPCG(s.Seed, 0x9e3779b97f4a7c15)).Perm(len(s.Args))
	words := make([]string, 0, 2*len(s.Args)+len(s.Literal))
	for _, i := range order {
		words = append(words, s.Args[i].Key, s.Args[i].Value)
	}
	return append(words, s.Literal...)
}

// defaultContainerID has the length of an id that Docker or containerd's clients generate.
const defaultContainerID = "5b1f1c0ffee0c0de5b1f1c0ffee0c0de5b1f1c0ffee0c0de5b1f1c0ffee0c0de"

// environment gives the logger's whole environment.
func (s *Spec) environment() []string {
	id, namespace := s.ContainerID, s.Namespace
	if id == "" {
		id = defaultContainerID
	}
	if namespace == "" {
		namespace = "default"
	}
	return append([]string{"CONTAINER_ID=" + id, "CONTAINER_NAMESPACE=" + namespace}, s.ExtraEnv...)
}
