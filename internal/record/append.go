package record

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"
)

// Added says what an append put into a batch, and Empty how many of those
// records have no body.
type Added struct {
	Count, Bytes, Repair, Empty int
}

// Room bounds what AppendLines adds, beside the capacity of its destination.
type Room struct {
	// Count is the most records, Cost the most of the sum over them of the body
	// after repair and PerRecord. The first record is added whatever its cost.
	Count, Cost, PerRecord int
}

// AppendLines frames the lines of src, each ended by a newline that is not part
// of its body, into dst up to its capacity. It returns dst, how many bytes of
// src were taken, always whole lines, and what was added. valid promises that
// all of src is valid UTF-8, which spares a look at every line.
func AppendLines(dst, src []byte, valid bool, room Room) ([]byte, int, Added) {
	var added Added
	taken, cost := 0, 0
	for taken < len(src) {
		n := bytes.IndexByte(src[taken:], '\n')
		if n < 0 || len(dst)+FrameSize+n > cap(dst) || added.Count >= room.Count {
			break
		}
		line := src[taken : taken+n]
		word, repair, empty := uint32(n), 0, 0
		if n == 0 {
			repair, empty = 1, 1
		} else if !valid && !utf8.Valid(line) {
			word |= invalidFlag
			repair = 2 * InvalidBytes(line)
		}
		cost += n + repair + room.PerRecord
		if cost > room.Cost && added.Count > 0 {
			break
		}
		dst = binary.LittleEndian.AppendUint32(dst, word)
		dst = append(dst, line...)
		taken += n + 1
		added.Count++
		added.Bytes += n
		added.Repair += repair
		added.Empty += empty
	}
	return dst, taken, added
}

// AppendBody frames one body into dst, whose capacity must suffice.
func AppendBody(dst, body []byte) ([]byte, Added) {
	word := uint32(len(body))
	added := Added{Count: 1, Bytes: len(body)}
	if len(body) == 0 {
		added.Empty++
	}
	invalid := !utf8.Valid(body)
	if invalid {
		word |= invalidFlag
	}
	added.Repair = Repair(body, invalid)
	dst = binary.LittleEndian.AppendUint32(dst, word)
	return append(dst, body...), added
}

// Repair is what a body takes beyond its length once it is valid, non-empty
// UTF-8: an empty one becomes a space, a bad byte becomes U+FFFD.
func Repair(body []byte, invalid bool) int {
	switch {
	case len(body) == 0:
		return 1
	case invalid:
		return 2 * InvalidBytes(body)
	}
	return 0
}

// InvalidBytes counts the bytes of b that are not part of a valid UTF-8
// sequence; each is replaced by U+FFFD on its own, as Go, and Docker's driver,
// do.
func InvalidBytes(b []byte) int {
	n := 0
	for len(b) > 0 {
		if b[0] < utf8.RuneSelf {
			b = b[1:]
			continue
		}
		r, size := utf8.DecodeRune(b)
		if r == utf8.RuneError && size == 1 {
			n++
		}
		b = b[size:]
	}
	return n
}

// CountLines counts the newline-ended lines of src and their bytes without the
// newlines, for lines that are counted but not kept.
func CountLines(src []byte) (lines, size int) {
	lines = bytes.Count(src, []byte{'\n'})
	return lines, len(src) - lines
}

// CutAt is where to cut text so that the first piece takes at most limit bytes
// after repair: at its end, or on a rune boundary. It is at least 1 for a text
// that is not empty.
func CutAt(text []byte, limit int) int {
	if len(text) <= limit && (len(text) <= limit/3 || utf8.Valid(text)) {
		return len(text)
	}
	if at := runeStart(text, limit); at > 0 && utf8.Valid(text[:at]) {
		return at
	}
	at := 0
	for at < len(text) {
		r, size := utf8.DecodeRune(text[at:])
		if r == utf8.RuneError && size == 1 {
			if !utf8.FullRune(text[at:]) && at > 0 {
				if 3*(len(text)-at) <= limit {
					return len(text)
				}
				// The rest of this rune may not have been read yet.
				break
			}
			limit -= 2
		}
		if limit -= size; limit < 0 {
			break
		}
		at += size
	}
	if at == 0 {
		return min(1, len(text))
	}
	return at
}

// runeStart is the last place at or before at where a rune may start.
func runeStart(text []byte, at int) int {
	at = min(at, len(text))
	for back := 0; back < utf8.UTFMax && at-back > 0; back++ {
		if at-back == len(text) || utf8.RuneStart(text[at-back]) {
			return at - back
		}
	}
	return at
}
