// Package pipeline assembles what a record passes, source to sink, and starts
// and stops it in a fixed order: the sources end first, then what they read is
// delivered, then the sink is closed, and the last balance is drawn.
package pipeline

import (
	"context"
	"log/slog"
	"time"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/deliver"
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/sink"
)

// Config says how a pipeline is made.
type Config struct {
	// Buffer bounds it; its Sink limits are taken from Sink.
	Buffer  buffer.Config
	Sink    sink.Sink
	Deliver deliver.Config
	Log     *slog.Logger
}

// Pipeline is one route: an intake, a buffer, a destination.
type Pipeline struct {
	buffer  *buffer.Buffer
	deliver *deliver.Deliverer
	sink    sink.Sink
	cancel  context.CancelFunc
	done    chan struct{}
}

// Start makes a pipeline and starts to deliver. It waits for nothing.
func Start(cfg Config) *Pipeline {
	cfg.Buffer.Sink = cfg.Sink.Limits()
	cfg.Deliver.Log = cfg.Log
	b := buffer.New(cfg.Buffer, ledger.New())
	ctx, cancel := context.WithCancel(context.Background())
	p := &Pipeline{
		buffer: b, deliver: deliver.New(cfg.Deliver, b, cfg.Sink), sink: cfg.Sink, cancel: cancel, done: make(chan struct{}),
	}
	go func() {
		defer close(p.done)
		p.deliver.Run(ctx)
	}()
	return p
}

// Intake is where sources hand over what they read. A stream is opened before.
func (p *Pipeline) Intake() *buffer.Buffer { return p.buffer }

// Drain delivers what is held, until ctx ends; what is left then is dropped and
// counted under the reason shutdown. The sources must have ended or be about to
// end: after a Drain that was cut short, whatever they still hand over is
// dropped, too.
func (p *Pipeline) Drain(ctx context.Context) {
	p.deliver.Drain()
	select {
	case <-p.done:
		return
	case <-ctx.Done():
	}
	p.buffer.Abandon()
	p.cancel()
	<-p.done
}

// Close ends the pipeline after Drain.
func (p *Pipeline) Close() error {
	p.cancel()
	<-p.done
	return p.sink.Close()
}

// Status is how a pipeline does at a moment.
type Status struct {
	Time    time.Time      `json:"time"`
	Balance ledger.Balance `json:"balance"`
	Buffer  buffer.State   `json:"buffer"`
	Health  deliver.Health `json:"destination"`
}

// Status returns how the pipeline does now.
func (p *Pipeline) Status() Status {
	return Status{Time: time.Now(), Balance: p.buffer.Balance(), Buffer: p.buffer.State(), Health: p.deliver.Health()}
}
