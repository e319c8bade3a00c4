package record

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// MaxSource is how many bytes of its source's name a batch keeps.
const MaxSource = 128

// named is set in the encoding of a batch behind whose header the name of its source
// stands.
const named = 0x80

// SourceName is the name of a source as batches keep it, cut to MaxSource bytes. It may
// be shared by all chunks of the source, since nobody changes it.
func SourceName(name string) []byte {
	n := len(name)
	if n > MaxSource {
		for n = MaxSource; n > 0 && !utf8.RuneStart(name[n]); n-- {
		}
	}
	return []byte(name[:n])
}

// sourceSize is what the name of a source takes in a batch, in bytes: one says how long
// it is.
func sourceSize(source []byte) int {
	if len(source) == 0 {
		return 0
	}
	return 1 + len(source)
}

func putSource(dst, source []byte) int {
	dst[0] = byte(len(source))
	return 1 + copy(dst[1:], source)
}

// checkSource returns how many bytes the name of a source at the beginning of src takes.
func checkSource(src []byte) (size int, err error) {
	if len(src) == 0 {
		return 0, errCut
	}
	switch n := int(src[0]); {
	case n == 0:
		return 0, errors.New("a source without a name")
	case n > MaxSource:
		return 0, fmt.Errorf("the name of a source with %d bytes", n)
	case n >= len(src):
		return 0, errCut
	default:
		return 1 + n, nil
	}
}
