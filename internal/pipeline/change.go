package pipeline

import (
	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/catalog"
	"github.com/spillway/spillway/internal/config"
)

// Exchange makes another destination that of the pipeline, which then closes its sink.
// The one before is the caller's, who may close it when the returned channel is closed;
// see deliver.Deliverer.Exchange. It must not be called once Close is.
func (p *Pipeline) Exchange(d *catalog.Destination) (free <-chan struct{}) {
	p.sink = d.Sink
	return p.deliver.Exchange(deliverConfig(d), d.Sink)
}

// Changes reports whether Change can make a pipeline of these options one of the
// others. What is on a disk, and when it is written there, belongs to the life of one
// buffer.
func Changes(from, to config.Buffer) bool {
	return (from.Mode == config.Spill) == (to.Mode == config.Spill) && from.Durability == to.Durability
}

// Change prepares other options of the buffer, and returns what puts them in use,
// which cannot fail. Changes must report true of them and of those in use.
func (p *Pipeline) Change(o config.Buffer) (use func(), err error) {
	if p.disk == nil {
		return func() { p.buffer.Change(bufferConfig(o), "") }, nil
	}
	options, err := bounds(p.disk.Store, o)
	if err != nil {
		return nil, err
	}
	return func() {
		p.disk.Store.Rebound(options)
		p.buffer.Change(bufferConfig(o), buffer.WhenFull(o.WhenFull))
	}, nil
}
