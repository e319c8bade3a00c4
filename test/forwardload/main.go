// Command forwardload is both ends of a measurement of the fluentd forward
// protocol: "send" writes chunks of records as fast as their acks allow, and
// "receive" takes them and acknowledges each at once. It knows nothing of what is
// measured between the two, and shares no code with it.
//
// Each chunk is a message of mode PackedForward with an id of its own. Both ends
// print one JSON object when they have ended: what was sent, and acknowledged, or
// what was received.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
)

func main() {
	if len(os.Args) < 2 {
		fail(errors.New("expected send or receive"))
	}
	var report any
	var err error
	switch os.Args[1] {
	case "send":
		report, err = send(os.Args[2:])
	case "receive":
		report, err = receive(os.Args[2:])
	default:
		err = fmt.Errorf("found %q, expected send or receive", os.Args[1])
	}
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(report)
	}
	if err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "forwardload:", err)
	os.Exit(1)
}
