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
