package record

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"strings"
)

// Identity identifies a record for good: no other record ever has the same one, and
// the same record has it again after a crash, when it is sent again, and when it is
// replayed from the dead letters.
type Identity struct {
	// Key names what counts the record: a chunk, a partition, or the incarnation of a
	// stream's numbering. Zero is nothing.
	Key [16]byte
	// Number is the record's there: its index in the chunk, its offset, or its
	// sequence number.
	Number uint64
}

// numbered ends the key of an incarnation, which has but 12 bytes. The keys of
// chunks and partitions are hashes, which end otherwise.
const numbered = "seq\x00"

// Known reports whether there is an identity.
func (id Identity) Known() bool { return id.Key != [16]byte{} }

// String is the identity's form in dead letters: the key in hexadecimal, of an
// incarnation its 12 bytes alone, a slash, and the number.
func (id Identity) String() string {
	key := id.Key[:]
	if string(key[12:]) == numbered {
		key = key[:12]
	}
	return hex.EncodeToString(key) + "/" + strconv.FormatUint(id.Number, 10)
}

// ParseIdentity reads what String has written, and the coordinates of a message: see
// ParseCoordinates.
func ParseIdentity(s string) (id Identity, ok bool) {
	if p, offset, ok := ParseCoordinates(s); ok {
		return Identity{Key: p.Key(), Number: uint64(offset)}, true
	}
	key, number, ok := strings.Cut(s, "/")
	raw, err := hex.DecodeString(key)
	if !ok || err != nil || len(raw) != 12 && len(raw) != 16 {
		return Identity{}, false
	}
	copy(id.Key[copy(id.Key[:], raw):], numbered)
	id.Number, err = strconv.ParseUint(number, 10, 64)
	return id, err == nil && id.Known() && id.String() == s
}

// Partition is where messages stand: a partition of one creation of a topic.
type Partition struct {
	// Topic is its name, of at most MaxTopic bytes; empty is no partition.
	Topic string
	// ID is the topic's id, which tells this creation of it from every other; where
	// brokers have none, a hash of the cluster's id and the name.
	ID     [16]byte
	Number uint32
}

// MaxTopic is the longest name of a topic, in bytes: what Kafka allows.
const MaxTopic = 249

// Known reports whether there is a partition.
func (p *Partition) Known() bool { return p.Topic != "" }

// Key identifies the partition: with an offset, a message. It does not depend on the
// topic's name.
func (p *Partition) Key() (key [16]byte) {
	var fixed [partitionFixed]byte
	p.putFixed(&fixed)
	return partitionKey(&fixed)
}

// partitionFixed is the size of a partition in a batch but for its topic: 16 bytes of
// id, and the number.
const partitionFixed = 20

func (p *Partition) putFixed(dst *[partitionFixed]byte) {
	copy(dst[:], p.ID[:])
	binary.LittleEndian.PutUint32(dst[16:], p.Number)
}

func partitionKey(fixed *[partitionFixed]byte) (key [16]byte) {
	const domain = "spillway partition 1"
	var src [len(domain) + partitionFixed]byte
	copy(src[copy(src[:], domain):], fixed[:])
	sum := sha256.Sum256(src[:])
	copy(key[:], sum[:])
	return key
}

// Append appends the partition as a batch holds it: the id, the number (u32), and the
// topic.
func (p *Partition) Append(dst []byte) []byte {
	var fixed [partitionFixed]byte
	p.putFixed(&fixed)
	return append(append(dst, fixed[:]...), p.Topic...)
}

// ParsePartition reads a batch's partition; nothing is the zero value. The topic is a
// copy, the only allocation.
func ParsePartition(src []byte) (p Partition) {
	if len(src) <= partitionFixed {
		return p
	}
	copy(p.ID[:], src)
	p.Number = binary.LittleEndian.Uint32(src[16:])
	p.Topic = string(src[partitionFixed:])
	return p
}

