package main

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"

	"github.com/spillway/spillway/internal/sandbox/elasticsearch"
)

// receiver is where a relay sends: a kind of destination, and the sender that reaches it straight.
type receiver interface {
	// start starts one.
	start(ctx context.Context, binaries string) (*end, error)
	// sink is what a file of spillway run says of it.
	sink(addr string) string
	// straight is the program that sends to it with nothing between, and its arguments but for the volume.
	straight(addr string) (program string, args []string)
	// received reads what it prints at its end. Bytes are 0 where it does not know those of the records.
	received(stdout []byte) (relayed, error)
}

// forwardReceiver takes the forward protocol and acknowledges at once.
type forwardReceiver struct{}

func (forwardReceiver) start(ctx context.Context, binaries string) (*end, error) {
	return startEnd(ctx, filepath.Join(binaries, "forwardload"), "receive", "--listen", "127.0.0.1:0")
}

func (forwardReceiver) sink(addr string) string {
	return fmt.Sprintf("type: forward, servers: [%q]", addr)
}

func (forwardReceiver) straight(addr string) (string, []string) {
	return "forwardload", []string{"send", "--to", addr}
}

func (forwardReceiver) received(stdout []byte) (r relayed, err error) {
	return r, unmarshal(stdout, &r)
}

// searchReceiver takes bulk requests, counts their documents, and answers at once.
type searchReceiver struct{}

func (searchReceiver) start(ctx context.Context, binaries string) (*end, error) {
	return startEnd(ctx, filepath.Join(binaries, "spillway"), "sandbox", "elasticsearch", "--listen", "127.0.0.1:0", "--count-only", "--keep", "none", "--json")
}

func (searchReceiver) sink(addr string) string {
	return fmt.Sprintf("type: elasticsearch, hosts: [%q], index: bench", "http://"+addr)
}

func (searchReceiver) straight(addr string) (string, []string) {
	return "searchload", []string{"--to", "http://" + addr}
}

func (searchReceiver) received(stdout []byte) (relayed, error) {
	var report elasticsearch.Report
	err := json.Unmarshal(stdout, &report)
	return relayed{Records: int64(report.Counted.Items)}, err
}
