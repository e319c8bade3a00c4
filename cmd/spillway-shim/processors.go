package main

import (
	"runtime"
	"sync"
	"time"
)

// processors decides how many threads run Go code at once: one while little
// comes, and all that the runtime would use while much does. A container's logger
// rests most of the time, and with more than one each of its wake-ups wakes a
// second thread in vain, which costs a trickle a quarter more. A change stops the
// world for some microseconds, so there is one a second at most in each
// direction. Its methods may be called by several goroutines at once.
type processors struct {
	all int

	mu   sync.Mutex
	last time.Time   // when much came
	calm *time.Timer // looks whether that is over; nil while one thread does
}

// calmAfter is how long only little must come for one thread to do.
const calmAfter = time.Second

// newProcessors begins with one.
func newProcessors() *processors {
	return &processors{all: runtime.GOMAXPROCS(1)}
}

// busy says that much has come.
func (p *processors) busy() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = time.Now()
	if p.calm != nil || p.all == 1 {
		return
	}
	runtime.GOMAXPROCS(p.all)
	p.calm = time.AfterFunc(calmAfter, p.look)
}

// look goes back to one thread when it has been calm for long enough.
func (p *processors) look() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if left := calmAfter - time.Since(p.last); left > 0 {
		p.calm.Reset(left)
		return
	}
	runtime.GOMAXPROCS(1)
	p.calm = nil
}
