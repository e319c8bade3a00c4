package diskbuffer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"

	"github.com/spillway/spillway/internal/record"
)

// The layout on disk. docs/disk-format.md says the same for readers in other
// languages; the golden files hold this file to it. All numbers are
// little-endian.
const (
	version = 1

	segmentMagic = "SPLWSEG1"
	cursorMagic  = "SPLWCUR1"
	frameMagic   = "\xf5SPF" // The first byte occurs in no UTF-8 text.

	segmentHeaderSize = 128
	frameHeaderSize   = 64
	slotSize          = 64
	slotStride        = 4096
	cursorSize        = slotStride + slotSize

	streamsHeadSize = 8  // before the streams of a streams frame
	streamFixedSize = 52 // of one stream, without its name
	streamShortSize = 40 // where it has no incarnation

	metaName      = "buffer.json"
	metaTempName  = "buffer.json.new"
	cursorName    = "cursor"
	lockName      = "lock"
	segmentSuffix = ".seg"
)

// MaxPayload is the most bytes of one frame's payload, before compression. A
// reader takes memory for a whole frame, so a frame must have a bound.
const MaxPayload = 64 << 20

// MaxName is the longest name of a stream, in bytes.
const MaxName = record.MaxName

// The kinds of frames.
const (
	kindBatches byte = 1
	kindStreams byte = 2
	kindOrigins byte = 3
)

// Compression says how payloads are stored. A payload that does not become
// smaller is stored as it is, whatever the option says.
type Compression uint8

// The compressions, by their number in a frame header.
const (
	None Compression = 0
	S2   Compression = 1 // one S2 block
	Zstd Compression = 2 // one Zstandard frame
)

// frameAgain is a flag of a frame: what is in it was in requests when it was written
// once more, so that it may have been delivered already.
const frameAgain = 1

