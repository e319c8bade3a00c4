package forward

import "math/bits"

// blockPool keeps blocks of the usual sizes for the next chunk. What it keeps is
// inside the buffer's limit.
type blockPool struct {
	classes [9][][]byte // smallestBlock to largestBlock
	bytes   int64
	most    int64
}

// class is the place of a size in classes; -1 if it has none.
func class(size int) int {
	c := bits.Len(uint(size)) - bits.Len(smallestBlock)
	if c < 0 || size > largestBlock || size != smallestBlock<<c {
		return -1
	}
	return c
}

func (p *blockPool) get(size int) []byte {
	if c := class(size); c >= 0 {
		if kept := p.classes[c]; len(kept) > 0 {
			b := kept[len(kept)-1]
			kept[len(kept)-1] = nil
			p.classes[c] = kept[:len(kept)-1]
			p.bytes -= int64(size)
			return b
		}
	}
	return make([]byte, 0, size)
}

func (p *blockPool) put(b []byte) {
	c := class(cap(b))
	if c < 0 || p.bytes+int64(cap(b)) > p.most {
		return
	}
	p.classes[c] = append(p.classes[c], b[:0])
	p.bytes += int64(cap(b))
}

// shrink gives up blocks until at most this many bytes are kept.
func (p *blockPool) shrink(most int64) {
	for c := len(p.classes) - 1; c >= 0 && p.bytes > most; c-- {
		for n := len(p.classes[c]); n > 0 && p.bytes > most; n-- {
			p.bytes -= int64(cap(p.classes[c][n-1]))
			p.classes[c][n-1] = nil
			p.classes[c] = p.classes[c][:n-1]
		}
	}
}