// Coordinates is the form of a message's identity in dead letters, which people can
// read: kafka:TOPIC/PARTITION/OFFSET@ID. The id is written as Kafka's own tools do.
func (p *Partition) Coordinates(offset int64) string {
	return "kafka:" + p.Topic + "/" + strconv.FormatUint(uint64(p.Number), 10) + "/" + strconv.FormatInt(offset, 10) +
		"@" + base64.RawURLEncoding.EncodeToString(p.ID[:])
}

// ParseCoordinates reads what Coordinates has written.
func ParseCoordinates(s string) (p Partition, offset int64, ok bool) {
	rest, isKafka := strings.CutPrefix(s, "kafka:")
	at := strings.LastIndexByte(rest, '@')
	if !isKafka || at < 0 {
		return Partition{}, 0, false
	}
	id, err := base64.RawURLEncoding.Strict().DecodeString(rest[at+1:])
	parts := strings.Split(rest[:at], "/")
	if err != nil || len(id) != len(p.ID) || len(parts) != 3 || parts[0] == "" || len(parts[0]) > MaxTopic {
		return Partition{}, 0, false
	}
	number, err := strconv.ParseUint(parts[1], 10, 32)
	if err != nil {
		return Partition{}, 0, false
	}
	if offset, err = strconv.ParseInt(parts[2], 10, 64); err != nil {
		return Partition{}, 0, false
	}
	copy(p.ID[:], id)
	p.Topic, p.Number = parts[0], uint32(number)
	return p, offset, p.Coordinates(offset) == s
}

// Identity tells what identifies the batch's records: a key that all share, and the
// number of the first. The numbers of messages of a partition are their offsets, which
// do not follow each other, and first is 0; of everything else they count on from
// first. See Number.
//
// What is replayed keeps the identity that it had. Messages have that of their
// partition; what a sender may send again, that of its chunk; all else that of its
// stream's numbering.
func (b *Batch) Identity(s *Stream) (key [16]byte, first uint64) {
	switch {
	case b.Original.Known():
		return b.Original.Key, b.Original.Number
	case len(b.Partition) > 0:
		return partitionKey((*[partitionFixed]byte)(b.Partition)), 0
	case b.Origin.Known():
		return b.Origin.Key, uint64(b.Origin.Position)
	}
	copy(key[copy(key[:], s.Incarnation[:]):], numbered)
	return key, b.FirstSeq
}

// Number is that of the record at index i of the batch, with that body: first is what
// Identity returned.
func (b *Batch) Number(first uint64, i int, body []byte) uint64 {
	if len(b.Partition) > 0 && !b.Original.Known() {
		return uint64(MessageOffset(body))
	}
	return first + uint64(i)
}

// Offsets are the first and the last offset of a batch of messages of a partition, with
// the partition's key; ok is false of all else, and of what is replayed. It walks over
// the frames.
func (b *Batch) Offsets() (key [16]byte, first, last int64, ok bool) {
	if len(b.Partition) == 0 || b.Original.Known() || b.Kind != KindRecords || len(b.Frames) == 0 {
		return key, 0, 0, false
	}
	key, _ = b.Identity(nil)
	body, _, rest := Next(b.Frames)
	first = MessageOffset(body)
	for len(rest) > 0 {
		body, _, rest = Next(rest)
	}
	return key, first, MessageOffset(body), true
}

// Identify identifies the record at index i of the batch, with that body, for a dead
// letter: by coordinates where it is a message of a partition, else as an identity's
// String. ParseIdentity gives the identity back.
func (b *Batch) Identify(s *Stream, i int, body []byte) string {
	key, first := b.Identity(s)
	if len(b.Partition) > 0 && !b.Original.Known() {
		p := ParsePartition(b.Partition)
		return p.Coordinates(MessageOffset(body))
	}
	return Identity{Key: key, Number: b.Number(first, i, body)}.String()
}
