package record

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// What stands between the header of a batch and its frames: a u16 in the header says
// how many bytes in its low 12 bits, and of what in its high 4. An origin alone has
// none of them set, which is how it was written before there was anything else. Of the
// name of a source, which came last, the header's encoding speaks.

const (
	extraSize = 1<<12 - 1

	hasPartition = 1 << 12
	hasOriginal  = 2 << 12
	hasOrigin    = 4 << 12
	hasRefusal   = 8 << 12
)

// identitySize is that of an identity in a batch, in bytes.
const identitySize = 24

// MaxExtra is the most that stands between a header and the frames, in bytes.
const MaxExtra = OriginSize + identitySize + 1 + maxReason + 1 + MaxSource + partitionFixed + MaxTopic

// extra is how many bytes stand behind the header.
func (b *Batch) extra() int {
	n := b.Origin.size() + len(b.Refusal) + sourceSize(b.Source) + len(b.Partition)
	if b.Original.Known() {
		n += identitySize
	}
	return n
}

// putExtra writes what stands behind the header, where there is anything, and returns
// the word of the header that says what it is.
func (b *Batch) putExtra(dst []byte) uint16 {
	word, n := uint16(0), 0
	if b.Origin.Known() {
		b.Origin.put(dst)
		word, n = hasOrigin, OriginSize
	}
	if b.Original.Known() {
		copy(dst[n:], b.Original.Key[:])
		binary.LittleEndian.PutUint64(dst[n+16:], b.Original.Number)
		word, n = word|hasOriginal, n+identitySize
	}
	if len(b.Refusal) > 0 {
		n += copy(dst[n:], b.Refusal)
		word |= hasRefusal
	}
	if len(b.Source) > 0 {
		n += putSource(dst[n:], b.Source)
	}
	if len(b.Partition) > 0 {
		n += copy(dst[n:], b.Partition)
		word |= hasPartition
	}
	if word == hasOrigin && len(b.Source) == 0 {
		word = 0
	}
	return word | uint16(n)
}

// hasOriginBy reports whether there is an origin by the word, and what says whether there
// is the name of a source.
func hasOriginBy(word uint16, source bool) bool {
	return word&hasOrigin != 0 || word&^extraSize == 0 && !source
}

// parseExtra reads what stands at the beginning of src, by the header's word, which is
// not 0, and returns its size. source says that the name of one is there.
func (b *Batch) parseExtra(word uint16, source bool, src []byte) int {
	size := int(word & extraSize)
	src = src[:size:size]
	if hasOriginBy(word, source) {
		b.Origin.parse(src)
		src = src[OriginSize:]
	}
	if word&hasOriginal != 0 {
		copy(b.Original.Key[:], src)
		b.Original.Number = binary.LittleEndian.Uint64(src[16:])
		src = src[identitySize:]
	}
	if word&hasRefusal != 0 {
		n := 1 + int(src[0])
		b.Refusal, src = src[:n:n], src[n:]
	}
	if source {
		n := 1 + int(src[0])
		b.Source, src = src[1:n:n], src[n:]
	}
	if word&hasPartition != 0 {
		b.Partition = src
	}
	return size
}

// checkExtra says whether parseExtra can read what the word speaks of.
func checkExtra(word uint16, source bool, src []byte) error {
	size, what := int(word&extraSize), word&^extraSize
	origin := hasOriginBy(word, source)
	fixed := 0
	if origin {
		fixed += OriginSize
	}
	if what&hasOriginal != 0 {
		fixed += identitySize
	}
	if len(src) < size {
		return errCut
	}
	if what&hasRefusal != 0 {
		n, err := checkRefusal(src[min(fixed, size):size])
		if err != nil {
			return err
		}
		fixed += n
	}
	if source {
		n, err := checkSource(src[min(fixed, size):size])
		if err != nil {
			return err
		}
		fixed += n
	}
	switch left := size - fixed; {
	case what == hasOrigin && !source:
		return errors.New("an origin alone behind its header, in another form than that has")
	case what&hasPartition == 0 && left != 0:
		return fmt.Errorf("%d bytes behind its header, want %d", size, fixed)
	case what&hasPartition != 0 && (left <= partitionFixed || left > partitionFixed+MaxTopic):
		return fmt.Errorf("a partition of %d bytes behind its header", left)
	}
	var b Batch
	b.parseExtra(word, source, src)
	switch {
	case origin && !b.Origin.Known():
		return errors.New("an origin without a key")
	case what&hasOriginal != 0 && !b.Original.Known():
		return errors.New("an identity without a key")
	}
	return nil
}
