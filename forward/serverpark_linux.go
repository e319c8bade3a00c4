package forward

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
)

// parking is where connections wait on which nothing has come for a while. There
// they take no goroutine, whose stack is most of what an idle connection costs: one
// goroutine waits for all of them, and gives one of its own to each on which more
// comes than it can read by itself (epoll(7)). Only so many have one at a time; the
// others wait for their turn.
type parking struct {
	s    *Server
	fd   int // of file; not used once closed
	file *os.File
	raw  syscall.RawConn

	mu      sync.Mutex
	conns   map[int32]*serverConn // by their descriptors
	turns   int                   // taken by connections at work
	shaking int                   // taken by handshakes, beside those
	queues  [queues][]*serverConn // those that wait for theirs
	given   int                   // turns that were given to one that has waited
	queued  int                   // connections in queues
	closed  bool

	few    atomic.Bool // more than half of the turns are taken
	shakes atomic.Bool // handshakes wait for theirs
}

// newParking makes one for the connections of s.
func newParking(s *Server) (*parking, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("wait for idle connections: epoll_create1: %w", err)
	}
	if err := syscall.SetNonblock(fd, true); err != nil {
		return nil, errors.Join(fmt.Errorf("wait for idle connections: %w", err), syscall.Close(fd))
	}
	p := &parking{s: s, fd: fd, file: os.NewFile(uintptr(fd), "epoll"), conns: make(map[int32]*serverConn)}
	if p.raw, err = p.file.SyscallConn(); err != nil {
		return nil, errors.Join(fmt.Errorf("wait for idle connections: %w", err), p.file.Close())
	}
	return p, nil
}

// run waits for the connections, until close.
func (p *parking) run() {
	var events [128]syscall.EpollEvent
	for {
		n := 0
		if err := p.raw.Read(func(fd uintptr) bool {
			var err error
			n, err = syscall.EpollWait(int(fd), events[:], 0)
			return n > 0 || err != nil && !errors.Is(err, syscall.EINTR)
		}); err != nil {
			return // It is closed.
		}
		for _, e := range events[:max(n, 0)] {
			p.mu.Lock()
			c := p.conns[e.Fd]
			if c != nil && !c.sip(uintptr(e.Fd)) { // It is not closed while it is here.
				p.remove(c)
				p.ask(c)
			}
			p.mu.Unlock()
		}
	}
}

// park takes a connection that has nothing to do before something comes, or that is
// closed, and its turn. It reports false where the connection has to wait by itself.
func (p *parking) park(c *serverConn) bool {
	parked := false
	err := c.raw.Control(func(fd uintptr) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.closed || c.isStopped() {
			return
		}
		e := syscall.EpollEvent{Events: syscall.EPOLLIN | syscall.EPOLLRDHUP, Fd: int32(fd)}
		if syscall.EpollCtl(p.fd, syscall.EPOLL_CTL_ADD, int(fd), &e) != nil {
			return
		}
		parked, c.place = true, int32(fd)
		p.conns[c.place] = c
		p.giveBack(c)
	})
	return parked && err == nil
}

func (p *parking) remove(c *serverConn) {
	delete(p.conns, c.place)
	if !p.closed {
		// It is there: a connection leaves before it is closed.
		_ = syscall.EpollCtl(p.fd, syscall.EPOLL_CTL_DEL, int(c.place), nil)
	}
}

// leave lets a connection that is stopped go on, if it is here. It needs no turn:
// what it does is not much.
func (p *parking) leave(c *serverConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.conns[c.place] == c:
		p.remove(c)
	case c.queued:
		c.queued = false
		p.queued--
	default:
		return
	}
	c.resume()
}

// close ends run. Connections that are still here leave when they are stopped.
func (p *parking) close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	return p.file.Close()
}
