// Command fluentlogger sends a known series of records with fluent-logger-golang, the
// client of Go programs and of Docker's fluentd driver, and prints how many it sent.
//
// Its one argument is a JSON object: network (tcp, tls or unix), address, ack, async,
// json, seconds (no sub-second times), records, tags. Record i has the tag real.T, T
// being i modulo tags, the time 1700000000 s + i/1000 s + (i mod 1000) * 1000003 ns,
// and the fields n = i and text.
//
// It is a program of its own, because it registers an extension with a library of
// which another client registers the same.
package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/fluent/fluent-logger-golang/fluent"
)

// order is what is to be sent, and where.
type order struct {
	Network, Address string
	Ack, Async, JSON bool
	Seconds          bool
	Records, Tags    int
}

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "fluentlogger:", err)
		os.Exit(1)
	}
}

func run(text string) error {
	var o order
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return err
	}
	var failed atomic.Int64
	cfg := fluent.Config{
		FluentNetwork: o.Network, FluentSocketPath: o.Address, RequestAck: o.Ack, Async: o.Async, MarshalAsJSON: o.JSON,
		SubSecondPrecision: !o.Seconds && !o.JSON, TlsInsecureSkipVerify: true, BufferLimit: o.Records + 1,
		WriteTimeout: 10 * time.Second, ReadTimeout: 20 * time.Second,
		AsyncResultCallback: func(_ []byte, err error) {
			if err != nil {
				failed.Add(1)
			}
		},
	}
	if o.Network != "unix" {
		host, port, err := net.SplitHostPort(o.Address)
		if err != nil {
			return err
		}
		cfg.FluentHost = host
		if cfg.FluentPort, err = strconv.Atoi(port); err != nil {
			return err
		}
	}
	logger, err := fluent.New(cfg)
	if err != nil {
		return err
	}
	for i := range o.Records {
		at := time.Unix(1_700_000_000+int64(i)/1000, int64(i)%1000*1_000_003)
		err := logger.PostWithTime(fmt.Sprint("real.", i%o.Tags), at, map[string]any{"n": i, "text": "wörter, \"quoted\"\n"})
		if err != nil {
			return fmt.Errorf("record %d: %w", i, err)
		}
	}
	if err := logger.Close(); err != nil {
		return err
	}
	if n := failed.Load(); n > 0 {
		return fmt.Errorf("%d records were not sent", n)
	}
	fmt.Println("sent", o.Records)
	return nil
}
