package elasticsearch

import (
	"encoding/base64"
	"encoding/binary"
	"hash/maphash"
	"math/bits"
	"math/rand/v2"
)

// MaxID is the longest id that destinations take, in bytes.
const MaxID = 512

// originID makes the ids of a batch: its key and the number of each record, in 32
// characters that need no escape anywhere. All but the last twelve are the same for
// the whole batch.
type originID struct {
	text [32]byte
	tail [9]byte // the last byte of the key, and the number
	// high is what the last number had but for its last 24 bits, which are the last
	// four characters.
	high  uint64
	known bool
}

func (o *originID) begin(key [16]byte) {
	base64.RawURLEncoding.Encode(o.text[:20], key[:15])
	o.tail[0], o.known = key[15], false
}

// of is the id of a record; it holds until the next call.
func (o *originID) of(number uint64) []byte {
	if high := number >> 24; high != o.high || !o.known {
		// All but the last 24 bits of a number seldom change.
		o.high, o.known = high, true
		binary.BigEndian.PutUint64(o.tail[1:], number)
		base64.RawURLEncoding.Encode(o.text[20:], o.tail[:])
		return o.text[:]
	}
	o.text[28] = alphabet[number>>18&63]
	o.text[29] = alphabet[number>>12&63]
	o.text[30] = alphabet[number>>6&63]
	o.text[31] = alphabet[number&63]
	return o.text[:]
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// mark is a hash of an id, by which the answer is checked. Those of 32 bytes are
// ours, and nearly all.
func mark(id []byte) uint64 {
	if len(id) != 32 {
		return maphash.Bytes(seed, id)
	}
	le := binary.LittleEndian
	high, low := bits.Mul64(le.Uint64(id)^keys[0], le.Uint64(id[8:])^keys[1])
	high2, low2 := bits.Mul64(le.Uint64(id[16:])^keys[2]^high, le.Uint64(id[24:])^keys[3]^low)
	return high2 ^ low2
}

// seed and keys are drawn for each process, so that nobody can choose ids whose
// marks are the same.
var (
	seed = maphash.MakeSeed()
	keys = [4]uint64{rand.Uint64(), rand.Uint64(), rand.Uint64(), rand.Uint64()}
)

// lossKey keeps the ids of loss markers apart from those of the records whose
// numbers they have.
func lossKey(key [16]byte) [16]byte {
	for i, c := range []byte("loss marker") {
		key[i] ^= c
	}
	return key
}
