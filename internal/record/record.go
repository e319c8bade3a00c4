// Package record says what moves through Spillway: streams of records, held
// in batches.
//
// A record is a time and a body of bytes. It is never a Go object of its own:
// a batch, which is a header and the framed bodies of consecutive records of
// one stream that share one time, is one piece of memory from the moment it is
// admitted until its last record is settled. Nothing here allocates for each
// record, and nothing here decides anything: the buffer writes batches, the
// sinks read them.
//
// Layout of a batch, little-endian; offsets in bytes:
//
//	 0  u32  index of the stream
//	 4  u8   kind: 1 records, 2 loss marker
//	 5  u8   encoding of the bodies
//	 6  u16  bytes between the header and the frames, and in the high 4 bits of what:
//	         0 an origin alone, else 1 a partition, 2 an identity, 4 an origin, 8 a refusal
//	 8  u32  count of records (1 for a marker)
//	12  u32  size of the frames
//	16  i64  time, nanoseconds since 1970, shared by all records
//	24  u64  sequence number of the first record
//	32  u32  sum of the body lengths
//	36  u32  repair: bytes that valid, non-empty UTF-8 needs beyond that sum
//	40  u32  ordinal of the part, from 1; 0 where the record is whole
//	44  u32  1 where the part is the last of its line
//
// An origin is the key of the chunk that the records came in, which of its
// records the first is, counted from 0 (u32), and how many it has (u32). An identity
// is that of the first record, for what is replayed: key and number (u64). A refusal
// is a byte with the length of its reason, and the reason. A partition is the topic's id (16 bytes), its number
// (u32) and the topic's name. They stand in this order.
//
// A frame of text is a u32, whose low 28 bits are the body's length and whose top
// bit says that the body is not valid UTF-8, and then the body. Entries of the
// forward protocol stand one behind the other without anything between them:
// msgpack says where each ends. Messages are framed as text is; see Message.
package record

import (
	"encoding/binary"
	"time"
)

// Sizes of the layout, in bytes.
const (
	HeaderSize  = 48
	OriginSize  = 24
	FrameSize   = 4
	MaxBodySize = 1<<28 - 1
)

// invalidFlag marks a body that is not valid UTF-8.
const invalidFlag = 1 << 31

// Kind tells what a batch holds.
type Kind uint8

// The kinds of batches.
const (
	KindRecords Kind = 1
	KindLoss    Kind = 2
)

// Encoding is the form in which the bodies arrived; it is changed at the sink,
// and only if the sink speaks another.
type Encoding uint8

const (
	// EncodingText is a line of text, or several joined into one event, without
	// promise of valid UTF-8.
	EncodingText Encoding = 0
	// EncodingEntry is an entry of the forward protocol as it arrived: a msgpack
	// array of a time, which may have metadata beside it, and a map.
	EncodingEntry Encoding = 1
	// EncodingMessage is a message of a log with offsets, such as Kafka: its value in
	// its own encoding, and what stood beside it. See Message.
	EncodingMessage Encoding = 2
)

// Stream is an ordered sequence of records of one origin, such as the standard
// output of one container, or what came with one tag of the forward protocol. It
// does not change once records refer to it.
type Stream struct {
	// Index is the number by which batches refer to the stream; the buffer gives
	// it, from 0, and never gives it again.
	Index uint32
	// Name is what the ledger and the sinks call the stream; the tag, where it is
	// one of the forward protocol.
	Name string
	// Incarnation tells this numbering of records from every other one: it is
	// drawn whenever a numbering begins anew. Zero where nobody knows it.
	Incarnation [12]byte
}

// MaxName is the longest name of a stream, in bytes, of which a disk buffer can keep
// records.
const MaxName = 1 << 10

// Part tells which part of an over-long line a record is. The zero value is a
// whole record. A line's parts have consecutive sequence numbers, so the number
// of its first part identifies the line.
type Part struct {
	Ordinal uint32
	Last    bool
}

// Batch is the readable form of one batch, or of a piece of it: a view, valid
// only as long as the memory behind it.
type Batch struct {
	Stream   uint32
	Kind     Kind
	Encoding Encoding
	// Count is the number of events for a sink: records, or one marker.
	Count int
	// Time is in nanoseconds since 1970.
	Time     int64
	FirstSeq uint64
	// Bytes is the sum of the body lengths, Repair what a destination that takes
	// only valid, non-empty UTF-8 adds to it: two bytes for each byte that
	// becomes U+FFFD, one for an empty body.
	Bytes  int
	Repair int
	Part   Part
	// Origin is the chunk that the records came in, and where in it they stood;
	// the zero value is no chunk.
	Origin Origin
	// Original is the identity that the first record had when it was first received,
	// where it is a replay; the others follow it. The zero value is no replay.
	Original Identity
	// Refusal is why the source has refused the records, as Refusal.Append writes it, and
	// a view like the frames. Nothing where it has not, or says nothing.
	Refusal []byte
	// Source is the name of the source that received the records, as SourceName makes it,
	// and a view like the frames. Nothing where nobody says it.
	Source []byte
	// Partition is where messages came from, as Partition.Append writes it, and a view
	// like the frames. Nothing where there is none.
	Partition []byte
	// Frames holds the bodies, as the encoding frames them.
	Frames []byte
}

