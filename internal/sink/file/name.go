package file

import (
	"crypto/sha256"
	"encoding/hex"
)

// A piece of a tag takes at most so many bytes of a name, of which a file system
// takes 255. Of a longer one the beginning is kept, and a hash of all tells it
// from others.
const (
	maxPiece = 160
	cutPiece = 120
)

// appendEscaped appends a piece of a tag, percent-encoded but for letters,
// digits, dots, hyphens and underscores of ASCII. A piece of dots alone, which would
// lead to another folder, has them encoded as well. No two pieces have the same
// form.
func appendEscaped(dst []byte, piece string) []byte {
	start := len(dst)
	dots := piece == "." || piece == ".."
	for i := range len(piece) {
		c := piece[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.' && !dots {
			dst = append(dst, c)
			continue
		}
		const digits = "0123456789ABCDEF"
		dst = append(dst, '%', digits[c>>4], digits[c&0xf])
		if len(dst)-start > maxPiece {
			break
		}
	}
	if len(dst)-start <= maxPiece {
		return dst
	}
	hash := sha256.Sum256([]byte(piece))
	dst = append(dst[:start+cutPiece], "%~"...)
	return hex.AppendEncode(dst, hash[:16])
}