// The flags of a streams frame.
const (
	streamsComplete = 1 // all streams are in it
	streamsClosing  = 2 // it ends the buffer at a clean close
	streamsNumbered = 4 // each has an incarnation
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var le = binary.LittleEndian

// errFrame is what a header that is none gives; a scan searches on.
var errFrame = errors.New("not a valid frame header")

// tag is the first half of the incarnation. Every frame carries it, so that
// neither blocks of another buffer, nor a payload that looks like a frame, can
// be taken for a frame of this one.
type tag [8]byte

// segmentHeader is the decoded header of a segment file.
type segmentHeader struct {
	Number      uint64
	First       Position
	Limit       int64
	Incarnation [12]byte
	Identity    [32]byte // SHA-256 of the identity
}

func (h *segmentHeader) tag() tag { return tag(h.Incarnation[:8]) }

// put encodes the header:
//
//	  0  8 bytes  "SPLWSEG1"
//	  8  u32      version, 1
//	 12  u32      size of this header, 128
//	 16  u64      segment number
//	 24  u64      events before this segment
//	 32  u64      records before this segment
//	 40  i64      limit: the size of the memory in front of the disk, bytes
//	 48  12 bytes incarnation
//	 60  u32      zero
//	 64  32 bytes SHA-256 of the identity
//	 96  28 bytes zero
//	124  u32      CRC32C of all before
func (h *segmentHeader) put(dst []byte) {
	_ = dst[segmentHeaderSize-1]
	clear(dst[:segmentHeaderSize])
	copy(dst, segmentMagic)
	le.PutUint32(dst[8:], version)
	le.PutUint32(dst[12:], segmentHeaderSize)
	le.PutUint64(dst[16:], h.Number)
	le.PutUint64(dst[24:], h.First.Events)
	le.PutUint64(dst[32:], h.First.Records)
	le.PutUint64(dst[40:], uint64(h.Limit))
	copy(dst[48:60], h.Incarnation[:])
	copy(dst[64:96], h.Identity[:])
	le.PutUint32(dst[124:], crc32.Checksum(dst[:124], castagnoli))
}

// parse decodes src, which is at least segmentHeaderSize long.
func (h *segmentHeader) parse(src []byte) bool {
	if len(src) < segmentHeaderSize || string(src[:8]) != segmentMagic || le.Uint32(src[8:]) != version ||
		le.Uint32(src[12:]) != segmentHeaderSize || le.Uint32(src[124:]) != crc32.Checksum(src[:124], castagnoli) {
		return false
	}
	h.Number = le.Uint64(src[16:])
	h.First = Position{le.Uint64(src[24:]), le.Uint64(src[32:])}
	h.Limit = int64(le.Uint64(src[40:]))
	copy(h.Incarnation[:], src[48:60])
	copy(h.Identity[:], src[64:96])
	return h.First.Records <= h.First.Events
}

// frameHeader is the decoded header of a frame.
type frameHeader struct {
	Kind        byte
	Compression Compression
	Again       bool   // it holds what was in requests before
	Stored, Raw uint32 // bytes of the payload, as stored and as appended
	First       Position
	Events      uint32
	Records     uint32
	Bytes       uint64 // sum of the body lengths of the records
	Tag         tag
	PayloadSum  uint32 // CRC32C of the stored payload
}

// end is the position after the frame.
func (h *frameHeader) end() Position {
	return Position{h.First.Events + uint64(h.Events), h.First.Records + uint64(h.Records)}
}

// size is what the frame takes on disk.
func (h *frameHeader) size() int64 { return frameHeaderSize + int64(h.Stored) }

// put encodes the header:
//
//	 0  4 bytes  f5 "SPF"
//	 4  u8       kind: 1 batches, 2 streams, 3 origins
//	 5  u8       compression: 0 none, 1 S2 block, 2 Zstandard frame
//	 6  u16      flags: 1 what is in it was in requests when it was written
//	 8  u32      bytes of the payload as stored
//	12  u32      bytes of the payload before compression
//	16  u64      events before this frame
//	24  u64      records before this frame
//	32  u32      events in this frame
//	36  u32      records in this frame
//	40  u64      sum of the body lengths of its records
//	48  8 bytes  first bytes of the incarnation
//	56  u32      CRC32C of the payload as stored
//	60  u32      CRC32C of all before
func (h *frameHeader) put(dst []byte) {
	_ = dst[frameHeaderSize-1]
	copy(dst, frameMagic)
	flags := uint16(0)
	if h.Again {
		flags = frameAgain
	}
	dst[4], dst[5] = h.Kind, byte(h.Compression)
	le.PutUint16(dst[6:], flags)
	le.PutUint32(dst[8:], h.Stored)
	le.PutUint32(dst[12:], h.Raw)
	le.PutUint64(dst[16:], h.First.Events)
	le.PutUint64(dst[24:], h.First.Records)
	le.PutUint32(dst[32:], h.Events)
	le.PutUint32(dst[36:], h.Records)
	le.PutUint64(dst[40:], h.Bytes)
	copy(dst[48:56], h.Tag[:])
	le.PutUint32(dst[56:], h.PayloadSum)
	le.PutUint32(dst[60:], crc32.Checksum(dst[:60], castagnoli))
}

// parse decodes src and checks all that the header alone can tell.
func (h *frameHeader) parse(src []byte) error {
	if len(src) < frameHeaderSize || string(src[:4]) != frameMagic || le.Uint32(src[60:]) != crc32.Checksum(src[:60], castagnoli) {
		return errFrame
	}
	h.Kind, h.Compression, h.Again = src[4], Compression(src[5]), le.Uint16(src[6:])&frameAgain != 0
	h.Stored, h.Raw = le.Uint32(src[8:]), le.Uint32(src[12:])
	h.First = Position{le.Uint64(src[16:]), le.Uint64(src[24:])}
	h.Events, h.Records = le.Uint32(src[32:]), le.Uint32(src[36:])
	h.Bytes = le.Uint64(src[40:])
	copy(h.Tag[:], src[48:56])
	h.PayloadSum = le.Uint32(src[56:])
	switch {
	case h.Kind < kindBatches || h.Kind > kindOrigins, h.Compression > Zstd, h.Raw > MaxPayload, h.Stored > MaxPayload,
		h.Records > h.Events, h.Compression == None && h.Stored != h.Raw, h.First.Records > h.First.Events:
		return errFrame
	}
	return nil
}

// findMagic returns where the next frame may begin in p, or -1. A magic that
// the end of p cuts off is not found.
func findMagic(p []byte) int { return bytes.Index(p, []byte(frameMagic)) }

// slot is one state of the cursor.
type slot struct {
	Generation uint64
	Settled    Position
	Offered    uint64 // events
	End        Position
	Clean      bool
}

// put encodes the slot:
//
//	 0  8 bytes  "SPLWCUR1"
//	 8  u64      generation; the valid slot with the larger one counts
//	16  u64      events settled
//	24  u64      records settled
//	32  u64      events that may have been delivered
//	40  u64      events appended, at a clean close; else zero
//	48  u64      records appended, at a clean close; else zero
//	56  u32      1 after a clean close, else 0
//	60  u32      CRC32C of all before
func (s *slot) put(dst []byte) {
	_ = dst[slotSize-1]
	copy(dst, cursorMagic)
	le.PutUint64(dst[8:], s.Generation)
	le.PutUint64(dst[16:], s.Settled.Events)
	le.PutUint64(dst[24:], s.Settled.Records)
	le.PutUint64(dst[32:], s.Offered)
	clean, end := uint32(0), Position{}
	if s.Clean {
		clean, end = 1, s.End
	}
	le.PutUint64(dst[40:], end.Events)
	le.PutUint64(dst[48:], end.Records)
	le.PutUint32(dst[56:], clean)
	le.PutUint32(dst[60:], crc32.Checksum(dst[:60], castagnoli))
}

// parse decodes src.
func (s *slot) parse(src []byte) bool {
	if len(src) < slotSize || string(src[:8]) != cursorMagic || le.Uint32(src[60:]) != crc32.Checksum(src[:60], castagnoli) {
		return false
	}
	s.Generation = le.Uint64(src[8:])
	s.Settled = Position{le.Uint64(src[16:]), le.Uint64(src[24:])}
	s.Offered = le.Uint64(src[32:])
	s.End = Position{le.Uint64(src[40:]), le.Uint64(src[48:])}
	s.Clean = le.Uint32(src[56:]) == 1
	return s.Settled.Records <= s.Settled.Events && s.End.Records <= s.End.Events
}

// appendStreams encodes the payload of a streams frame:
//
//	0  u32  count of streams
//	4  u32  flags: 1 these are all streams, 2 the buffer ends here by a clean close,
//	        4 each has an incarnation; what wrote no incarnations is still read
//
// and for each stream
//
//	 0  u32  index
//	 4  u32  length of the name
//	 8  u64  records of it before this frame
//	16  u64  sum of their body lengths
//	24  u64  last sequence number
//	32  i64  last time, nanoseconds since 1970
//	40  12 bytes  incarnation
//	52       name, UTF-8
func appendStreams(dst []byte, flags uint32, streams []Stream) []byte {
	dst = le.AppendUint32(dst, uint32(len(streams)))
	dst = le.AppendUint32(dst, flags|streamsNumbered)
	for i := range streams {
		st := &streams[i]
		dst = le.AppendUint32(dst, st.Index)
		dst = le.AppendUint32(dst, uint32(len(st.Name)))
		dst = le.AppendUint64(dst, st.Records)
		dst = le.AppendUint64(dst, st.Bytes)
		dst = le.AppendUint64(dst, st.LastSeq)
		dst = le.AppendUint64(dst, uint64(st.LastTime))
		dst = append(dst, st.Incarnation[:]...)
		dst = append(dst, st.Name...)
	}
	return dst
}

// streamsSize is what a streams frame with these streams takes on disk.
func streamsSize(streams []Stream) int64 {
	size := int64(frameHeaderSize + streamsHeadSize)
	for i := range streams {
		size += streamFixedSize + int64(len(streams[i].Name))
	}
	return size
}

// parseStreams decodes the payload of a streams frame. It takes no more memory
// than the payload justifies.
func parseStreams(src []byte) (flags uint32, streams []Stream, ok bool) {
	if len(src) < streamsHeadSize {
		return 0, nil, false
	}
	count := int(le.Uint32(src))
	flags = le.Uint32(src[4:])
	src = src[streamsHeadSize:]
	fixed := streamFixedSize
	if flags&streamsNumbered == 0 {
		fixed = streamShortSize
	}
	for range count {
		if len(src) < fixed {
			return 0, nil, false
		}
		n := int(le.Uint32(src[4:]))
		if n > MaxName || len(src) < fixed+n {
			return 0, nil, false
		}
		st := Stream{
			Index: le.Uint32(src), Records: le.Uint64(src[8:]), Bytes: le.Uint64(src[16:]), LastSeq: le.Uint64(src[24:]),
			LastTime: int64(le.Uint64(src[32:])), Name: string(src[fixed : fixed+n]),
		}
		copy(st.Incarnation[:], src[streamShortSize:fixed])
		streams = append(streams, st)
		src = src[fixed+n:]
	}
	return flags, streams, len(src) == 0
}
