package deliver

import "sync"

// event is something that happens once.
type event struct {
	once *sync.Once
	ch   chan struct{}
}

func newEvent() event { return event{new(sync.Once), make(chan struct{})} }

func (e event) happens() { e.once.Do(func() { close(e.ch) }) }

func (e event) happened() bool { return isClosed(e.ch) }

// first is ready once the event happens, and nil where it has happened already, so
// that a loop which waits for it does not spin.
func (e event) first() <-chan struct{} {
	if e.happened() {
		return nil
	}
	return e.ch
}

func isClosed(settled <-chan struct{}) bool {
	select {
	case <-settled:
		return true
	default:
		return false
	}
}
