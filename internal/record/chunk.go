package record

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
)

// Origin says where records came from that a sender may send again: which chunk,
// and where in it.
type Origin struct {
	// Key identifies the chunk: a hash of all that a sender repeats when it sends
	// it again. Zero is no chunk.
	Key [16]byte
	// Position is the index, from 0, of a batch's first record in the chunk.
	Position uint32
	// Count is how many records the chunk has. A chunk that was received in part,
	// because the process died meanwhile, is told by it.
	Count uint32
}

// Known reports whether there is a chunk.
func (o *Origin) Known() bool { return o.Key != [16]byte{} }

// Part is the origin of a part of the chunk that goes its own way, to be settled by
// itself: what tells the part from others is hashed with the chunk's key, of which the
// first two bytes stay. A chunk that nobody knows has no parts.
func (o *Origin) Part(what string, numbers ...uint64) (part Origin) {
	if !o.Known() {
		return part
	}
	src := append(append([]byte("spillway part 1"), o.Key[:]...), what...)
	for _, n := range numbers {
		src = binary.LittleEndian.AppendUint64(src, n)
	}
	sum := sha256.Sum256(src)
	copy(part.Key[:], sum[:])
	copy(part.Key[:], o.Key[:2])
	return part
}

// size is what the origin takes in a batch, in bytes.
func (o *Origin) size() int {
	if o.Known() {
		return OriginSize
	}
	return 0
}

func (o *Origin) put(dst []byte) {
	_ = dst[OriginSize-1]
	copy(dst, o.Key[:])
	binary.LittleEndian.PutUint32(dst[16:], o.Position)
	binary.LittleEndian.PutUint32(dst[20:], o.Count)
}

func (o *Origin) parse(src []byte) {
	_ = src[OriginSize-1]
	copy(o.Key[:], src)
	o.Position = binary.LittleEndian.Uint32(src[16:])
	o.Count = binary.LittleEndian.Uint32(src[20:])
}

// Level is what has become of a chunk when its source is told.
type Level uint8

// The levels, each including those before it.
const (
	LevelMemory    Level = iota // this process holds it
	LevelKernel                 // it survives this process
	LevelPower                  // it survives the machine
	LevelDelivered              // the destination has it
)

// String returns the level's name in configurations.
func (l Level) String() string {
	switch l {
	case LevelMemory:
		return "memory"
	case LevelKernel:
		return "kernel"
	case LevelPower:
		return "power"
	case LevelDelivered:
		return "delivered"
	}
	return "unknown"
}

// Chunk is what a source received as one and vouches for as one. It is held or
// refused as a whole.
type Chunk struct {
	// Tag names the stream.
	Tag string
	// Time is when the chunk was received, in nanoseconds since 1970.
	Time int64
	// Encoding is that of the bodies.
	Encoding Encoding
	// Bodies are the records as a batch's frames hold them. They are read during
	// the call only. They must be well made: entries were walked when they were
	// received.
	Bodies []byte
	// Count is how many records there are; at least one.
	Count int
	// Origin identifies the chunk, for sources whose senders may send it again;
	// its Position and Count are not looked at.
	Origin Origin
	// Known, which may be nil, reports whether what has a key was settled before: a part
	// of a chunk that goes several ways, when the chunk is sent again.
	Known func(key [16]byte) bool
	// Source is the name of the source that received it, as SourceName makes it; nothing
	// where nobody says it. It is not changed, and may be shared.
	Source []byte
	// Partition is where messages came from: all of a chunk from one.
	Partition Partition
	// Identity is that of the first record, where the chunk is a replay and keeps what
	// it had; the zero value is none. Messages of a partition need none.
	Identity Identity
	// Refusal is why the records go to no destination, where their source refuses them.
	Refusal Refusal
	// Level is what Done waits for.
	Level Level
	// Until, which may be nil, is ended by a source that wants back what waits for room: it is
	// told false, and counted nowhere. Where a chunk goes to several legs it is not looked at.
	Until context.Context
	// Done, which may be nil, is told exactly once, during the call or later, never
	// under a lock of the buffer: true when every record has reached the level or is
	// settled (delivered, a durable dead letter, dropped by a policy that was asked
	// for), false when a record was lost for want of room, by a failed disk or at the end of the process.
	// What is told false is never acknowledged.
	Done func(ok bool)
}

// Unwanted reports whether the source wants back what is not admitted of the chunk.
func (c *Chunk) Unwanted() bool { return c.Until != nil && c.Until.Err() != nil }

// Batch is the head of a batch that holds records of the chunk, from the one at index
// position on: all but where it stands in its stream, and what is in it.
func (c *Chunk) Batch(position int) Batch {
	b := Batch{Kind: KindRecords, Encoding: c.Encoding, Time: c.Time, Source: c.Source}
	if c.Origin.Known() {
		b.Origin = Origin{Key: c.Origin.Key, Position: uint32(position), Count: uint32(c.Count)}
	}
	if c.Identity.Known() {
		b.Original = Identity{Key: c.Identity.Key, Number: c.Identity.Number + uint64(position)}
	}
	if c.Refusal.Known() {
		b.Refusal = c.Refusal.Append(nil)
	}
	if c.Partition.Known() {
		b.Partition = c.Partition.Append(nil)
	}
	return b
}

// Behind is what is behind so many records of the chunk, of which rest are the bodies,
// as a chunk of its own: it does not pass for the other when that is sent again, and its
// records keep what identifies them.
func (c *Chunk) Behind(records int, rest []byte) *Chunk {
	left := *c
	if records == 0 {
		return &left
	}
	left.Bodies, left.Count, left.Origin = rest, c.Count-records, Origin{}
	switch {
	case c.Identity.Known():
		left.Identity.Number += uint64(records)
	case c.Origin.Known():
		left.Identity = Identity{Key: c.Origin.Key, Number: uint64(records)}
	}
	return &left
}

// Head is how many bytes each of the chunk's batches takes beside its bodies.
func (c *Chunk) Head() int {
	n := HeaderSize + c.Origin.size() + c.Refusal.size() + sourceSize(c.Source)
	if c.Identity.Known() {
		n += identitySize
	}
	if c.Partition.Known() {
		n += partitionFixed + len(c.Partition.Topic)
	}
	return n
}

// Added is what the chunk adds to a batch. Only text is walked for it.
func (c *Chunk) Added() Added {
	a := Added{Count: c.Count, Bytes: len(c.Bodies)}
	if c.Encoding == EncodingEntry {
		return a
	}
	a.Bytes -= FrameSize * c.Count
	if c.Encoding == EncodingMessage {
		return a
	}
	for rest := c.Bodies; len(rest) > 0; {
		var body []byte
		var invalid bool
		body, invalid, rest = Next(rest)
		a.Repair += Repair(body, invalid)
		if len(body) == 0 {
			a.Empty++
		}
	}
	return a
}

// Cut returns how many bytes and records at the beginning of bodies, which are not
// empty and framed as the encoding says, take at most limit bytes; it is at least
// one record, which may take more.
func Cut(e Encoding, bodies []byte, limit int) (size, count int) {
	b := Batch{Encoding: e}
	for rest := bodies; len(rest) > 0; count++ {
		_, _, rest = b.Next(rest)
		if end := len(bodies) - len(rest); count > 0 && end > limit {
			break
		} else {
			size = end
		}
	}
	return size, count
}
