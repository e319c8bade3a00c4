package elasticsearch

import "sync"

// sizeLimit is the size of bodies that the destination seems to take: half of what
// it did not, and more after those that it took.
//
// A body that is cut off may have been too large, or the destination is away. Where much
// smaller ones are cut off just as well before any is taken, it was away, and the size
// comes back quickly; else it comes back slowly.
type sizeLimit struct {
	mu   sync.Mutex
	most int64 // 0 where nothing was refused
	good int   // bodies near that size that were taken since it last changed
	cut  int   // connections that ended in mid-body, one after the other
	vain int   // how often cuts made it smaller since a body was last taken
	away bool  // the cuts did not come from the size
	full int   // how many bodies found no room, one after the other
}

const (
	// leastSize is the limit below which only single records are smaller.
	leastSize = 4 << 10
	// growAfter is how many bodies are taken before a larger one is tried.
	growAfter = 64
	// cutsAllowed is how many connections may end in mid-body before the size is
	// taken for the cause.
	cutsAllowed = 2
	// fullAllowed is how many bodies may find no room in the destination's memory, with none
	// taken between them, before the size may be the cause: such a node counts what it is
	// sent, and more for each record, against a limit that one body alone can be above.
	fullAllowed = 4
	// vainAllowed is how often bodies are halved in vain before the size is taken for
	// innocent: a try that is too large may cost the time that a request has.
	vainAllowed = 3
)

// now is the size at which a body ends. Requests are gathered by the size of records
// as they are held, which is less than that of documents.
func (l *sizeLimit) now(gathered int) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.most > 0 {
		return l.most
	}
	return 2 * int64(gathered)
}

// tooLarge notes that a body of that size was not taken for its size.
func (l *sizeLimit) tooLarge(size int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.vain, l.away = 0, false
	l.narrow(size)
}

func (l *sizeLimit) narrow(size int64) {
	if half := max(size/2, leastSize); l.most == 0 || half < l.most {
		l.most = half
	}
	l.good, l.cut, l.full = 0, 0, 0
}

// cutOff notes that a connection ended, or time ran out, before the whole body was
// taken.
func (l *sizeLimit) cutOff(size int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut++; l.cut >= cutsAllowed {
		l.inVain(size)
	}
}

// noRoom notes that a body of that size was not taken since there is no room now, which
// may be the load, or the size.
func (l *sizeLimit) noRoom(size int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.full++; l.full >= fullAllowed {
		l.inVain(size)
	}
}

// inVain narrows the size on a guess; the lock is held.
func (l *sizeLimit) inVain(size int64) {
	l.vain++
	l.away = false
	l.narrow(size)
}

// forget takes back what connections that were cut off seemed to say of the size.
func (l *sizeLimit) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.most, l.good, l.cut, l.full, l.vain, l.away = 0, 0, 0, 0, 0, false
}

// taken notes that a body of that size was taken.
func (l *sizeLimit) taken(size int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.away = l.away || l.vain > vainAllowed
	l.cut, l.full, l.vain = 0, 0, 0
	if l.most == 0 || size < l.most/2 {
		return // It says nothing of larger ones.
	}
	l.good++
	switch {
	case l.away:
		l.most, l.good = 2*l.most, 0
	case l.good >= growAfter:
		l.most, l.good = l.most+l.most/4, 0
	}
}
