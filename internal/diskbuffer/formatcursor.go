package diskbuffer

import "hash/crc32"

// slot is one state of the cursor.
type slot struct {
	Generation uint64
	Settled    Position
	Offered    uint64 // events
	End        Position
	Clean      bool
}

// put encodes the slot:
//
//	 0  8 bytes  "SPLWCUR1"
//	 8  u64      generation; the valid slot with the larger one counts
//	16  u64      events settled
//	24  u64      records settled
//	32  u64      events that may have been delivered
//	40  u64      events appended, at a clean close; else zero
//	48  u64      records appended, at a clean close; else zero
//	56  u32      1 after a clean close, else 0
//	60  u32      CRC32C of all before
func (s *slot) put(dst []byte) {
	_ = dst[slotSize-1]
	copy(dst, cursorMagic)
	le.PutUint64(dst[8:], s.Generation)
	le.PutUint64(dst[16:], s.Settled.Events)
	le.PutUint64(dst[24:], s.Settled.Records)
	le.PutUint64(dst[32:], s.Offered)
	clean, end := uint32(0), Position{}
	if s.Clean {
		clean, end = 1, s.End
	}
	le.PutUint64(dst[40:], end.Events)
	le.PutUint64(dst[48:], end.Records)
	le.PutUint32(dst[56:], clean)
	le.PutUint32(dst[60:], crc32.Checksum(dst[:60], castagnoli))
}

// parse decodes src.
func (s *slot) parse(src []byte) bool {
	if len(src) < slotSize || string(src[:8]) != cursorMagic || le.Uint32(src[60:]) != crc32.Checksum(src[:60], castagnoli) {
		return false
	}
	s.Generation = le.Uint64(src[8:])
	s.Settled = Position{le.Uint64(src[16:]), le.Uint64(src[24:])}
	s.Offered = le.Uint64(src[32:])
	s.End = Position{le.Uint64(src[40:]), le.Uint64(src[48:])}
	s.Clean = le.Uint32(src[56:]) == 1
	return s.Settled.Records <= s.Settled.Events && s.End.Records <= s.End.Events
}
