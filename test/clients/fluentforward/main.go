// Command fluentforward sends a known series of records with fluent-forward-go, in
// any mode of the forward protocol, and prints how many it sent.
//
// Its one argument is a JSON object: network (tcp, tls or unix), address, mode
// (message, message-ext, forward, packed, compressed), ack, sharedKey, records, tags.
// Record i has the tag real.T, T being i modulo tags, the time 1700000000 s + i/1000 s
// + (i mod 1000) * 1000003 ns (message: whole seconds), and the fields n = i and text.
//
// It is a program of its own, because it registers an extension with a library of
// which another client registers the same.
package main

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/IBM/fluent-forward-go/fluent/client"
	"github.com/IBM/fluent-forward-go/fluent/protocol"
)

// order is what is to be sent, and where.
type order struct {
	Network, Address, Mode, SharedKey string
	Ack                               bool
	Records, Tags                     int
}

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "fluentforward:", err)
		os.Exit(1)
	}
}

func run(text string) error {
	var o order
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return err
	}
	factory := &client.ConnFactory{Network: o.Network, Address: o.Address, Timeout: 10 * time.Second}
	if o.Network == "tls" {
		factory.Network, factory.TLSConfig = "tcp", &tls.Config{InsecureSkipVerify: true}
	}
	options := client.ConnectionOptions{Factory: factory, RequireAck: o.Ack, ConnectionTimeout: 20 * time.Second}
	if o.SharedKey != "" {
		options.AuthInfo.SharedKey = []byte(o.SharedKey)
	}
	c := client.New(options)
	c.Hostname = "client.example"
	if err := c.Connect(); err != nil {
		return err
	}
	if o.SharedKey != "" {
		if err := c.Handshake(); err != nil {
			return fmt.Errorf("handshake: %w", err)
		}
	}
	if err := o.send(c); err != nil {
		return err
	}
	if err := c.Disconnect(); err != nil {
		return err
	}
	fmt.Println("sent", o.Records)
	return nil
}

// perMessage is how many records a message of several has.
const perMessage = 100

func (o *order) send(c *client.Client) error {
	for tag := range o.Tags {
		var entries protocol.EntryList
		for i := tag; i < o.Records; i += o.Tags {
			at := time.Unix(1_700_000_000+int64(i)/1000, int64(i)%1000*1_000_003).UTC()
			entries = append(entries, protocol.EntryExt{
				Timestamp: protocol.EventTime{Time: at}, Record: map[string]any{"n": i, "text": "wörter, \"quoted\"\n"},
			})
			if len(entries) < perMessage && i+o.Tags < o.Records {
				continue
			}
			if err := o.one(c, fmt.Sprint("real.", tag), entries); err != nil {
				return fmt.Errorf("up to record %d: %w", i, err)
			}
			entries = nil
		}
	}
	return nil
}

// one sends records of one tag.
func (o *order) one(c *client.Client, tag string, entries protocol.EntryList) error {
	switch o.Mode {
	case "forward":
		return c.SendForward(tag, entries)
	case "packed":
		return c.SendPacked(tag, entries)
	case "compressed":
		return c.SendCompressed(tag, entries)
	}
	for _, e := range entries {
		var err error
		switch o.Mode {
		case "message":
			m := protocol.NewMessage(tag, e.Record)
			m.Timestamp = e.Timestamp.Unix()
			err = c.Send(m)
		case "message-ext":
			m := protocol.NewMessageExt(tag, e.Record)
			m.Timestamp = e.Timestamp
			err = c.Send(m)
		default:
			err = fmt.Errorf("found the mode %q; expected message, message-ext, forward, packed or compressed", o.Mode)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
