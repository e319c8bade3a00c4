package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// MaxAnswerVersion is the newest version of an answer to a fetch that TakeApart knows;
// FlexibleVersion is the first of which headers and structures end in tagged fields.
const (
	MaxAnswerVersion = 18
	FlexibleVersion  = 12
)

// TokenSize is how many bytes stand in an answer that was taken apart in the place of
// a partition's batches. No batch is so small.
const TokenSize = 8

// maxRest is the most that an answer may have beside batches, in bytes: thousands of
// partitions take some hundred bytes each.
const maxRest = 4 << 20

// Place puts n bytes of batches somewhere, all of which it reads, and returns the
// token that stands for them.
type Place func(in io.Reader, n int) (token uint64, err error)

// TakeApart reads an answer to a fetch of a version, of size bytes from its response
// header's tagged fields on: behind the number that says which request it answers. It appends
// the answer to dst as it is, but for the batches of partitions: those go to a Place,
// and their token is in their stead, so that nobody needs to hold an answer whole.
//
// An error means that in is somewhere in the middle of the answer.
func TakeApart(dst []byte, in io.Reader, version int16, size int, place Place) ([]byte, error) {
	a := answer{in: in, left: size, out: dst, before: len(dst), flexible: version >= FlexibleVersion, place: place}
	a.read(version)
	if a.err == nil && a.left+a.have() > 0 {
		a.err = fmt.Errorf("found %d bytes behind its end", a.left+a.have())
	}
	if a.err != nil {
		return dst, fmt.Errorf("read an answer of %d bytes to a fetch: %w", size, a.err)
	}
	return a.out, nil
}

// answer is an answer that is being read.
type answer struct {
	in       io.Reader
	left     int // bytes that were not read from in
	buf      [4096]byte
	at, end  int
	out      []byte
	before   int // what was in out before
	flexible bool
	place    Place
	err      error
}

// read follows the protocol guide.
func (a *answer) read(version int16) {
	a.tags() // of the response's header
	if version >= 1 {
		a.copy(4) // throttle time
	}
	if version >= 7 {
		a.copy(2 + 4) // error, session
	}
	for topics := a.array(); topics > 0 && a.err == nil; topics-- {
		if version >= 13 {
			a.copy(16)
		} else {
			a.name()
		}
		for partitions := a.array(); partitions > 0 && a.err == nil; partitions-- {
			a.partition(version)
		}
		a.tags()
	}
	a.tags()
}

func (a *answer) partition(version int16) {
	a.copy(4 + 2 + 8) // number, error, high watermark
	if version >= 5 {
		a.copy(8 + 8) // last stable offset, start of the log
	} else if version >= 4 {
		a.copy(8)
	}
	if version >= 4 {
		for aborted := a.array(); aborted > 0 && a.err == nil; aborted-- { // transactions
			a.copy(8 + 8)
			a.tags()
		}
	}
	if version >= 11 {
		a.copy(4) // replica to read from
	}
	a.batches()
	a.tags()
}

func (a *answer) have() int { return a.end - a.at }

var errEnds = errors.New("it ends too soon")

// fill has at least n bytes in the buffer, n being small.
func (a *answer) fill(n int) bool {
	for a.err == nil && a.have() < n {
		if a.left == 0 {
			a.err = errEnds
			break
		}
		a.end = copy(a.buf[:], a.buf[a.at:a.end])
		a.at = 0
		got, err := a.in.Read(a.buf[a.end:min(len(a.buf), a.end+a.left)])
		a.end += got
		a.left -= got
		if err != nil && a.have() < n {
			a.err = err
		}
	}
	return a.err == nil
}

// copy passes n bytes on.
func (a *answer) copy(n int) {
	if a.err == nil && (n > a.left+a.have() || len(a.out)-a.before+n > maxRest) {
		a.err = fmt.Errorf("found a field of %d bytes, of which %d are there; expected at most %d MiB beside batches", n, a.left+a.have(), maxRest>>20)
	}
	for n > 0 && a.fill(1) {
		some := min(n, a.have())
		a.out = append(a.out, a.buf[a.at:a.at+some]...)
		a.at += some
		n -= some
	}
}

