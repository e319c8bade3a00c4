// Package rawconn reads and writes connections without telling the runtime's scheduler
// of it.
//
// Before a call of the system the runtime notes that the goroutine may be away for
// long, so that its monitor gives the processor to others where it is. A call on a
// socket of Go's never waits: it copies what is there, or fails with EAGAIN, and the
// goroutine is parked. But to copy 100 KiB takes longer than the monitor's interval of
// 20 µs. While that happens the monitor takes processors away and looks again after
// another 20 µs, where it would rest for 10 ms; threads are woken for what comes back
// at once. With some 10,000 such calls a second that was an eighth of all processor
// time.
//
// What is given up is little: a collection that stops all goroutines may wait for one
// such copy. It is for connections that carry much; others gain nothing.
//
// It refuses to be anything but the same connection: deadlines, Close and errors are
// those of package net.
package rawconn

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
)

// Wrap returns c, or one in its stead that makes its calls of the system as the package
// says: where c is a connection of package net over TCP or a unix socket that is a stream.
// What is over others, such as TLS, has to be wrapped below.
//
// Reads may be at work at the same time as writes. Like those of package net, several
// reads, or several writes, take turns.
func Wrap(c net.Conn) net.Conn {
	switch c := c.(type) {
	case *net.TCPConn:
		return wrap(c, c)
	case *net.UnixConn:
		if c.LocalAddr().Network() == "unix" {
			return wrap(c, c)
		}
	}
	return c
}

func wrap(c net.Conn, of syscall.Conn) net.Conn {
	raw, err := of.SyscallConn()
	if err != nil {
		return c // It is closed, which it says itself.
	}
	w := &conn{Conn: c, raw: raw}
	w.reads.try, w.writes.try = w.reads.read, w.writes.write
	return w
}

type conn struct {
	net.Conn
	raw    syscall.RawConn
	reads  direction
	writes direction
}

// direction is one of both ways of a connection, and the call that is made there. A
// call's parts stand here, since a closure of its own for each would be allocated.
type direction struct {
	mu  sync.Mutex
	try func(fd uintptr) (done bool)
	p   []byte
	n   int
	err error
}

// begin makes p what is read or written. The lock is held.
func (d *direction) begin(p []byte) { d.p, d.n, d.err = p, 0, nil }

// end returns what came of it; err is why it was not tried, or not again.
func (d *direction) end(err error) (int, error) {
	n := d.n
	if d.err != nil {
		err = d.err
	}
	d.p, d.err = nil, nil
	return n, err
}

// read reads what is there.
func (d *direction) read(fd uintptr) (done bool) {
	for {
		n, err := readNow(fd, d.p)
		switch {
		case err == nil:
			d.n = n
			return true
		case errors.Is(err, syscall.EAGAIN):
			return false
		case !errors.Is(err, syscall.EINTR):
			d.err = os.NewSyscallError("read", err)
			return true
		}
	}
}

// write writes what is taken at once, until there is no more to write.
func (d *direction) write(fd uintptr) (done bool) {
	for d.n < len(d.p) {
		n, err := writeNow(fd, d.p[d.n:])
		switch {
		case err == nil:
			d.n += n
		case errors.Is(err, syscall.EAGAIN):
			return false
		case !errors.Is(err, syscall.EINTR):
			d.err = os.NewSyscallError("write", err)
			return true
		}
	}
	return true
}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	d := &c.reads
	d.mu.Lock()
	d.begin(p)
	n, err := d.end(c.raw.Read(d.try))
	d.mu.Unlock()
	if err != nil {
		return n, c.failed("read", err)
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// Write implements net.Conn.
func (c *conn) Write(p []byte) (int, error) {
	d := &c.writes
	d.mu.Lock()
	d.begin(p)
	n, err := d.end(c.raw.Write(d.try))
	d.mu.Unlock()
	if err != nil {
		return n, c.failed("write", err)
	}
	return n, nil
}

// failed says of an error what package net says of those of its connections.
func (c *conn) failed(op string, err error) error {
	var known *net.OpError
	if errors.As(err, &known) {
		err = known.Err // It was a raw read, or write, there.
	}
	return &net.OpError{Op: op, Net: c.LocalAddr().Network(), Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}
