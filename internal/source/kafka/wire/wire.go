// Package wire reads what a Kafka broker answers to a fetch: record batches of
// format 2, one behind the other, as the protocol guide and KIP-98 describe them.
//
// A batch is looked at where it lies, and a compressed one is unpacked through a
// window as its records are asked for: what is held is one window, which grows to
// the largest record that is wanted and no further, whatever a batch unpacks to.
// Nothing is allocated for a record.
//
// It refuses to know topics, groups and connections. All that it reads are foreign
// bytes. Its caller is internal/source/kafka.
//
// A batch, big-endian; offsets in bytes:
//
//	 0  i64  offset of the first record
//	 8  i32  size of what follows
//	12  i32  epoch of the leader that wrote it
//	16  i8   magic: 2
//	17  u32  CRC32C of what follows
//	21  i16  attributes: bits 0 to 2 compression, 3 the broker's time, 4 transactional, 5 control
//	23  i32  offset of the last record, less that of the first
//	27  i64  time of the first record, milliseconds since 1970
//	35  i64  latest time
//	43  i64  id of the producer
//	51  i16  epoch of the producer
//	53  i32  number of its first record
//	57  i32  count of records
//	61       records, compressed as a whole where the attributes say so
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// Sizes in bytes: of what every format begins with, and of a batch's header.
const (
	prefixSize = 17
	HeadSize   = 61
)

// Magic is the only format that ReadHead reads. Brokers older than 0.11, and topics
// that still hold what such ones wrote, have others.
const Magic = 2

// Split splits the first batch, of any format, off the answer of a broker. ok is
// false where there is no whole one: brokers cut an answer at the size asked for.
func Split(answer []byte) (batch, rest []byte, ok bool) {
	if len(answer) < prefixSize {
		return nil, nil, false
	}
	size := uint64(binary.BigEndian.Uint32(answer[8:])) + 12
	if size < prefixSize || size > uint64(len(answer)) {
		return nil, nil, false
	}
	return answer[:size:size], answer[size:], true
}

// HeadLook is how many bytes of a batch it takes to know its size.
const HeadLook = 12

// SizeOf is what the first batch of an answer takes that Split does not split off, since
// its end is missing, or 0 where too little of it is there to know.
func SizeOf(answer []byte) int {
	if len(answer) < HeadLook {
		return 0
	}
	return HeadLook + int(max(int32(binary.BigEndian.Uint32(answer[8:])), 0))
}

// MagicOf is the format of a batch from Split.
func MagicOf(batch []byte) int8 { return int8(batch[16]) }

// Compression is how the records of a batch are compressed.
type Compression int8

// The kinds of compression.
const (
	None Compression = iota
	Gzip
	Snappy
	LZ4
	Zstd
)

// Head is the header of a batch.
type Head struct {
	// First and Last are offsets. After compaction the last record, or all of them,
	// may be gone.
	First, Last int64
	LeaderEpoch int32
	Compression Compression
	// AppendTime: all records have the time MaxTime, which the broker gave them.
	AppendTime             bool
	Transactional, Control bool
	FirstTime, MaxTime     int64 // milliseconds since 1970
	ProducerID             int64
	Count                  int
}

// ErrChecksum says that a batch is not what its producer sent.
var ErrChecksum = errors.New("its checksum does not match")

// Bounds returns the offsets of the first and the last record of a batch from Split,
// without a look at the rest. ok is false where it is none of format 2.
func Bounds(batch []byte) (first, last int64, ok bool) {
	if len(batch) < HeadSize || MagicOf(batch) != Magic {
		return 0, 0, false
	}
	first = int64(binary.BigEndian.Uint64(batch))
	delta := int32(binary.BigEndian.Uint32(batch[23:]))
	if first < 0 || delta < 0 || first+int64(delta) < 0 {
		return 0, 0, false
	}
	return first, first + int64(delta), true
}

// ReadHead reads the header of a batch from Split, and checks all of the batch
// against its checksum.
func ReadHead(batch []byte, h *Head) error { return readHead(batch, h, nil) }

func readHead(batch []byte, h *Head, passed func(at int)) error {
	be := binary.BigEndian
	first, last, ok := Bounds(batch)
	if !ok {
		return fmt.Errorf("found %d bytes of format %d, expected a batch of format %d", len(batch), MagicOf(batch), Magic)
	}
	if checksum(batch[21:], passed) != be.Uint32(batch[17:]) {
		return ErrChecksum
	}
	attributes := be.Uint16(batch[21:])
	*h = Head{
		First: first, Last: last, LeaderEpoch: int32(be.Uint32(batch[12:])),
		Compression: Compression(attributes & 7), AppendTime: attributes&8 != 0, Transactional: attributes&16 != 0, Control: attributes&32 != 0,
		FirstTime: int64(be.Uint64(batch[27:])), MaxTime: int64(be.Uint64(batch[35:])), ProducerID: int64(be.Uint64(batch[43:])),
	}
	count := int32(be.Uint32(batch[57:]))
	if count < 0 || int64(count) > last-first+1 {
		return fmt.Errorf("found a count of %d records for the offsets %d to %d", count, first, last)
	}
	h.Count = int(count)
	return nil
}

// checksum adds up all bytes, and tells from time to time how far it is.
func checksum(b []byte, passed func(at int)) (sum uint32) {
	if passed == nil {
		return crc32.Checksum(b, castagnoli)
	}
	for len(b) > 0 {
		n := min(len(b), Stride)
		sum = crc32.Update(sum, castagnoli, b[:n])
		b = b[n:]
		passed(0) // All is looked at again.
	}
	return sum
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Aborts reports whether a control batch ends a transaction that was aborted, by its
// first record, whose key is a version and a type: 0 aborts.
func Aborts(key []byte) bool {
	return len(key) >= 4 && binary.BigEndian.Uint16(key[2:]) == 0
}

// OldOffset is the offset of a message of an older format from Split: of the last
// one, where it has others inside of it.
func OldOffset(message []byte) int64 { return int64(binary.BigEndian.Uint64(message)) }

// EpochOf is the epoch of the leader that wrote a batch from Split; -1 in older formats,
// which have none.
func EpochOf(batch []byte) int32 {
	if MagicOf(batch) != Magic {
		return -1
	}
	return int32(binary.BigEndian.Uint32(batch[12:]))
}