// number takes a 32-bit number.
func (a *answer) number() int32 {
	if !a.fill(4) {
		return 0
	}
	n := int32(binary.BigEndian.Uint32(a.buf[a.at:]))
	a.at += 4
	return n
}

// uvarint takes a number of up to five bytes.
func (a *answer) uvarint() (n uint64) {
	for shift := 0; shift < 35 && a.fill(1); shift += 7 {
		b := a.buf[a.at]
		a.at++
		if n |= uint64(b&0x7f) << shift; b < 0x80 {
			return n
		}
	}
	if a.err == nil {
		a.err = errors.New("found a number of more than five bytes")
	}
	return 0
}

// length takes the length of what follows, -1 where there is none.
func (a *answer) length() int {
	if a.flexible {
		return int(a.uvarint()) - 1
	}
	return int(a.number())
}

func (a *answer) putLength(n int) {
	if a.flexible {
		a.out = binary.AppendUvarint(a.out, uint64(n+1))
	} else {
		a.out = binary.BigEndian.AppendUint32(a.out, uint32(n))
	}
}

// array passes on how many elements follow, and returns it; no element is empty.
func (a *answer) array() int {
	n := a.length()
	if a.err == nil && n > a.left+a.have() {
		a.err = fmt.Errorf("found an array of %d elements in %d bytes", n, a.left+a.have())
	}
	if a.err != nil {
		return 0
	}
	a.putLength(n)
	return max(n, 0)
}

// name passes on a topic's name.
func (a *answer) name() {
	n := 0
	if a.flexible {
		n = a.length()
		a.putLength(n)
	} else if a.fill(2) {
		n = int(int16(binary.BigEndian.Uint16(a.buf[a.at:])))
		a.copy(2)
	}
	a.copy(max(n, 0))
}

// tags passes on tagged fields.
func (a *answer) tags() {
	if !a.flexible {
		return
	}
	n := a.uvarint()
	a.out = binary.AppendUvarint(a.out, n)
	for ; n > 0 && a.err == nil; n-- {
		a.out = binary.AppendUvarint(a.out, a.uvarint())
		size := a.uvarint()
		a.out = binary.AppendUvarint(a.out, size)
		a.copy(int(size))
	}
}

// batches puts a partition's batches in their place.
func (a *answer) batches() {
	n := a.length()
	if a.err == nil && n > a.left+a.have() {
		a.err = fmt.Errorf("found batches of %d bytes, of which %d are there", n, a.left+a.have())
	}
	if a.err != nil {
		return
	}
	if n <= 0 {
		a.putLength(n)
		return
	}
	rest := io.LimitedReader{R: a, N: int64(n)}
	token, err := a.place(&rest, n)
	if err == nil && rest.N > 0 {
		err = fmt.Errorf("%d bytes of batches were not taken", rest.N)
	}
	if err != nil {
		a.err = err
		return
	}
	a.putLength(TokenSize)
	a.out = binary.BigEndian.AppendUint64(a.out, token)
}

// Read implements io.Reader for a Place: what is in the buffer, and then the answer
// itself, so that nothing large is copied twice.
func (a *answer) Read(p []byte) (n int, err error) {
	if a.have() > 0 {
		n = copy(p, a.buf[a.at:a.end])
		a.at += n
		return n, nil
	}
	if len(p) > a.left {
		p = p[:a.left]
	}
	if n, err = a.in.Read(p); n > 0 {
		err = nil // It comes again.
	}
	a.left -= n
	return n, err
}

// Token is what stands in the place of batches.
func Token(batches []byte) (token uint64, ok bool) {
	if len(batches) != TokenSize {
		return 0, false
	}
	return binary.BigEndian.Uint64(batches), true
}
