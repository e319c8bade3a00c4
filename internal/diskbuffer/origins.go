package diskbuffer

import (
	"errors"
	"hash/crc32"
	"io/fs"
	"slices"

	"github.com/spillway/spillway/internal/record"
)

// Chunks that a sender may send again are known by the origins in the headers of
// their batches. To read these out of a large backlog would take a read for each
// frame, so each segment begins with a list of those in the segment before; that
// of the last one is made of what Open reads anyway.

// Origin is a batch with an origin, and where it is.
type Origin struct {
	record.Origin
	// Records is how many records of the chunk the batch holds, FirstSeq the
	// sequence number of the first of them, in Stream.
	Records  uint32
	Stream   uint32
	FirstSeq uint64
	// At is the position of the first, in events.
	At uint64
}

// maxOrigins is how many batches with an origin a segment holds; the list of them
// is kept in memory.
const maxOrigins = 1 << 14

// Origins calls f for batches with an origin of which something is not settled, the
// newest as many as most: the newest segments first, and within a segment in order. It
// reports whether these are all: some are left out where there are more, or where
// damage hides them. It is meant to be called once, after Open.
func (s *Store) Origins(most int, f func(Origin)) (all bool) {
	settled := s.cursor.settled().Events
	s.writing.Lock()
	list, all := slices.Clone(s.origins), !s.originsHidden
	s.writing.Unlock()
	s.mu.Lock()
	segments := slices.Clone(s.segments)
	s.mu.Unlock()
	for i := len(segments) - 1; ; i-- {
		list = slices.DeleteFunc(list, func(o Origin) bool { return o.At+uint64(o.Records) <= settled })
		cut := max(len(list)-most, 0)
		for _, o := range list[cut:] {
			f(o)
		}
		if cut > 0 {
			return false
		}
		most -= len(list)
		if i <= 0 || segments[i].first.Events <= settled {
			return all
		}
		var ok bool
		if list, ok = readOrigins(s.dir, segments[i].name, s.tag); !ok {
			all = false
		}
	}
}

// readOrigins reads the list at the beginning of a segment, and reports whether it
// could.
func readOrigins(dir FS, name string, t tag) (list []Origin, ok bool) {
	f, err := dir.Open(name, false)
	if err != nil {
		return nil, errors.Is(err, fs.ErrNotExist) // It was settled.
	}
	defer f.Close() // It was read, so that there is nothing to lose.
	off := int64(segmentHeaderSize)
	for {
		var buf [frameHeaderSize]byte
		var h frameHeader
		if n, err := readFull(f, buf[:], off); err != nil || n > 0 && (n < len(buf) || h.parse(buf[:]) != nil || h.Tag != t) {
			return nil, false
		} else if n == 0 || h.Kind == kindBatches {
			return nil, true
		}
		if h.Kind == kindOrigins {
			payload := make([]byte, h.Stored)
			n, err := readFull(f, payload, off+frameHeaderSize)
			if err != nil || n < len(payload) || crc32.Checksum(payload, castagnoli) != h.PayloadSum {
				return nil, false
			}
			return parseOrigins(payload)
		}
		off += h.size()
	}
}

// remember lists a batch of a frame that begins at the given event.
func remember(list []Origin, b *record.Batch, at uint64) []Origin {
	if !b.Origin.Known() || b.Kind != record.KindRecords {
		return list
	}
	return append(list, Origin{b.Origin, uint32(b.Count), b.Stream, b.FirstSeq, at})
}

const (
	originsHeadSize = 8
	originSize      = 48
)

// appendOrigins encodes the payload of a frame of origins:
//
//	0  u32  count
//	4  u32  zero
//
// and for each
//
//	 0  16 bytes  key of the chunk
//	16  u32       index of the batch's first record in the chunk
//	20  u32       records in the chunk
//	24  u32       records in the batch
//	28  u32       index of the stream
//	32  u64       sequence number of the first record
//	40  u64       events before it
func appendOrigins(dst []byte, list []Origin) []byte {
	dst = le.AppendUint32(dst, uint32(len(list)))
	dst = le.AppendUint32(dst, 0)
	for i := range list {
		o := &list[i]
		dst = append(dst, o.Key[:]...)
		for _, n := range [...]uint32{o.Position, o.Count, o.Records, o.Stream} {
			dst = le.AppendUint32(dst, n)
		}
		dst = le.AppendUint64(dst, o.FirstSeq)
		dst = le.AppendUint64(dst, o.At)
	}
	return dst
}

// parseOrigins decodes it. It takes no more memory than the payload justifies.
func parseOrigins(src []byte) (list []Origin, ok bool) {
	if len(src) < originsHeadSize || uint64(len(src)-originsHeadSize) != uint64(le.Uint32(src))*originSize {
		return nil, false
	}
	list = make([]Origin, 0, le.Uint32(src))
	for src = src[originsHeadSize:]; len(src) > 0; src = src[originSize:] {
		o := Origin{
			Records: le.Uint32(src[24:]), Stream: le.Uint32(src[28:]), FirstSeq: le.Uint64(src[32:]), At: le.Uint64(src[40:]),
		}
		copy(o.Key[:], src)
		o.Position, o.Count = le.Uint32(src[16:]), le.Uint32(src[20:])
		if !o.Known() || o.Records == 0 {
			return nil, false
		}
		list = append(list, o)
	}
	return list, true
}

// originsSize is what a frame of origins takes on disk.
func originsSize(n int) int64 { return frameHeaderSize + originsHeadSize + int64(n)*originSize }
