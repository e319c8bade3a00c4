package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"

	"github.com/spillway/spillway/forward"
)

// sendForward is the helper "forward ADDRESS TAG JSON ...", which sends each object
// as a record of one chunk, waits for its ack, and says so. It waits until somebody
// listens.
func sendForward(args []string) error {
	if len(args) < 3 {
		return errors.New("expected an address, a tag and records")
	}
	network, addr := "tcp", args[0]
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		network, addr = "unix", path
	}
	var entries []byte
	for _, text := range args[2:] {
		var m forward.Message
		if _, err := forward.ParseJSON(nil, fmt.Appendf(nil, `[%q,1700000000,%s]`, args[1], text), &m); err != nil {
			return err
		}
		entries = append(entries, m.Payload...)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := forward.Dial(ctx, forward.DialOptions{Network: network, Address: addr})
	for ; err != nil && ctx.Err() == nil; conn, err = forward.Dial(ctx, forward.DialOptions{Network: network, Address: addr}) {
		<-time.After(10 * time.Millisecond)
	}
	if err != nil {
		return err
	}
	chunk := &forward.OutChunk{Tag: args[1], Entries: [][]byte{entries}, Records: len(args) - 2, ID: fmt.Sprint(os.Getpid(), time.Now().UnixNano())}
	if err := conn.Deliver(ctx, chunk); err != nil {
		return errors.Join(err, conn.Close())
	}
	fmt.Println("acked", len(args)-2)
	return conn.Close()
}

// patience is how long a story waits for what must come.
const patience = 2 * time.Minute

// await is the helper "await PATTERN PROGRAM [ARGUMENT ...]", which runs a program
// until its output matches.
func await(args []string) error {
	if len(args) < 2 {
		return errors.New("expected a pattern and a program")
	}
	pattern, err := regexp.Compile("(?m)" + args[0])
	if err != nil {
		return err
	}
	for end := time.Now().Add(patience); ; {
		out, _ := exec.Command(args[1], args[2:]...).CombinedOutput()
		if pattern.Match(out) {
			_, err := os.Stdout.Write(out)
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s never says %s; at last:\n%s", args[1], args[0], out)
		}
		<-time.After(10 * time.Millisecond)
	}
}
