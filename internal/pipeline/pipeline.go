// Package pipeline assembles what a record passes, source to sink, and starts
// and stops it in a fixed order: the sources end first, then what they read is
// delivered, then the sink is closed, and the last balance is drawn.
package pipeline

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/catalog"
	"github.com/spillway/spillway/internal/config"
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

// For is the configuration of a pipeline to a destination; disk is what it has in
// mode spill.
func For(o config.Buffer, disk *buffer.Disk, d *catalog.Destination, log *slog.Logger) Config {
	cfg := Config{Buffer: bufferConfig(o), Sink: d.Sink, Deliver: deliverConfig(d), Log: log}
	cfg.Buffer.Disk = disk
	return cfg
}

func bufferConfig(o config.Buffer) buffer.Config {
	return buffer.Config{
		Limit: o.Limit, Mode: buffer.Mode(o.Mode), DropOldest: o.Drop == config.DropOldest,
		MaxBlock: o.MaxBlock, NoLossMarkers: !o.LossMarkers,
	}
}

func deliverConfig(d *catalog.Destination) deliver.Config {
	return deliver.Config{Name: d.Name, FlushInterval: d.FlushInterval, AttemptTimeout: d.AttemptTimeout}
}

// Pipeline is one route: an intake, a buffer, a destination.
type Pipeline struct {
	buffer  *buffer.Buffer
	deliver *deliver.Deliverer
	sink    sink.Sink
	cancel  context.CancelFunc
	done    chan struct{}
	kept    chan struct{} // closed when nobody looks after the disk any more
	unkeep  context.CancelFunc
	disk    *buffer.Disk // in mode spill
}

// Start makes a pipeline and starts to deliver. It waits for nothing.
func Start(cfg Config) *Pipeline {
	cfg.Buffer.Sink = cfg.Sink.Limits()
	cfg.Deliver.Log = cfg.Log
	b := buffer.New(cfg.Buffer, ledger.New())
	ctx, cancel := context.WithCancel(context.Background())
	keeping, unkeep := context.WithCancel(context.Background())
	p := &Pipeline{
		buffer: b, deliver: deliver.New(cfg.Deliver, b, cfg.Sink), sink: cfg.Sink, cancel: cancel, done: make(chan struct{}),
		kept: make(chan struct{}), unkeep: unkeep, disk: cfg.Buffer.Disk,
	}
	go func() {
		defer close(p.done)
		p.deliver.Run(ctx)
	}()
	go func() {
		defer close(p.kept)
		b.Keep(keeping)
	}()
	return p
}

// Intake is where sources hand over what they read. A stream is opened before.
func (p *Pipeline) Intake() *buffer.Buffer { return p.buffer }

// Hurry makes everything leave at once, because the sources are about to end.
func (p *Pipeline) Hurry() { p.deliver.Hurry() }

// StopBy bounds the rest of the pipeline's life. A little before the deadline,
// so that answers which are under way can still come, no further attempt is
// made, and what is held is dropped and counted under the reason shutdown, as is
// whatever the sources still hand over. At the deadline attempts are cut off. It
// may be called more than once; the earliest deadline holds.
//
// Where there is a disk nothing is dropped that it takes: what is held goes there
// as soon as the destination fails or is silent, or a little before the deadline.
func (p *Pipeline) StopBy(deadline time.Time) {
	if p.disk != nil {
		p.leaveToDisk(time.Now(), deadline)
	}
	var look func()
	look = func() {
		// How long an answer takes may only be learned on the way.
		left := time.Until(deadline) - p.deliver.SlowAnswer()*5/4 - stopMargin
		select {
		case <-p.done:
			return
		default:
		}
		if left > 0 {
			time.AfterFunc(min(left, stopMargin), look)
			return
		}
		p.abandon()
	}
	look()
	time.AfterFunc(time.Until(deadline), func() {
		p.abandon()
		p.cancel()
	})
}

// abandon drops what is held and lets no further attempt begin.
func (p *Pipeline) abandon() {
	p.buffer.Abandon()
	p.deliver.Abandon()
}

// stopMargin is left at the end for the last answers and the last balance.
const stopMargin = 100 * time.Millisecond

// Overdue is for how long an attempt is under way that was cut off; see
// deliver.Deliverer.Overdue.
func (p *Pipeline) Overdue() time.Duration { return p.deliver.Overdue() }

// Forsake settles what is held in the place of attempts that do not come back, once the
// time of StopBy is over: it is on the disk, given back to its source, or dropped and
// counted. Drain does not return before they do.
func (p *Pipeline) Forsake() {
	p.abandon()
	p.deliver.Forsake()
}

// Drain returns when everything is delivered, or dropped because of StopBy. The
// sources must have ended.
func (p *Pipeline) Drain() {
	p.deliver.Drain()
	<-p.done
}

// Close ends the pipeline after Drain.
func (p *Pipeline) Close() error {
	p.cancel()
	<-p.done
	p.unkeep()
	<-p.kept
	return errors.Join(p.buffer.Close(), p.sink.Close())
}
