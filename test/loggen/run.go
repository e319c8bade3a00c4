package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"
)

// output takes one block of lines and returns when all of it is written, or how far it came.
type output func([]byte) (int, error)

// openOutput makes writes to fd plain blocking calls, so that the time of a call is the time the application would
// have been held up, whatever the one who opened the descriptor left it at.
func openOutput(fd int) (output, error) {
	if err := syscall.SetNonblock(fd, false); err != nil {
		return nil, fmt.Errorf("make descriptor %d blocking: %w", fd, err)
	}
	return func(block []byte) (int, error) {
		done := 0
		for done < len(block) {
			n, err := syscall.Write(fd, block[done:])
			if err == syscall.EINTR {
				continue
			}
			if err != nil {
				return done, fmt.Errorf("write to descriptor %d: %w", fd, err)
			}
			done += n
		}
		return done, nil
	}, nil
}

// run writes what the plan says and measures every write. It returns the result also where a write failed.
//
// A paced run keeps to a timetable made at its start: after a write that was held up, the lines that became due
// meanwhile follow at once, so that the run may end late but never short, and their delay is counted from when they
// were due. A generator that waited for the reader and then started counting anew would hide the very stalls that it
// is there to find.
func run(p plan, r *ring, out output) (*result, error) {
	// One thread, no collector, the finest timer: nothing of this process may look like a stall of the reader.
	runtime.LockOSThread()
	debug.SetGCPercent(-1)
	if err := setTimerSlack(); err != nil {
		return newResult(p), err
	}
	res := newResult(p)
	start := time.Now()
	res.FirstWriteAt = start
	res.First = p.start
	var done int64
	var err error
	for done < p.lines && err == nil {
		n, due := p.next(done)
		if p.rate == 0 && p.duration > 0 && time.Since(start) >= p.duration {
			break
		}
		block := r.take(done, n, p.start+done)
		sleepUntil(start, due)
		began := time.Since(start)
		var written int
		written, err = out(block)
		ended := time.Since(start)
		done += int64(written / r.stride)
		if p.rate == 0 {
			due = began
		}
		res.add(began, ended, due, int64(written/r.stride))
	}
	res.finish(time.Since(start))
	return res, err
}

// next says how many lines the write after done lines holds at most, and when after the start it is due.
func (p plan) next(done int64) (lines int, due time.Duration) {
	n := min(int64(p.linesPerWrite), p.lines-done)
	if p.rate == 0 {
		return int(n), 0
	}
	size := int64(p.size)
	if !p.burst {
		return int(n), time.Duration(float64(done*size) / float64(p.rate) * float64(time.Second))
	}
	second := done * size / p.rate
	firstOfNext := ((second+1)*p.rate + size - 1) / size
	return int(min(n, firstOfNext-done)), time.Duration(second) * time.Second
}

// sleepUntil returns at the given time after start. Go's own timers wake up to a millisecond late, which at 1,000
// writes a second would turn an even pace into pairs of writes.
func sleepUntil(start time.Time, due time.Duration) {
	for {
		left := due - time.Since(start)
		if left <= 0 {
			return
		}
		ts := syscall.NsecToTimespec(int64(left))
		// An interrupted sleep is simply continued by the loop; nothing else can fail here.
		if err := syscall.Nanosleep(&ts, nil); err != nil && err != syscall.EINTR {
			return
		}
	}
}

// setTimerSlack asks the kernel to wake this thread on time; by default it may be 50 µs late.
func setTimerSlack() error {
	const prSetTimerSlack = 29
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, prSetTimerSlack, 1, 0); errno != 0 {
		return fmt.Errorf("set the timer slack: %w", errno)
	}
	return nil
}
