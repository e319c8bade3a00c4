// Package contract holds black-box tests of a containerd binary logger: what it owes to containerd and to whoever
// replaces another logger by it. They know the program by its command line, its pipes, its exit and what arrives at
// the destination, and by nothing else.
//
// The cases of the awslogs and json-file groups are those of the end-to-end suite of AWS's
// shim-loggers-for-containerd, each with SIGTERM right after the pipes close and SIGKILL 12 seconds later. They run
// against any logger:
//
//	go test ./test/contract -run 'Awslogs|JSONFile' -binary /path/to/logger
//
// Without -binary the programs of this source tree are built once. Where a case wants a failed start, our own logger
// gets --start-requires-destination; other loggers fail by themselves. Cases about our own flags skip other loggers.
package contract
