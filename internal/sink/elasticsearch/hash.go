package elasticsearch

import (
	"crypto/sha256"
	"encoding/binary"
)

// hashID makes the id of a record's content.
func (a *attempt) hashID(at int64, v *values) error {
	a.digest.Reset()
	o := &a.sink.o
	if o.HashTag {
		a.hashPiece([]byte(a.stream.Name))
	}
	if o.HashTime {
		a.scratch = binary.BigEndian.AppendUint64(a.scratch[:0], uint64(at))
		a.hashPiece(a.scratch)
	}
	if len(a.sink.want.hash) == 0 {
		a.hashPiece(v.whole())
	}
	for i := range a.sink.want.hash {
		f := &a.sink.want.hash[i]
		var ok bool
		if a.scratch, ok = v.text(a.scratch[:0], f, o.TextKey); !ok {
			return invalid("no id: the record has no field %q, or it is not text or a number", f.name)
		}
		a.hashPiece(a.scratch)
	}
	var sum [sha256.Size]byte
	a.digest.Sum(sum[:0])
	a.origin.begin([16]byte(sum[:16]))
	a.id = append(a.id[:0], a.origin.of(binary.BigEndian.Uint64(sum[16:]))...)
	return nil
}

func (a *attempt) hashPiece(p []byte) {
	var size [8]byte
	binary.BigEndian.PutUint64(size[:], uint64(len(p)))
	a.digest.Write(size[:])
	a.digest.Write(p)
}
