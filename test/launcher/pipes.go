package launcher

import (
	"fmt"
	"os"
)

// Pipes are the stdout and stderr of a container that outlives its logger. containerd holds both ends of both pipes, so
// that what a container has written stays in them when the logger dies, and the next one reads on. They are given to
// one logger after the other in Spec.Pipes, and belong to the caller, who closes them.
type Pipes struct {
	// Stdout and Stderr are the write ends.
	Stdout, Stderr *os.File
	outR, errR     *os.File
}

// NewPipes opens both pipes.
func NewPipes() (*Pipes, error) {
	p := &Pipes{}
	for _, ends := range [][2]**os.File{{&p.outR, &p.Stdout}, {&p.errR, &p.Stderr}} {
		r, w, err := os.Pipe()
		if err != nil {
			p.Close()
			return nil, fmt.Errorf("open a pipe for the logger: %w", err)
		}
		*ends[0], *ends[1] = r, w
	}
	return p, nil
}

// CloseWriters closes both write ends, so that the present logger, or else the next one, sees the end of both streams.
func (p *Pipes) CloseWriters() { closeAll(p.Stdout, p.Stderr) }

// Close closes all ends. Closing twice is harmless.
func (p *Pipes) Close() {
	p.CloseWriters()
	closeAll(p.outR, p.errR)
}
