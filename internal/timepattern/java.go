package timepattern

import (
	"fmt"
	"strings"
	"time"
)

// letters are those of SimpleDateFormat that can be carried.
const letters = "y M L d D H k K h m s S a E u z Z X"

// notCarried are the other letters of SimpleDateFormat, with what they mean.
var notCarried = map[byte]string{
	'G': "the era", 'Y': "the year of a week, for which y is nearly always meant", 'w': "the week of the year",
	'W': "the week of the month", 'F': "the number of a weekday in its month",
}

// Java reads a pattern of SimpleDateFormat. All errors are *Error.
func Java(pattern string, zone *time.Location) (*Pattern, error) {
	var elements []element
	for at := 0; at < len(pattern); {
		c := pattern[at]
		switch {
		case c == '\'':
			text, size := quoted(pattern[at:])
			if size < 0 {
				return nil, &Error{at, "a ' without its end", "a ' behind the text that begins with it"}
			}
			elements = addLiteral(elements, text)
			at += size
		case c|0x20 >= 'a' && c|0x20 <= 'z':
			n := 1
			for at+n < len(pattern) && pattern[at+n] == c {
				n++
			}
			e, ok := javaElement(c, n)
			if !ok {
				return nil, noLetter(at, c, n)
			}
			elements = append(elements, e)
			at += n
		default:
			elements = addLiteral(elements, pattern[at:at+1])
			at++
		}
	}
	if len(elements) == 0 {
		return nil, &Error{0, "nothing", "a pattern of time"}
	}
	adjacent(elements)
	p := newPattern(pattern, zone, elements)
	p.loose = true
	return p, nil
}

func noLetter(at int, c byte, n int) *Error {
	if c == 'X' {
		return &Error{at, fmt.Sprintf("%q", strings.Repeat("X", n)), "at most three of it"}
	}
	found := fmt.Sprintf("the letter %q", c)
	if meaning, ok := notCarried[c]; ok {
		found += ", " + meaning + ", which is not supported,"
	}
	return &Error{at, found, "one of the letters " + letters + " of a Java pattern, or other text between ' and '"}
}

// quoted reads text between quotes, in which two quotes are one, and which is one
// where there is nothing else.
func quoted(s string) (text string, size int) {
	if strings.HasPrefix(s, "''") {
		return "'", 2
	}
	for at := 1; at < len(s); at++ {
		if s[at] != '\'' {
			text += s[at : at+1]
			continue
		}
		if at+1 == len(s) || s[at+1] != '\'' {
			return text, at + 1
		}
		text += "'"
		at++
	}
	return "", -1
}

func addLiteral(elements []element, text string) []element {
	if n := len(elements); n > 0 && elements[n-1].field == literal {
		elements[n-1].text += text
		return elements
	}
	return append(elements, element{field: literal, text: text})
}

// javaElement is what n times a letter stands for.
func javaElement(c byte, n int) (element, bool) {
	number := func(f field) (element, bool) {
		return element{field: f, width: uint8(min(n, 255)), pad: '0'}, true
	}
	name := func(f field) (element, bool) {
		return element{field: f, width: uint8(min(max(n, 3), 4))}, true
	}
	switch c {
	case 'y':
		if n == 2 || n == 1 {
			e, _ := number(shortYear)
			return e, true
		}
		return number(year)
	case 'M', 'L':
		if n > 2 {
			return name(monthName)
		}
		return number(month)
	case 'E':
		return name(weekdayName)
	case 'a':
		return element{field: halfDay}, true
	case 'z':
		return element{field: zone, width: zoneNamed}, true
	case 'Z':
		return element{field: zone, width: zoneMinutes}, true
	case 'X':
		return element{field: zone, width: uint8(n-1) + zoneISOHours}, n <= 3
	}
	if f, ok := javaNumbers[c]; ok {
		return number(f)
	}
	return element{}, false
}

var javaNumbers = map[byte]field{
	'd': day, 'D': yearDay, 'H': hour, 'k': hour24, 'K': hour11, 'h': hour12, 'm': minute, 's': second, 'S': fraction, 'u': weekday,
}

// adjacent bounds the digits of numbers behind which another field begins without
// anything between them.
func adjacent(elements []element) {
	for i := range elements[:max(len(elements)-1, 0)] {
		e, next := &elements[i], elements[i+1].field
		if next == literal || next == blank || e.field == literal || e.field == blank {
			continue
		}
		if e.field == fraction && (next == zone || next == halfDay || next == weekdayName || next == monthName) {
			continue // it ends with its digits
		}
		if e.most == 0 && isNumber(e.field) {
			e.most = e.width
		}
	}
}

func isNumber(f field) bool {
	switch f {
	case literal, blank, monthName, halfDay, weekdayName, zone:
		return false
	}
	return true
}
