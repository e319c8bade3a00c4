package runcatalog

import (
	"context"
	"sync"
	"time"

	"github.com/spillway/spillway/internal/ecs"
)

// The agent may be slower to start than this process. A source takes nothing for up to
// askFirst while it is asked; then it takes records as they are, and the agent is asked
// again after askPause, and more and more seldom up to askSeldom, until it answers.
const (
	askFirst  = 5 * time.Second
	askPause  = 500 * time.Millisecond
	askSeldom = time.Minute
)

// asking is the question which ECS task this is.
type asking struct {
	ask    func(context.Context) (ecs.Task, error)
	cancel context.CancelFunc
	done   chan struct{}

	mu      sync.Mutex
	trouble string // why there is no answer
	since   time.Time
}

// fields are those that FireLens' own configuration adds.
func fields(t ecs.Task) [][2]string {
	return [][2]string{{"ecs_cluster", t.Cluster}, {"ecs_task_arn", t.ARN}, {"ecs_task_definition", t.Definition}}
}

// first asks for as long as the source may wait for it, and returns nil where there is
// no answer.
func (a *asking) first() [][2]string {
	ctx, cancel := context.WithTimeout(context.Background(), askFirst)
	defer cancel()
	return a.until(ctx, askPause)
}

// goOn asks until there is an answer, or stop is called, and hands it over.
func (a *asking) goOn(set func([][2]string)) {
	var ctx context.Context
	ctx, a.cancel = context.WithCancel(context.Background())
	a.done = make(chan struct{})
	go func() {
		defer close(a.done)
		if f := a.until(ctx, askSeldom); f != nil {
			set(f)
		}
	}()
}

// until asks until there is an answer, or ctx ends: then it returns nil.
func (a *asking) until(ctx context.Context, seldom time.Duration) [][2]string {
	for pause := askPause; ; pause = min(2*pause, seldom) {
		t, err := a.ask(ctx)
		a.says(err)
		if err == nil {
			return fields(t)
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
	}
}

func (a *asking) says(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err == nil {
		a.trouble, a.since = "", time.Time{}
		return
	}
	a.trouble = "records get no fields of their ECS task: " + err.Error()
	if a.since.IsZero() {
		a.since = time.Now().UTC()
	}
}

// wrong is why there is no answer, and since when; empty where nobody asks.
func (a *asking) wrong() (text string, since time.Time) {
	if a == nil {
		return "", since
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.trouble, a.since
}

// stop ends the asking.
func (a *asking) stop() {
	if a != nil && a.cancel != nil {
		a.cancel()
		<-a.done
	}
}
