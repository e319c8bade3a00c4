package diskbuffer

// How far before the reader the page cache is filled, in bytes, and the least that
// is worth a goroutine.
const (
	aheadMost  = 16 << 20
	aheadLeast = 1 << 20
)

// ahead brings what comes next into the page cache while what is at hand is
// checked, also across the end of a segment, where the kernel sees only the end of
// a file. So reading back takes as long as the disk does, and not as long as the
// disk and the checks. It costs no memory of this process.
type ahead struct {
	seg   *segment
	file  File
	upto  int64         // what was asked for of seg ends here
	limit int64         // what can be asked for of it
	busy  chan struct{} // closed when the last asking is over; nil before the first
}

// lookAhead asks for what comes next, where not enough was asked for. It does not
// wait for the disk.
func (r *reader) lookAhead() {
	a := &r.next
	if a.asking() {
		return
	}
	lead := a.upto - r.off
	switch {
	case a.seg == nil || a.seg == r.seg && lead < 0:
		a.move(r.store.dir, r.seg, r.off, r.limit)
		lead = 0
	case a.seg != r.seg:
		lead = r.limit - r.off + a.upto
	case a.limit-a.upto < aheadLeast && lead < aheadMost-aheadLeast:
		next, limit := r.after()
		if next == nil {
			return
		}
		a.move(r.store.dir, next, 0, limit)
		lead = r.limit - r.off
	}
	from, n := a.upto, min(aheadMost-lead, a.limit-a.upto)
	if n < aheadLeast || a.file == nil {
		return
	}
	file, busy := a.file, make(chan struct{})
	a.upto, a.busy = from+n, busy
	go func() {
		defer close(busy)
		file.Ahead(from, from+n)
	}()
}

// after is the segment behind the present one, and how much is in it.
func (r *reader) after() (*segment, int64) {
	r.store.mu.Lock()
	defer r.store.mu.Unlock()
	next := r.following()
	if next == nil {
		return nil, 0
	}
	return next, next.written
}

// move goes on with another segment. The kernel follows one reader of an open file,
// so the file is opened for this alone; without it, nothing is asked for.
func (a *ahead) move(dir FS, seg *segment, off, limit int64) {
	a.end()
	a.seg, a.upto, a.limit = seg, off, limit
	if f, err := dir.Open(seg.name, false); err == nil {
		a.file = f
	}
}

func (a *ahead) asking() bool {
	select {
	case <-a.busy:
		return false
	default:
		return a.busy != nil
	}
}

// end waits until nobody uses the file any more and closes it.
func (a *ahead) end() {
	if a.busy != nil {
		<-a.busy
	}
	if a.file != nil {
		a.file.Close() //nolint:errcheck // It was read, so that there is nothing to lose.
	}
	*a = ahead{}
}
