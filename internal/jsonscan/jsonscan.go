// Package jsonscan looks at JSON of foreign origin before it is passed on as it
// is: whether it is exactly one object with nothing behind it, and where in it the
// members stand that its caller wants to know. The object is then appended to
// whatever is being made, on one line and in valid UTF-8, without the members that
// are to go, so that no byte of it is copied twice and no value of it is decoded.
//
// It is strict, because what passes stands between lines of a protocol: RFC 8259 to
// the letter. No control character is let through in a string, no line break
// between tokens, no byte that is not UTF-8; numbers, literals and escapes are
// checked; depth is bounded. The only things let through that somebody may refuse
// are those that RFC 8259 allows: a key that stands in an object twice, the escape
// of half a surrogate pair, and numbers of any size.
//
// It refuses to decide what becomes of a value that is not an object, and to make
// Go values. Nothing is allocated but for an error.
package jsonscan

import (
	"fmt"
	"strconv"
)

// MaxDepth is how deeply objects and arrays may be nested, the outermost counted: as
// deeply as records of the forward protocol, so that every destination takes what a
// scan lets through.
const MaxDepth = 64

// MaxKeys is the most keys that can be looked for at once.
const MaxKeys = 64

// maxFound is the most members with a wanted key in one object. Only an object in
// which keys stand many times has more.
const maxFound = 1024

// Keys are the names of the top-level members that a caller wants to know about,
// in an order that is the caller's. They do not change, and may be used by several
// goroutines at once.
type Keys struct {
	names []string
	// lengths has the bit of each length of a name that there is; the last stands for
	// all that are longer.
	lengths uint64
}

// NewKeys prepares names, of which there are at most MaxKeys. It is an error if one
// stands there twice.
func NewKeys(names ...string) (*Keys, error) {
	if len(names) > MaxKeys {
		return nil, fmt.Errorf("found %d keys to look for; expected at most %d", len(names), MaxKeys)
	}
	k := &Keys{names: names}
	for i, name := range names {
		for _, other := range names[:i] {
			if name == other {
				return nil, fmt.Errorf("found the key %q twice among those to look for", name)
			}
		}
		k.lengths |= 1 << min(len(name), 63)
	}
	return k, nil
}

// find returns the number of a key, or -1.
func (k *Keys) find(name []byte) int {
	if k.lengths>>min(len(name), 63)&1 == 0 {
		return -1
	}
	for i := range k.names {
		if string(name) == k.names[i] {
			return i
		}
	}
	return -1
}

// member is a top-level member with a wanted key.
type member struct {
	key        int
	start, end int // from the key's quote to the end of the value
	value      int // where the value starts
}

// Scanner scans values, one after the other. It belongs to one goroutine; what it
// tells of a value is a view of it, and holds until the next Scan.
type Scanner struct {
	walk
	keys *Keys

	open, shut int // where the braces stand
	members    int
	removed    uint64 // bits of keys
	found      []member
	last       []int // for each key: the last of its members in found, counted from 1
	name       []byte
	noKeys     Keys

	marks, slashes marks
	unmarked       bool // in tests: as where there are no marks
}

// NewScanner returns a scanner that looks for keys, which may be nil.
func NewScanner(keys *Keys) *Scanner {
	s := &Scanner{keys: keys}
	if keys == nil {
		s.keys = &s.noKeys
	}
	s.last = make([]int, len(s.keys.names))
	return s
}

// Scan reads value, which must be one JSON object with nothing but white space
// around it. An error is an *Error; of such a value nothing can be asked.
//
// A UTF-8 byte order mark is an error, as RFC 8259 has it. Bytes of strings that
// are not UTF-8 are none: they are replaced when the object is appended.
func (s *Scanner) Scan(value []byte) error {
	s.walk = walk{src: value}
	s.members, s.removed, s.found = 0, 0, s.found[:0]
	clear(s.last)
	if err := s.object(); err != nil {
		s.members, s.open, s.shut = 0, 0, 0
		s.found = s.found[:0]
		clear(s.last)
		return err
	}
	return nil
}

// Members is how many members the object has at top level, those with the same key
// counted each, and those that are removed, too.
func (s *Scanner) Members() int { return s.members }

// Value is what the key with this number among the wanted ones has in the object,
// as JSON without white space around it, or nil where it is not there. Where the
// key stands there several times it is the last value, as most readers of JSON
// have it.
func (s *Scanner) Value(key int) []byte {
	n := s.last[key]
	if n == 0 {
		return nil
	}
	m := &s.found[n-1]
	return s.src[m.value:m.end:m.end]
}

// Remove leaves all members with this key out of what AppendMembers and
// AppendObject append.
func (s *Scanner) Remove(key int) { s.removed |= 1 << key }

// Size is the most bytes that AppendObject appends.
func (s *Scanner) Size() int {
	n := s.shut - s.open + 1
	if s.nonASCII() {
		n *= 3 // a bad byte becomes U+FFFD, which has three
	}
	return n
}

// Error says why a value is not one JSON object.
type Error struct {
	Offset   int // of what was found, in bytes from the start of the value
	Found    string
	Expected string
}

// Error returns "found … at byte …; expected …".
func (e *Error) Error() string {
	return "found " + e.Found + " at byte " + strconv.Itoa(e.Offset+1) + "; expected " + e.Expected
}
