package kafka

// large is what a worker holds of records that are larger than usual: what is unpacked
// of one, a block that is unpacked at once, and the chunk that a record becomes. It is mapped and not allocated, so that it is
// gone at once when it is not needed any more, and takes no more than is touched.
type large struct{ window, block, bodies []byte }

func (l *large) held() bool { return l.window != nil || l.block != nil || l.bodies != nil }

// largeWindow gives the memory for unpacked records of a batch.
func (w *worker) largeWindow(int) []byte {
	w.enlarge(&w.large.window, w.cfg.MaxRecord+w.cfg.MaxRecord/8)
	return w.large.window
}

// largeBlock gives the memory for a block that is unpacked at once.
func (w *worker) largeBlock(size int) []byte {
	if len(w.large.block) < size {
		w.enlarge(&w.large.block, size)
	}
	return w.large.block
}

// largeBodies gives the memory for a chunk of that size, when there is nothing in the
// one before.
func (w *worker) largeBodies(size int) []byte {
	if len(w.large.bodies) < size {
		w.enlarge(&w.large.bodies, max(size, w.cfg.MaxRecord+w.cfg.MaxRecord/8))
	}
	return w.large.bodies[:0]
}

// enlarge maps memory. One worker at a time has any: what is to hold many small records
// would have to hold many large ones.
func (w *worker) enlarge(which *[]byte, size int) {
	if !w.large.held() {
		w.largest.Lock()
	}
	w.reduce(which)
	*which = mapMemory(size)
	w.memory.overdraw(int64(size))
}

func (w *worker) reduce(which *[]byte) {
	if *which != nil {
		w.memory.give(int64(len(*which)))
		unmap(*which)
		*which = nil
	}
}

// shrink lets go of what large records have taken, at the end of a batch.
func (w *worker) shrink() {
	if !w.large.held() {
		return
	}
	w.flush()
	w.records.Trim()
	w.bodies, w.value = newBodies(), nil
	w.reduce(&w.large.window)
	w.reduce(&w.large.block)
	w.reduce(&w.large.bodies)
	w.largest.Unlock()
}
