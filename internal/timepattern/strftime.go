package timepattern

import (
	"strconv"
	"strings"
	"time"
)

// directives are those of strftime that can be carried.
const directives = "%Y %y %m %B %b %h %d %e %j %H %k %I %l %M %S %L %N %f %z %Z %p %P %A %a %u %w %s %Q %F %T %R %D %x %X %c %r %n %t %%"

// whole are directives that stand for several.
var whole = map[byte]string{
	'F': "%Y-%m-%d", 'T': "%H:%M:%S", 'X': "%H:%M:%S", 'R': "%H:%M", 'D': "%m/%d/%y", 'x': "%m/%d/%y",
	'c': "%a %b %e %H:%M:%S %Y", 'r': "%I:%M:%S %p",
}

// simple are directives that stand for one field, as it is without flags.
var simple = map[byte]element{
	'Y': {field: year, width: 4, most: 4, pad: '0'},
	'y': {field: shortYear, width: 2, most: 2, pad: '0'},
	'm': {field: month, width: 2, most: 2, pad: '0'},
	'B': {field: monthName, width: 4}, 'b': {field: monthName, width: 3}, 'h': {field: monthName, width: 3},
	'd': {field: day, width: 2, most: 2, pad: '0'},
	'e': {field: day, width: 2, most: 2, pad: ' '},
	'j': {field: yearDay, width: 3, most: 3, pad: '0'},
	'H': {field: hour, width: 2, most: 2, pad: '0'},
	'k': {field: hour, width: 2, most: 2, pad: ' '},
	'I': {field: hour12, width: 2, most: 2, pad: '0'},
	'l': {field: hour12, width: 2, most: 2, pad: ' '},
	'M': {field: minute, width: 2, most: 2, pad: '0'},
	'S': {field: second, width: 2, most: 2, pad: '0'},
	'L': {field: fraction, width: 3},
	'N': {field: fraction, width: 9},
	'f': {field: fraction, width: 6},
	'z': {field: zone, width: zoneMinutes},
	'Z': {field: zone, width: zoneNamed},
	'p': {field: halfDay}, 'P': {field: halfDay, small: true},
	'A': {field: weekdayName, width: 4}, 'a': {field: weekdayName, width: 3},
	'u': {field: weekday, width: 1, most: 1}, 'w': {field: weekday0, width: 1, most: 1},
	's': {field: epoch}, 'Q': {field: epochMillis},
}

// Strftime reads a pattern of strftime. Between the % and the letter there may be one
// of the flags - (no padding), _ (blanks) and 0 (zeros), which matter for writing; a
// number of digits before N; and colons before z. All errors are *Error.
func Strftime(pattern string, zone *time.Location) (*Pattern, error) {
	if pattern == "" {
		return nil, &Error{0, "nothing", "a pattern of time"}
	}
	elements, err := strftime(nil, pattern)
	if err != nil {
		return nil, err
	}
	adjacentFractions(elements)
	return newPattern(pattern, zone, elements), nil
}

func strftime(elements []element, pattern string) ([]element, error) {
	for at := 0; at < len(pattern); {
		c := pattern[at]
		switch {
		case c == '%':
			n, more, err := directive(elements, pattern[at:])
			if err != nil {
				err.Offset += at
				return nil, err
			}
			elements, at = more, at+n
		case isBlank(c):
			elements = append(elements, element{field: blank, text: pattern[at : at+1]})
			at++
		default:
			elements = addLiteral(elements, pattern[at:at+1])
			at++
		}
	}
	return elements, nil
}

// spelling is how a directive is written: %, a flag, digits, colons and a letter.
type spelling struct {
	text   string // all of it
	flag   byte   // 0 for none
	digits string
	colons int
	letter byte
}

// spell reads the directive at the start of s.
func spell(s string) (d spelling, ok bool) {
	at := 1
	if at < len(s) && strings.IndexByte("-_0", s[at]) >= 0 {
		d.flag = s[at]
		at++
	}
	digits := at
	for at < len(s) && s[at]-'0' <= 9 {
		at++
	}
	d.digits = s[digits:at]
	for at < len(s) && s[at] == ':' {
		d.colons++
		at++
	}
	if at == len(s) {
		return d, false
	}
	d.text, d.letter = s[:at+1], s[at]
	return d, true
}

// directive adds what the directive at the start of s stands for, and returns its
// length.
func directive(elements []element, s string) (int, []element, *Error) {
	d, ok := spell(s)
	if !ok {
		return 0, nil, &Error{0, strconv.Quote(s), "a directive, one of " + directives}
	}
	unknown := &Error{0, "the directive " + strconv.Quote(d.text), "one of " + directives + ", or %% for a percent sign"}
	size := len(d.text)
	switch {
	case d.digits != "" && d.letter != 'N', d.colons > 0 && d.letter != 'z' || d.colons > 2:
		return 0, nil, unknown
	case d.letter == '%':
		return size, addLiteral(elements, "%"), nil
	case d.letter == 'n' || d.letter == 't':
		return size, append(elements, element{field: blank, text: map[byte]string{'n': "\n", 't': "\t"}[d.letter]}), nil
	}
	if long, ok := whole[d.letter]; ok {
		more, err := strftime(elements, long)
		if err != nil {
			return 0, nil, unknown
		}
		return size, more, nil
	}
	e, ok := simple[d.letter]
	if !ok {
		return 0, nil, unknown
	}
	if err := d.change(&e); err != nil {
		return 0, nil, err
	}
	return size, append(elements, e), nil
}

// change gives an element what stands between the % and its letter.
func (d *spelling) change(e *element) *Error {
	if d.digits != "" {
		n, err := strconv.Atoi(d.digits)
		if err != nil || n < 1 || n > 9 {
			return &Error{0, "the directive " + strconv.Quote(d.text), "1 to 9 digits of a fraction, as in %3N"}
		}
		e.width = uint8(n)
	}
	e.width += uint8(d.colons)
	if !isNumber(e.field) || e.field == fraction {
		return nil
	}
	switch d.flag {
	case '-':
		e.pad = 0
	case '_':
		e.pad = ' '
	case '0':
		e.pad = '0'
	}
	return nil
}

// adjacentFractions bounds the digits of fractions behind which a number begins.
func adjacentFractions(elements []element) {
	for i := range elements[:max(len(elements)-1, 0)] {
		if e := &elements[i]; e.field == fraction && isNumber(elements[i+1].field) {
			e.most = e.width
		}
	}
}

func isBlank(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }
