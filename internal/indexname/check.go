package indexname

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Clean changes dst[start:], which is foreign, so that it can stand in the name
// of an index: no capital letters, none of \ / * ? " < > | , # : and space, and no
// control characters. Other letters stay as they are.
func Clean(dst []byte, start int) []byte {
	ascii := true
	for i := start; i < len(dst); i++ {
		switch c := dst[i]; {
		case c >= 'A' && c <= 'Z':
			dst[i] = c + 'a' - 'A'
		case c <= ' ' || c == 0x7f || strings.IndexByte(`\/*?"<>|,#:`, c) >= 0:
			dst[i] = '-'
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	if ascii {
		return dst
	}
	return append(dst[:start], strings.ToLower(strings.ToValidUTF8(string(dst[start:]), "-"))...)
}

// Check says what is wrong with the name of an index, or returns "".
func Check(name []byte) string {
	switch {
	case len(name) == 0:
		return "a name of an index that is empty"
	case len(name) > MaxSize:
		return fmt.Sprintf("a name of an index of %d bytes; expected at most %d", len(name), MaxSize)
	case name[0] == '-' || name[0] == '_' || name[0] == '+':
		return fmt.Sprintf("a name of an index that begins with %q; expected one that begins with none of - _ +", name[:1])
	case string(name) == "." || string(name) == "..":
		return "a name of an index of dots alone"
	}
	return ""
}

// Wrong says what is wrong with the name as that of an index, or returns "": of one
// that is made of the tag and fields, the text between them alone is looked at.
func (n *Name) Wrong() string {
	for i := range n.parts {
		text := n.parts[i].text
		if clean := Clean([]byte(text), 0); string(clean) != text {
			return fmt.Sprintf("%q, which has capital letters or characters that no name of an index may have; expected such as %q", text, clean)
		}
	}
	first := []byte(n.parts[0].text)
	if n.Fixed() {
		return Check(first)
	}
	if len(first) > 0 && (first[0] == '-' || first[0] == '_' || first[0] == '+') {
		return Check(first)
	}
	return ""
}

// MaxSize is the longest name of an index, in bytes.
const MaxSize = 255
