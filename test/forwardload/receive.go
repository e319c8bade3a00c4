package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// received is what a receiver reports.
type received struct {
	mu      sync.Mutex
	Chunks  int64 `json:"chunks"`
	Records int64 `json:"records"` // as the messages say
	Bytes   int64 `json:"bytes"`   // of entries
}

// receive takes what comes until SIGTERM.
func receive(args []string) (*received, error) {
	f := flag.NewFlagSet("receive", flag.ContinueOnError)
	listen := f.String("listen", "127.0.0.1:0", "address; it is printed on standard error, as a line")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", *listen)
	if err != nil {
		return nil, err
	}
	fmt.Fprintln(os.Stderr, l.Addr())
	r := &received{}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				if err := r.take(conn); err != nil && !errors.Is(err, io.EOF) {
					fmt.Fprintln(os.Stderr, "forwardload receive:", err)
				}
				conn.Close()
			}()
		}
	}()
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, os.Interrupt)
	<-stop
	r.mu.Lock()
	defer r.mu.Unlock()
	return &received{Chunks: r.Chunks, Records: r.Records, Bytes: r.Bytes}, l.Close()
}

// take reads messages of mode PackedForward and acknowledges each.
func (r *received) take(conn net.Conn) error {
	in := bufio.NewReaderSize(conn, 256<<10)
	var ack []byte
	for {
		if _, err := in.Peek(1); err != nil {
			return err
		}
		p := parser{in: in}
		elements := p.container(0x90, 0xdc)
		p.skip(p.text())
		size := p.text()
		p.skip(size)
		var records int64
		var id []byte
		for n := p.options(elements); n > 0; n-- {
			switch key := p.bytes(p.text()); string(key) {
			case "size":
				records = p.integer()
			case "chunk":
				id = p.bytes(p.text())
			default:
				p.skip(p.text())
			}
		}
		if p.err != nil {
			return p.err
		}
		r.mu.Lock()
		r.Chunks++
		r.Records += records
		r.Bytes += int64(size)
		r.mu.Unlock()
		if id == nil {
			continue
		}
		ack = append(ack[:0], "\x81\xa3ack\xd9"...)
		ack = append(append(ack, byte(len(id))), id...)
		if _, err := conn.Write(ack); err != nil {
			return err
		}
	}
}

// parser reads as much of msgpack as is needed here. After its first error it
// reads nothing more.
type parser struct {
	in  *bufio.Reader
	err error
}

func (p *parser) number(n int) (v uint64) {
	var b [8]byte
	if p.err == nil {
		_, p.err = io.ReadFull(p.in, b[8-n:])
	}
	return binary.BigEndian.Uint64(b[:])
}

func (p *parser) unexpected(c uint64) {
	if p.err == nil {
		p.err = fmt.Errorf("found the byte %#x, which was not expected there", c)
	}
}

// container reads the head of an array or a map.
func (p *parser) container(fix, wide uint64) int {
	switch c := p.number(1); {
	case c&0xf0 == fix:
		return int(c & 0xf)
	case c == wide:
		return int(p.number(2))
	default:
		p.unexpected(c)
	}
	return 0
}

func (p *parser) options(elements int) int {
	if elements < 3 || p.err != nil {
		return 0
	}
	return p.container(0x80, 0xde)
}

// text reads the head of a str or bin and returns its length.
func (p *parser) text() int {
	switch c := p.number(1); {
	case c&0xe0 == 0xa0:
		return int(c & 0x1f)
	case c == 0xd9 || c == 0xc4:
		return int(p.number(1))
	case c == 0xda || c == 0xc5:
		return int(p.number(2))
	case c == 0xdb || c == 0xc6:
		return int(p.number(4))
	default:
		p.unexpected(c)
	}
	return 0
}

func (p *parser) integer() int64 {
	switch c := p.number(1); {
	case c < 0x80:
		return int64(c)
	case c >= 0xcc && c <= 0xcf:
		return int64(p.number(1 << (c - 0xcc)))
	case c >= 0xd0 && c <= 0xd3:
		return int64(p.number(1 << (c - 0xd0)))
	default:
		p.unexpected(c)
	}
	return 0
}

func (p *parser) skip(n int) {
	if p.err == nil {
		_, p.err = p.in.Discard(n)
	}
}

func (p *parser) bytes(n int) []byte {
	b := make([]byte, n)
	if p.err == nil {
		_, p.err = io.ReadFull(p.in, b)
	}
	return b
}
