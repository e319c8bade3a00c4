package elasticsearch

import (
	"encoding/base64"
	"encoding/binary"
)

// MaxID is the longest id that destinations take, in bytes.
const MaxID = 512

// originID makes the ids of a batch: its key and the number of each record, in 32
// characters that need no escape anywhere. All but the last twelve are the same for
// the whole batch.
type originID struct {
	text [32]byte
	tail [9]byte // the last byte of the key, and the number
}

func (o *originID) begin(key [16]byte) {
	base64.RawURLEncoding.Encode(o.text[:20], key[:15])
	o.tail[0] = key[15]
}

// of is the id of a record; it holds until the next call.
func (o *originID) of(number uint64) []byte {
	binary.BigEndian.PutUint64(o.tail[1:], number)
	base64.RawURLEncoding.Encode(o.text[20:], o.tail[:])
	return o.text[:]
}

// lossKey keeps the ids of loss markers apart from those of the records whose
// numbers they have.
func lossKey(key [16]byte) [16]byte {
	for i, c := range []byte("loss marker") {
		key[i] ^= c
	}
	return key
}
