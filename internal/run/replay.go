package run

import (
	"context"
	"sync"

	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/route"
)

// replay is what hands dead letters to the routes once more, beside the sources of
// the file. The zero value does nothing.
type replay struct {
	cancel context.CancelFunc
	ended  chan struct{}

	mu   sync.RWMutex // held for reading while a letter is handed over
	over bool
}

// start runs a function that replays until it is told to end; nil is none.
func (p *replay) start(to *route.Router, run func(ctx context.Context, give func(destination string, c *record.Chunk) bool)) {
	if run == nil {
		return
	}
	var ctx context.Context
	ctx, p.cancel = context.WithCancel(context.Background())
	p.ended = make(chan struct{})
	go func() {
		defer close(p.ended)
		run(ctx, func(destination string, c *record.Chunk) bool {
			p.mu.RLock()
			defer p.mu.RUnlock()
			if p.over {
				c.Done(false)
				return true
			}
			return to.AdmitTo(destination, c)
		})
	}()
}

// stop returns when nothing is handed over any more. A leg that is full keeps it
// waiting, until the leg's own deadline.
func (p *replay) stop() {
	if p.cancel == nil {
		return
	}
	p.cancel()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
}

// wait returns when all that was handed over is answered for, which is when the legs
// are closed at the latest.
func (p *replay) wait() {
	if p.ended != nil {
		<-p.ended
	}
}