// Size is how many bytes the batch takes with its header.
func (b *Batch) Size() int { return HeaderSize + b.extra() + len(b.Frames) }

// Head is how many bytes PutHeader writes.
func (b *Batch) Head() int { return HeaderSize + b.extra() }

// PutHeader writes the header of b, whose frames are size bytes long, and what
// stands behind it, into dst[:b.Head()].
func PutHeader(dst []byte, b *Batch, size int) {
	_ = dst[HeaderSize-1]
	le := binary.LittleEndian
	le.PutUint32(dst[0:], b.Stream)
	dst[4], dst[5] = byte(b.Kind), byte(b.Encoding)
	le.PutUint16(dst[6:], 0)
	le.PutUint32(dst[8:], uint32(b.Count))
	le.PutUint32(dst[12:], uint32(size))
	le.PutUint64(dst[16:], uint64(b.Time))
	le.PutUint64(dst[24:], b.FirstSeq)
	le.PutUint32(dst[32:], uint32(b.Bytes))
	le.PutUint32(dst[36:], uint32(b.Repair))
	le.PutUint32(dst[40:], b.Part.Ordinal)
	last := uint32(0)
	if b.Part.Last {
		last = 1
	}
	le.PutUint32(dst[44:], last)
	if b.extra() > 0 {
		le.PutUint16(dst[6:], b.putExtra(dst[HeaderSize:]))
	}
	if len(b.Source) > 0 {
		dst[5] |= named
	}
}

// AppendBatch appends b, which may be cut out of a larger one, in its layout.
func AppendBatch(dst []byte, b *Batch) []byte {
	at := len(dst)
	dst = append(dst, make([]byte, b.Head())...)
	dst = append(dst, b.Frames...)
	PutHeader(dst[at:], b, len(b.Frames))
	return dst
}

// Parse reads the batch at the start of src into b and returns how many bytes
// it takes. src must come from PutHeader and Append; it is memory of this
// process, not foreign bytes.
func Parse(src []byte, b *Batch) int {
	_ = src[HeaderSize-1]
	le := binary.LittleEndian
	size := int(le.Uint32(src[12:]))
	b.Stream = le.Uint32(src[0:])
	b.Kind, b.Encoding = Kind(src[4]), Encoding(src[5]&^named)
	b.Count = int(le.Uint32(src[8:]))
	b.Time = int64(le.Uint64(src[16:]))
	b.FirstSeq = le.Uint64(src[24:])
	b.Bytes = int(le.Uint32(src[32:]))
	b.Repair = int(le.Uint32(src[36:]))
	b.Part = Part{Ordinal: le.Uint32(src[40:]), Last: src[44] != 0}
	b.Origin, b.Original, b.Refusal, b.Source, b.Partition = Origin{}, Identity{}, nil, nil, nil
	head := HeaderSize
	if word := le.Uint16(src[6:]); word != 0 {
		head += b.parseExtra(word, src[5]&named != 0, src[HeaderSize:])
	}
	b.Frames = src[head : head+size : head+size]
	return head + size
}

// Millisecond is the batch's time in milliseconds since 1970.
func (b *Batch) Millisecond() int64 { return floorDiv(b.Time, int64(time.Millisecond)) }

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// Slice narrows b to count of its records, from the one at index skip on. It
// reads the frames up to the end of that range.
func (b *Batch) Slice(skip, count int) {
	if skip == 0 && count >= b.Count {
		return
	}
	if b.Encoding == EncodingEntry {
		b.Frames = b.Frames[entries(b.Frames, skip):]
		b.Frames = b.Frames[:entries(b.Frames, count)]
		b.Bytes = len(b.Frames)
	} else {
		b.sliceFramed(skip, count)
	}
	b.FirstSeq += uint64(skip)
	b.Count = count
	if b.Origin.Known() {
		b.Origin.Position += uint32(skip)
	}
	if b.Original.Known() {
		b.Original.Number += uint64(skip)
	}
}

// sliceFramed slices text and messages. These have nothing to repair, as they are never
// empty.
func (b *Batch) sliceFramed(skip, count int) {
	frames := b.Frames
	for range skip {
		_, _, frames = Next(frames)
	}
	rest, bytes, repair := frames, 0, 0
	for range count {
		var body []byte
		var invalid bool
		body, invalid, rest = Next(rest)
		bytes += len(body)
		repair += Repair(body, invalid)
	}
	b.Frames = frames[:len(frames)-len(rest)]
	b.Bytes, b.Repair = bytes, repair
}

// Next splits the first body off frames, which are the batch's or what is left of
// them and not empty. It knows the encoding; the body is a view of the batch's
// memory, and invalid says that it is text that is not valid UTF-8.
func (b *Batch) Next(frames []byte) (body []byte, invalid bool, rest []byte) {
	if b.Encoding == EncodingEntry {
		n := entries(frames, 1)
		return frames[:n:n], false, frames[n:]
	}
	return Next(frames)
}

// Next splits the first frame off frames of text or messages, which must not be
// empty. The body is a view of the batch's memory.
func Next(frames []byte) (body []byte, invalid bool, rest []byte) {
	word := binary.LittleEndian.Uint32(frames)
	end := FrameSize + int(word&MaxBodySize)
	return frames[FrameSize:end:end], word&invalidFlag != 0, frames[end:]
}
