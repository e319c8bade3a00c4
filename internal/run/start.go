package run

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/catalog"
	"github.com/spillway/spillway/internal/config"
	"github.com/spillway/spillway/internal/config/runfile"
	"github.com/spillway/spillway/internal/diskbuffer"
	"github.com/spillway/spillway/internal/pipeline"
)

// startLeg makes a leg and starts to deliver, at first what an earlier run has
// left for it.
func (r *Run) startLeg(plan legPlan, at place) (*leg, error) {
	to, err := r.sinks.get(&plan.sink)
	if err != nil {
		return nil, err
	}
	disk, err := r.openDisk(&plan)
	if err != nil {
		return nil, errors.Join(err, r.sinks.put(to))
	}
	return r.startPipeline(plan, to, disk, at), nil
}

// openDisk opens the disk buffer of a leg, in mode spill.
func (r *Run) openDisk(plan *legPlan) (*buffer.Disk, error) {
	if plan.buffer.Mode != config.Spill {
		return nil, nil
	}
	about, err := json.Marshal(About{Route: plan.route, Sink: plan.sink.Name})
	if err != nil {
		return nil, err
	}
	return pipeline.OpenSpill(pipeline.Spill{
		StateDir: r.cfg.StateDir, Identity: plan.identity(), About: about, Owner: diskbuffer.Owner{UID: -1, GID: -1},
	}, plan.bufferOptions(), r.cfg.Log)
}

// About is what the disk buffer of a leg remembers of where its records go.
type About struct {
	Route string `json:"route"`
	Sink  string `json:"sink"`
}

// bufferOptions are those of the leg's buffer, with its share of the memory.
func (p *legPlan) bufferOptions() config.Buffer {
	o := p.buffer
	o.Limit = max(o.Limit/4*3, buffer.MinLimit)
	return o
}

func (r *Run) startPipeline(plan legPlan, to *sharedSink, disk *buffer.Disk, at place) *leg {
	cfg := pipeline.For(plan.bufferOptions(), disk, to.lent(), r.cfg.Log)
	cfg.Deliver.DeadLetters, cfg.Deliver.LettersOf = r.cfg.DeadLetters, plan.sink.Name
	l := newLeg(plan, to)
	l.settled = &r.settled
	l.place.Store(&at)
	cfg.Buffer.Settled = func(keys [][16]byte) { r.settled.told(*l.place.Load(), keys) }
	l.Pipeline = pipeline.Start(cfg)
	return l
}

// Bounds of a buffer of what goes to no sink, in bytes; it is a part of what is for
// receiving.
const (
	minRejects = 256 << 10
	maxRejects = 8 << 20
)

// rejectsPlans are the legs of what goes to no sink: first that of what is invalid,
// which is kept whatever the file says, and last that of what no route takes. Where
// the file keeps that as well they are one.
func rejectsPlans(file *runfile.File) []legPlan {
	kept := legPlan{
		route: "(unmatched)",
		sink:  runfile.Sink{Name: string(runfile.UnmatchedDeadLetter), Type: "dead-letters"},
		buffer: config.Buffer{
			Mode: config.Blocking, Limit: min(max(receiving(file)/8, minRejects), maxRejects), Drop: config.DropNewest,
		},
	}
	if file.Unmatched != runfile.UnmatchedDrop {
		return []legPlan{kept}
	}
	dropped := kept
	kept.route, dropped.sink.Name = "(invalid)", string(runfile.UnmatchedDrop)
	return []legPlan{kept, dropped}
}

func (r *Run) startRejects(plan legPlan) *leg {
	drops := plan.sink.Name == string(runfile.UnmatchedDrop)
	name := "dead letters"
	if drops {
		name = "unmatched: drop"
	}
	to := &sharedSink{
		Destination: &catalog.Destination{Name: name, Sink: refusal{r.router.Takes}, FlushInterval: time.Second},
		users:       1, closed: make(chan struct{}),
	}
	cfg := pipeline.For(plan.buffer, nil, to.Destination, r.cfg.Log)
	if !drops {
		cfg.Deliver.DeadLetters = r.cfg.DeadLetters
	}
	l := newLeg(plan, to)
	cfg.Buffer.Settled = func(keys [][16]byte) { r.settled.told(alone(plan.sink.Name), keys) }
	l.Pipeline = pipeline.Start(cfg)
	return l
}
