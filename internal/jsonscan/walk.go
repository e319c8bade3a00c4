package jsonscan

import (
	"fmt"
	"strconv"
	"unicode/utf8"
)

// walk goes over the tokens of a value. Its last byte is a closing brace.
type walk struct {
	src  []byte
	seen uint64
	// broken says that there is a line break between tokens.
	broken bool
	err    *Error

	// quotes are marks of where strings begin and end, where they are known, and all is
	// what text would have seen in all of them.
	quotes []uint64
	all    uint64
}

func (w *walk) nonASCII() bool { return w.seen&highBits != 0 }

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' }

// space returns where white space ends.
func (w *walk) space(at int) int {
	for {
		switch w.src[at] {
		case ' ', '\t':
		case '\n', '\r':
			w.broken = true
		default:
			return at
		}
		at++
	}
}

// colon reads what is between a key and its value, and returns where that begins.
func (w *walk) colon(at int) int {
	if w.src[at] <= ' ' {
		at = w.space(at)
	}
	if w.src[at] != ':' {
		return w.bad(at, "a colon behind the key")
	}
	if at++; w.src[at] <= ' ' {
		at = w.space(at)
	}
	return at
}

// value returns what is behind the value that begins at a place, or -1. depth is
// how many levels there may be.
func (w *walk) value(at, depth int) int {
	switch c := w.src[at]; c {
	case '"':
		next, seen := w.text(at + 1)
		if next < 0 {
			return w.badText(at, ^next)
		}
		w.seen |= seen
		return next
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		next := number(w.src, at)
		if next < 0 {
			return w.bad(^next, "a digit of a number")
		}
		return next
	case '{', '[':
		if depth == 0 {
			return w.bad(at, fmt.Sprintf("at most %d objects and arrays in each other", MaxDepth))
		}
		if c == '{' {
			return w.members(at+1, depth-1)
		}
		return w.elements(at+1, depth-1)
	case 't':
		return w.literal(at, "true")
	case 'f':
		return w.literal(at, "false")
	case 'n':
		return w.literal(at, "null")
	}
	return w.bad(at, "a value")
}

func (w *walk) literal(at int, word string) int {
	if end := at + len(word); end <= len(w.src) && string(w.src[at:end]) == word {
		return end
	}
	return w.bad(at, "true, false or null")
}

// members reads what is behind the opening brace of an inner object.
func (w *walk) members(at, depth int) int {
	src := w.src
	if at = w.begin(at); at < 0 {
		return at
	}
	if src[at] == '}' {
		return at + 1
	}
	for {
		if src[at] != '"' {
			return w.bad(at, `a key, which begins with "`)
		}
		next, seen := w.text(at + 1)
		if next < 0 {
			return w.badText(at, ^next)
		}
		w.seen |= seen
		if at = next + 1; src[next] != ':' || src[at] <= ' ' {
			if at = w.colon(next); at < 0 {
				return at
			}
		}
		if at = w.value(at, depth); at < 0 {
			return at
		}
		if at = w.end(at); at < 0 {
			return at
		}
		switch src[at] {
		case ',':
			if at = w.begin(at + 1); at < 0 {
				return at
			}
		case '}':
			return at + 1
		default:
			return w.bad(at, "a comma or }")
		}
	}
}

// elements reads what is behind the opening bracket of an array.
func (w *walk) elements(at, depth int) int {
	src := w.src
	if at = w.begin(at); at < 0 {
		return at
	}
	if src[at] == ']' {
		return at + 1
	}
	for {
		if at = w.value(at, depth); at < 0 {
			return at
		}
		if at = w.end(at); at < 0 {
			return at
		}
		switch src[at] {
		case ',':
			if at = w.begin(at + 1); at < 0 {
				return at
			}
		case ']':
			return at + 1
		default:
			return w.bad(at, "a comma or ]")
		}
	}
}

// begin passes white space before a token.
func (w *walk) begin(at int) int {
	if w.src[at] <= ' ' {
		return w.space(at)
	}
	return at
}

// end passes white space behind a value, behind which there may be nothing.
func (w *walk) end(at int) int {
	if at == len(w.src) {
		return w.bad(at, "the end of the object or array around the last value")
	}
	if w.src[at] <= ' ' {
		return w.space(at)
	}
	return at
}

// bad says what is wrong with a place, and returns -1.
func (w *walk) bad(at int, expected string) int {
	w.err = w.fail(at, expected)
	return -1
}

func (w *walk) fail(at int, expected string) *Error {
	if at >= len(w.src) {
		return &Error{at, "the end", expected}
	}
	return &Error{at, describe(w.src[at:]), expected}
}

// badText says what is wrong with a string that begins at start, at a place of it.
func (w *walk) badText(start, at int) int {
	switch {
	case at >= len(w.src):
		w.err = &Error{at, "the end", "the closing quote of the string that begins at byte " + strconv.Itoa(start+1)}
	case w.src[at] == '\\':
		w.err = &Error{at, strconv.Quote(string(w.src[at:min(at+6, len(w.src))])), `an escape: \" \\ \/ \b \f \n \r \t or \u and four hexadecimal digits`}
	default:
		w.err = &Error{at, describe(w.src[at:]), `no control character in a string but as an escape`}
	}
	return -1
}

// describe names the character that src begins with.
func describe(src []byte) string {
	r, size := utf8.DecodeRune(src)
	if r == utf8.RuneError && size <= 1 {
		return fmt.Sprintf("the byte %#02x", src[0])
	}
	return strconv.QuoteRune(r)
}
