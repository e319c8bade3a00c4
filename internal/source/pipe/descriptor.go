package pipe

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// pipeSize is what a pipe is grown to where that is allowed; unprivileged users
// may have this much in /proc/sys/fs/pipe-max-size.
const pipeSize = 1 << 20

// Descriptor is the reading end of a pipe. It stays out of the runtime's
// poller, which wakes the process for every write into a pipe that it watches,
// also while nobody wants to read: a reader that rests would cost more than one
// that does not. Waiting takes a thread instead.
type Descriptor struct {
	name    string
	fd      int
	wake    int // an eventfd that ends the waiting
	stopped atomic.Bool

	closing sync.Mutex // keeps stop away from descriptors that are others' by now
	closed  bool
}

// Open takes over the reading end fd of a pipe, which errors call name. A child
// does not inherit it.
func Open(fd int, name string) (*Descriptor, error) {
	unix.CloseOnExec(fd)
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, fmt.Errorf("take over the pipe of %s: %w", name, err)
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("make what ends the reading of %s: %w", name, err)
	}
	return &Descriptor{name: name, fd: fd, wake: wake}, nil
}

// Grow enlarges the pipe where that is allowed, so that its writer is held up
// later, and returns the size it has then, in bytes. An error says why it could
// not grow; the reading works all the same.
func (d *Descriptor) Grow() (int, error) {
	_, grown := unix.FcntlInt(uintptr(d.fd), unix.F_SETPIPE_SZ, pipeSize)
	size, err := unix.FcntlInt(uintptr(d.fd), unix.F_GETPIPE_SZ, 0)
	return size, errors.Join(grown, err)
}

// Close closes the pipe, of which no read is under way. A second call does
// nothing.
func (d *Descriptor) Close() error {
	d.closing.Lock()
	defer d.closing.Unlock()
	if d.closed {
		return nil
	}
	d.closed = true
	return errors.Join(unix.Close(d.fd), unix.Close(d.wake))
}

// stop ends the waiting for good. After Close there is none, and nothing to do.
func (d *Descriptor) stop() error {
	d.stopped.Store(true)
	d.closing.Lock()
	defer d.closing.Unlock()
	if d.closed {
		return nil
	}
	one := [8]byte{1}
	if _, err := unix.Write(d.wake, one[:]); err != nil && !errors.Is(err, unix.EAGAIN) {
		return fmt.Errorf("end the reading of %s: %w", d.name, err)
	}
	return nil
}

// read reads what there is, and waits for something for at most wait, or for
// ever where that is negative. It returns nothing when it has waited in vain,
// and the end of the file when the pipe has ended or, after stop, is empty.
func (d *Descriptor) read(p []byte, wait time.Duration) (int, error) {
	for {
		stopped := d.stopped.Load()
		n, err := unix.Read(d.fd, p)
		switch {
		case err == nil && n > 0:
			return n, nil
		case err == nil:
			return 0, io.EOF
		case errors.Is(err, unix.EINTR):
		case !errors.Is(err, unix.EAGAIN):
			return 0, fmt.Errorf("read %s: %w", d.name, err)
		case stopped:
			return 0, io.EOF
		case wait == 0:
			return 0, nil
		default:
			if err := d.wait(wait, d.fd, d.wake); err != nil {
				return 0, err
			}
			if wait > 0 {
				wait = 0
			}
		}
	}
}

// rest waits for as long as is said, or until stop.
func (d *Descriptor) rest(pause time.Duration) {
	if !d.stopped.Load() {
		// A rest that is cut short by a signal is as good.
		_ = d.wait(pause, d.wake)
	}
}

// wait waits until one of the descriptors can be read, or for the time given.
func (d *Descriptor) wait(limit time.Duration, fds ...int) error {
	polled := make([]unix.PollFd, 0, 2)
	for _, fd := range fds {
		polled = append(polled, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
	}
	var timeout *unix.Timespec
	if limit >= 0 {
		t := unix.NsecToTimespec(limit.Nanoseconds())
		timeout = &t
	}
	if _, err := unix.Ppoll(polled, timeout, nil); err != nil && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("wait for %s: %w", d.name, err)
	}
	return nil
}
