package jsonscan

import (
	"unicode/utf16"
	"unicode/utf8"
)

// Kind is what a value is.
type Kind uint8

// The kinds of values.
const (
	None Kind = iota // no value: what Scanner.Value gives of a key that is not there
	Null
	Bool
	Number
	String
	Object
	Array
)

// KindOf tells what a value is that a scan has found.
func KindOf(value []byte) Kind {
	if len(value) == 0 {
		return None
	}
	switch value[0] {
	case '"':
		return String
	case '{':
		return Object
	case '[':
		return Array
	case 't', 'f':
		return Bool
	case 'n':
		return Null
	}
	return Number
}

// Text is the text of a value that a scan has found: what a string says, without
// quotes and escapes, and any other value as it stands there. It is a view of the
// value, or, where a string has escapes or bytes that are not UTF-8, it is appended
// to scratch[:0], which grows where it must; text is what is to be read, and scratch
// what to call with the next time.
//
// Half a surrogate pair, and each byte that is no UTF-8, become U+FFFD.
func Text(scratch, value []byte) (text, buffer []byte) {
	if KindOf(value) != String || len(value) < 2 {
		return value, scratch
	}
	inside := value[1 : len(value)-1]
	if isPlain(inside) {
		return inside, scratch
	}
	scratch = unescape(scratch[:0], inside)
	return scratch, scratch
}

// EndOfString returns what is behind the string that begins with the quote at a place
// of JSON that was scanned, and whether it is ASCII without escapes. Where there is no
// whole string it is the end.
func EndOfString(src []byte, at int) (end int, plain bool) {
	end, seen := text(src, at+1)
	if end < 0 {
		return len(src), false
	}
	return end, seen == 0
}

// isPlain tells whether the inside of a string is what it says.
func isPlain(inside []byte) bool {
	high := byte(0)
	for _, c := range inside {
		if c == '\\' {
			return false
		}
		high |= c
	}
	return high < utf8.RuneSelf || utf8.Valid(inside)
}

// unescape appends what the inside of a string says.
func unescape(dst, src []byte) []byte {
	for at := 0; at < len(src); {
		c := src[at]
		switch {
		case c == '\\':
			var n int
			dst, n = appendEscape(dst, src[at:])
			at += n
		case c < utf8.RuneSelf:
			dst = append(dst, c)
			at++
		default:
			r, size := utf8.DecodeRune(src[at:])
			dst = utf8.AppendRune(dst, r)
			at += size
		}
	}
	return dst
}

// appendEscape appends what the escape says that src begins with, and returns its
// length. Of a bad one, which no scan has let through, it appends the backslash.
func appendEscape(dst, src []byte) ([]byte, int) {
	if escape(src) == 0 {
		return append(dst, src[0]), 1
	}
	switch c := src[1]; c {
	case 'b':
		return append(dst, '\b'), 2
	case 'f':
		return append(dst, '\f'), 2
	case 'n':
		return append(dst, '\n'), 2
	case 'r':
		return append(dst, '\r'), 2
	case 't':
		return append(dst, '\t'), 2
	case 'u':
		r, _ := hex4(src[2:])
		if utf16.IsSurrogate(r) {
			if next := src[6:]; len(next) >= 6 && next[0] == '\\' && next[1] == 'u' {
				second, ok := hex4(next[2:])
				if both := utf16.DecodeRune(r, second); ok && both != utf8.RuneError {
					return utf8.AppendRune(dst, both), 12
				}
			}
			r = utf8.RuneError
		}
		return utf8.AppendRune(dst, r), 6
	default:
		return append(dst, c), 2
	}
}

// Lookup finds the value at the end of a path of keys, each of which but the last
// has an object for a value, in an object that a scan has found. Where a key stands
// in an object twice it is the last one. Keys that are written with escapes are
// found. In what is no valid object nothing is found, or anything that is inside.
func Lookup(object []byte, path ...string) (value []byte, found bool) {
	found = true
	for _, key := range path {
		if object, found = lookup(object, key); !found {
			return nil, false
		}
	}
	return object, found
}

// lookup finds the value of one key.
func lookup(object []byte, key string) (value []byte, found bool) {
	if len(object) < 2 || object[0] != '{' || object[len(object)-1] != '}' {
		return nil, false
	}
	w := walk{src: object}
	for at := w.begin(1); at >= 0 && object[at] == '"'; {
		start := at
		next, seen := text(object, at+1)
		if next < 0 {
			return nil, false
		}
		here := is(object[start+1:next-1], seen, key)
		if at = w.colon(next); at < 0 {
			return nil, false
		}
		from := at
		if at = w.value(at, MaxDepth); at < 0 {
			return nil, false
		}
		if here {
			value, found = object[from:at:at], true
		}
		if at = w.end(at); at < 0 || object[at] != ',' {
			break
		}
		at = w.begin(at + 1)
	}
	return value, found
}

// is tells whether the inside of a string says a text.
func is(inside []byte, seen uint64, text string) bool {
	if seen&escaped == 0 {
		return string(inside) == text
	}
	var room [64]byte
	return string(unescape(room[:0], inside)) == text
}
