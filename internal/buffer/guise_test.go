package buffer_test

import (
	"encoding/binary"
	"fmt"

	"github.com/spillway/spillway/internal/record"
)

// guise is what the records of a chunk are, and what identifies them.
type guise uint8

const (
	entries  guise = iota // of the forward protocol
	replayed              // the same once more, with the identity that they had
	messages              // of a partition
	again                 // messages that a sender may send again
)

func guiseOf(n int) guise { return guise(n % 4) }

// encoding is that of the chunk.
func (g guise) encoding() record.Encoding {
	if g >= messages {
		return record.EncodingMessage
	}
	return record.EncodingEntry
}

// body makes the record at index i of the n-th chunk.
func (g guise) body(n, i int, text string) string {
	if g < messages {
		return entry(text)
	}
	m := record.Message{
		Time: int64(n), Offset: int64(1000*n + 3*i), Form: record.FormJSON, Key: []byte("key"), Value: []byte(text),
		Headers: record.AppendHeader(nil, []byte("n"), fmt.Append(nil, i)),
	}
	return string(record.AppendMessage(nil, &m)[record.FrameSize:])
}

// dress makes a chunk of bodies.
func (g guise) dress(c *record.Chunk, n int, bodies []string) {
	c.Encoding, c.Count, c.Bodies = g.encoding(), len(bodies), nil
	for _, body := range bodies {
		if g >= messages {
			c.Bodies = binary.LittleEndian.AppendUint32(c.Bodies, uint32(len(body)))
		}
		c.Bodies = append(c.Bodies, body...)
	}
	switch g {
	case replayed:
		c.Identity = record.Identity{Key: [16]byte{byte(n), byte(n >> 8), 2}, Number: uint64(n) << 20}
	case messages, again:
		c.Partition = record.Partition{Topic: "topic", Number: uint32(n)}
	}
	if g == messages {
		c.Origin = record.Origin{}
	}
}

// identity is that of the record at index i of the n-th chunk, which has the key.
func (g guise) identity(n, i int, key [16]byte) record.Identity {
	c := record.Chunk{Origin: record.Origin{Key: key}}
	switch g.dress(&c, n, nil); g {
	case entries:
		return record.Identity{Key: key, Number: uint64(i)}
	case replayed:
		return record.Identity{Key: c.Identity.Key, Number: c.Identity.Number + uint64(i)}
	}
	return record.Identity{Key: c.Partition.Key(), Number: uint64(1000*n + 3*i)}
}
