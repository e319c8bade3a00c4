package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// sent is what a sender reports.
type sent struct {
	Chunks  int64     `json:"chunks"`
	Records int64     `json:"records"`
	Bytes   int64     `json:"bytes"` // of entries
	Begin   time.Time `json:"begin"`
	Seconds float64   `json:"seconds"` // from the first write to the last ack
}

// load is what to send.
type load struct {
	to, tag                    string
	connections, records, size int
	bytes                      int64
	inFlight                   int
}

func send(args []string) (*sent, error) {
	var l load
	f := flag.NewFlagSet("send", flag.ContinueOnError)
	f.StringVar(&l.to, "to", "", "address of the receiver")
	f.StringVar(&l.tag, "tag", "bench.app", "the tag")
	f.IntVar(&l.connections, "connections", 2, "connections")
	f.IntVar(&l.records, "records", 1000, "records in a chunk")
	f.IntVar(&l.size, "size", 250, "bytes of a record, with all that is around them")
	f.Int64Var(&l.bytes, "bytes", 1e9, "bytes of entries to send")
	f.IntVar(&l.inFlight, "in-flight", 16, "chunks of a connection that wait for their acks")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	chunks := l.bytes / int64(l.records*l.size)
	report := &sent{Chunks: chunks, Records: chunks * int64(l.records), Bytes: chunks * int64(l.records*l.size), Begin: time.Now()}
	errs := make([]error, l.connections)
	var all sync.WaitGroup
	for i := range l.connections {
		n := chunks / int64(l.connections)
		if i == 0 {
			n += chunks % int64(l.connections)
		}
		all.Go(func() { errs[i] = l.sendOn(i, n) })
	}
	all.Wait()
	report.Seconds = time.Since(report.Begin).Seconds()
	return report, errors.Join(errs...)
}

// idSize is the length of a chunk's id.
const idSize = 24

// message is a chunk of which only the id at its end changes.
func (l *load) message() []byte {
	entry := []byte{0x92, 0xd7, 0x00, 0x68, 0, 0, 0, 0, 0, 0, 0, 0x83}
	text := func(s string) {
		if len(s) < 32 {
			entry = append(entry, 0xa0|byte(len(s)))
		} else {
			entry = append(entry, 0xd9, byte(len(s)))
		}
		entry = append(entry, s...)
	}
	text("container_name")
	text("/bench")
	text("source")
	text("stdout")
	text("log")
	log := make([]byte, l.size-len(entry)-2)
	for i := range log {
		log[i] = 'a' + byte(i*7%26)
	}
	text(string(log))
	m := []byte{0x93, 0xd9, byte(len(l.tag))}
	m = append(m, l.tag...)
	m = binary.BigEndian.AppendUint32(append(m, 0xc6), uint32(l.records*l.size))
	for range l.records {
		m = append(m, entry...)
	}
	m = append(m, 0x82, 0xa4)
	m = append(m, "size"...)
	m = binary.BigEndian.AppendUint32(append(m, 0xce), uint32(l.records))
	m = append(append(m, 0xa5), "chunk"...)
	return append(append(m, 0xa0|idSize), make([]byte, idSize)...)
}

// sendOn sends n chunks on one connection.
func (l *load) sendOn(connection int, n int64) error {
	conn, err := net.Dial("tcp", l.to)
	if err != nil {
		return err
	}
	slots := make(chan struct{}, l.inFlight)
	acked := make(chan error, 1)
	go func() { acked <- readAcks(conn, n, slots) }()
	m := l.message()
	id := m[len(m)-idSize:]
	for i := range n {
		select {
		case slots <- struct{}{}:
		case err := <-acked:
			return errors.Join(err, conn.Close())
		}
		copy(id, fmt.Sprintf("%08d%016d", connection, i))
		if _, err := conn.Write(m); err != nil {
			return errors.Join(err, conn.Close())
		}
	}
	return errors.Join(<-acked, conn.Close())
}

// readAcks reads n acks: a map with the key ack and the id, in any of the forms of
// a string.
func readAcks(conn net.Conn, n int64, slots <-chan struct{}) error {
	r := bufio.NewReader(conn)
	for range n {
		var head [5]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return fmt.Errorf("read an ack: %w", err)
		}
		if string(head[:]) != "\x81\xa3ack" {
			return fmt.Errorf("read an ack: found % x", head)
		}
		c, err := r.ReadByte()
		if err == nil && c == 0xd9 {
			c, err = r.ReadByte()
		} else {
			c &= 0x1f
		}
		if err == nil && c != idSize {
			err = fmt.Errorf("an id of %d bytes", c)
		}
		if err == nil {
			_, err = r.Discard(int(c))
		}
		if err != nil {
			return fmt.Errorf("read an ack: %w", err)
		}
		<-slots
	}
	return nil
}
