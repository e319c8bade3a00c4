package forward

import (
	"crypto/sha256"
	"encoding/binary"
	"io"

	"github.com/cespare/xxhash/v2"

	protocol "github.com/spillway/spillway/forward"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/source/seen"
)

// first finds out whether a chunk was seen before, and makes it known. It reports
// whether it is to be taken.
func (r *receiver) first(m *protocol.Received, c *record.Chunk) bool {
	key, err := r.keyOf(m)
	if err != nil {
		return true // It is read again, and then the error is told.
	}
	answer := c.Done
	switch r.chunks.Begin(key, answer) {
	case seen.Known:
		r.counts.resends.Add(1)
		answer(true)
		return false
	case seen.UnderWay:
		r.counts.resends.Add(1)
		return false
	}
	c.Origin.Key, c.Known = key, r.chunks.Has
	c.Done = func(ok bool) {
		if ok {
			r.chunks.Reached(key)
		} else {
			r.chunks.Refused(key)
		}
	}
	return true
}

// markOf is what the keys of a source's chunks begin with, so that it knows them.
func markOf(source string) [2]byte {
	sum := sha256.Sum256([]byte("spillway source 1" + source))
	return [2]byte(sum[:])
}

// keyOf identifies a chunk: ids alone are not enough, since some clients count
// from 1, and the id of Fluent Bit is a hash of the content without the tag.
func (r *receiver) keyOf(m *protocol.Received) (seen.Key, error) {
	h := sha256.New()
	var n [8]byte
	for _, text := range []string{"spillway chunk 1", r.name, m.Tag, m.Chunk} {
		binary.LittleEndian.PutUint64(n[:], uint64(len(text)))
		h.Write(n[:])
		io.WriteString(h, text) //nolint:errcheck // A hash takes everything.
	}
	size, sum, err := sumOf(m)
	if err != nil {
		return seen.Key{}, err
	}
	binary.LittleEndian.PutUint64(n[:], uint64(size))
	h.Write(n[:])
	binary.LittleEndian.PutUint64(n[:], sum)
	h.Write(n[:])
	key := seen.Key(h.Sum(nil)[:16])
	copy(key[:], r.mark[:])
	return key, nil
}

// sumOf is the size of what a message has in the place of its entries, and a hash
// of it.
func sumOf(m *protocol.Received) (size int64, sum uint64, err error) {
	if m.Spooled == nil {
		return int64(len(m.Payload)), xxhash.Sum64(m.Payload), nil
	}
	d := xxhash.New()
	if _, err := io.Copy(d, m.Spooled.Reader()); err != nil {
		return 0, 0, err
	}
	return m.Spooled.Size, d.Sum64(), nil
}
