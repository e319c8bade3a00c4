package forward

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// Address is where a source listens.
type Address struct {
	// Network is "tcp", "tls" or "unix"; TLS begins with the first byte.
	Network string
	// Addr is host:port, or the path of a unix socket.
	Addr string
}

// String returns the address as configurations write it.
func (a Address) String() string {
	switch a.Network {
	case "tls":
		return "tls://" + a.Addr
	case "unix":
		return "unix:" + a.Addr
	}
	return a.Addr
}

// port is one address on which is listened, whichever source does. A source has a
// lease of it; another lease takes its place, so that a source can be changed
// while its address stays open.
type port struct {
	address Address
	net.Listener

	mu      sync.Mutex
	holder  *lease
	started bool          // somebody accepts; before the first lease connections wait in the kernel
	over    chan struct{} // closed when the port is
	done    chan struct{} // closed when nobody accepts any more
}

// lease is a port for one source. It implements net.Listener; closing the last
// lease closes the port.
type lease struct {
	port    *port
	allowed func(net.Addr) bool
	conns   chan accepted
	over    chan struct{}
	once    sync.Once
}

// accepted is a connection, or why there is none.
type accepted struct {
	net.Conn
	err error
}

// openPort begins to listen.
func openPort(a Address, mode fs.FileMode) (*port, error) {
	network := "tcp"
	if a.Network == "unix" {
		network = "unix"
		if err := clearSocket(a.Addr); err != nil {
			return nil, err
		}
	}
	l, err := net.Listen(network, a.Addr)
	if err != nil {
		return nil, listenError(a, err)
	}
	if a.Network == "unix" {
		if err := os.Chmod(a.Addr, mode); err != nil {
			return nil, errors.Join(fmt.Errorf("listen on %s: %w", a, err), l.Close())
		}
	}
	return &port{address: a, Listener: l, over: make(chan struct{}), done: make(chan struct{})}, nil
}

// listenError says why nobody can listen there, and what to do; the library's own words
// name the address twice.
func listenError(a Address, err error) error {
	do := ""
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		do = "; end who listens there, or give another address"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		do = "; this machine does not have that address: give one of its own, or 0.0.0.0 for all of them"
	case errors.Is(err, fs.ErrPermission) && a.Network != "unix":
		do = "; ports below 1024 are for root and for who has CAP_NET_BIND_SERVICE: give another port"
	case errors.Is(err, fs.ErrPermission) && a.Network == "unix":
		do = "; let this process write to the directory, or give another path"
	case errors.Is(err, fs.ErrNotExist):
		do = "; make the directory, or give another path"
	}
	var call *os.SyscallError
	if errors.As(err, &call) {
		err = call.Err
	}
	return fmt.Errorf("listen on %s: %w%s", a, err, do)
}

// clearSocket removes a socket on which nobody listens any more.
func clearSocket(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at the socket: %w", err)
	}
	if info.Mode()&fs.ModeSocket == 0 {
		return fmt.Errorf("listen on unix:%s: there is a file of that name, and it is no socket; remove it", path)
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		return errors.Join(fmt.Errorf("listen on unix:%s: another process does", path), conn.Close())
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("listen on unix:%s: see whether another process does: %w", path, err)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("remove a socket of a process that is gone: %w", err)
	}
	return nil
}

// lease makes a lease that gets the next connections, of the peers that are
// allowed; the one before it gets no more.
func (p *port) lease(allowed func(net.Addr) bool) *lease {
	l := &lease{port: p, allowed: allowed, conns: make(chan accepted), over: make(chan struct{})}
	p.mu.Lock()
	before := p.holder
	p.holder = l
	if !p.started {
		p.started = true
		go p.accept()
	}
	p.mu.Unlock()
	if before != nil {
		before.end()
	}
	return l
}

func (p *port) accept() {
	defer close(p.done)
	for {
		conn, err := p.Listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			// Descriptors or memory have run out: others may give some back. The server
			// counts it.
			p.give(accepted{err: passing{err}})
			select {
			case <-time.After(acceptPause):
			case <-p.over:
			}
			continue
		}
		p.give(accepted{Conn: conn})
	}
}

// passing is an error after which it is tried again, whatever it is.
type passing struct{ error }

// Temporary says so to the server.
func (passing) Temporary() bool { return true }

// acceptPause is how long nothing is accepted where the system refuses to.
const acceptPause = 50 * time.Millisecond

// give hands a connection to who holds the port, whoever that becomes meanwhile.
func (p *port) give(conn accepted) {
	for {
		p.mu.Lock()
		l := p.holder
		p.mu.Unlock()
		if l == nil || conn.err == nil && !l.allowed(conn.RemoteAddr()) {
			// The peer sees a closed connection.
			if conn.err == nil {
				_ = conn.Close() // Nothing was read from it.
			}
			return
		}
		select {
		case l.conns <- conn:
			return
		case <-l.over:
			p.mu.Lock()
			if p.holder == l {
				p.holder = nil
			}
			p.mu.Unlock()
		}
	}
}

// Accept implements net.Listener.
func (l *lease) Accept() (net.Conn, error) {
	select {
	case <-l.over:
		return nil, net.ErrClosed
	default:
	}
	select {
	case conn := <-l.conns:
		return conn.Conn, conn.err
	case <-l.over:
		return nil, net.ErrClosed
	}
}

// Addr implements net.Listener.
func (l *lease) Addr() net.Addr { return l.port.Addr() }

func (l *lease) end() { l.once.Do(func() { close(l.over) }) }

// Close implements net.Listener: the port is closed where no other lease has it.
func (l *lease) Close() error {
	l.end()
	l.port.mu.Lock()
	if l.port.holder == l {
		l.port.holder = nil
	}
	l.port.mu.Unlock()
	return l.port.abandon()
}

// abandon closes a port that nobody holds.
func (p *port) abandon() error {
	p.mu.Lock()
	held, started := p.holder != nil, p.started
	select {
	case <-p.over:
	default:
		if !held {
			close(p.over)
		}
	}
	p.mu.Unlock()
	if held {
		return nil
	}
	err := p.Listener.Close()
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	if started {
		<-p.done
	}
	return err
}
