package streams

import (
	"crypto/sha256"
	"encoding/hex"
	"unicode/utf8"
)

// A piece of a tag takes at most so many bytes of a name, of which the service
// takes 512 characters. Of a longer one the beginning is kept, and a hash of all
// tells it from others.
const (
	maxPiece = 200
	cutPiece = 150
)

// appendStream appends a piece of a tag as it may stand in the name of a log
// stream: the rule of CreateLogStream is that there is no : or *. An empty piece
// is a hyphen, since a name must not be empty.
func appendStream(dst []byte, piece string) []byte {
	if piece == "" {
		return append(dst, '-')
	}
	start := len(dst)
	for i := 0; i < len(piece) && len(dst)-start <= maxPiece; {
		r, size := utf8.DecodeRuneInString(piece[i:])
		if r < ' ' || r == ':' || r == '*' || r == '%' || r == 0x7f || r == utf8.RuneError && size == 1 {
			const digits = "0123456789ABCDEF"
			dst = append(dst, '%', digits[piece[i]>>4], digits[piece[i]&0xf])
		} else {
			dst = append(dst, piece[i:i+size]...)
		}
		i += size
	}
	return shorten(dst, start, piece)
}

// appendGroup does it for the name of a log group, which has letters, digits and
// _ - / . # alone: all else becomes an underscore.
func appendGroup(dst []byte, piece string) []byte {
	if piece == "" {
		return append(dst, '-')
	}
	start := len(dst)
	for i := 0; i < len(piece) && len(dst)-start <= maxPiece; i++ {
		c := piece[i]
		switch {
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9':
		case c == '_' || c == '-' || c == '/' || c == '.' || c == '#':
		default:
			c = '_'
		}
		dst = append(dst, c)
	}
	return shorten(dst, start, piece)
}

// shorten puts a hash in the place of the end of a piece that is too long.
func shorten(dst []byte, start int, piece string) []byte {
	if len(dst)-start <= maxPiece {
		return dst
	}
	at := start + cutPiece
	for !utf8.RuneStart(dst[at]) {
		at--
	}
	hash := sha256.Sum256([]byte(piece))
	dst = append(dst[:at], '_')
	return hex.AppendEncode(dst, hash[:16])
}
