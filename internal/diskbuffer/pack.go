package diskbuffer

import (
	"errors"
	"fmt"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
)

// packer compresses payloads. Its memory lives as long as the store.
type packer struct {
	kind Compression
	buf  []byte
	zstd *zstd.Encoder
}

// pack returns the payload as it is to be stored, and how that is.
func (p *packer) pack(payload []byte) ([]byte, Compression, error) {
	switch p.kind {
	case None:
		return payload, None, nil
	case S2:
		if n := s2.MaxEncodedLen(len(payload)); cap(p.buf) < n {
			p.buf = make([]byte, n)
		}
		p.buf = s2.Encode(p.buf[:cap(p.buf)], payload)
	case Zstd:
		if p.zstd == nil {
			e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
				zstd.WithWindowSize(1<<20), zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false))
			if err != nil {
				return nil, None, fmt.Errorf("make a Zstandard encoder: %w", err)
			}
			p.zstd = e
		}
		p.buf = p.zstd.EncodeAll(payload, p.buf[:0])
	default:
		return nil, None, fmt.Errorf("compression %d is unknown", p.kind)
	}
	if len(p.buf) >= len(payload) {
		return payload, None, nil
	}
	return p.buf, p.kind, nil
}

// unpacker undoes compression.
type unpacker struct{ zstd *zstd.Decoder }

var errLength = errors.New("the payload has another length than its frame says")

// unpack decompresses stored into dst, whose length is the one that must result.
func (u *unpacker) unpack(dst, stored []byte, kind Compression) ([]byte, error) {
	switch kind {
	case S2:
		n, err := s2.DecodedLen(stored)
		if err != nil {
			return nil, err
		}
		if n != len(dst) {
			return nil, errLength
		}
		return s2.Decode(dst, stored)
	case Zstd:
		if u.zstd == nil {
			d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(MaxPayload),
				zstd.WithDecodeAllCapLimit(true))
			if err != nil {
				return nil, fmt.Errorf("make a Zstandard decoder: %w", err)
			}
			u.zstd = d
		}
		raw, err := u.zstd.DecodeAll(stored, dst[:0:len(dst)])
		if err == nil && len(raw) != len(dst) {
			err = errLength
		}
		return raw, err
	}
	return nil, fmt.Errorf("compression %d is unknown", kind)
}

// close gives back what the decoder holds.
func (u *unpacker) close() {
	if u.zstd != nil {
		u.zstd.Close()
		u.zstd = nil
	}
}
