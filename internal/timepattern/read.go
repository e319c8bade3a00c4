package timepattern

import (
	"bytes"
	"strconv"
	"unicode/utf8"
)

// reading is what has been read of a time.
type reading struct {
	year, month, day, yearDay   int
	hour, minute, second, nanos int
	twelve, afternoon           bool
	offset                      int
	zoned, total                bool
	sum                         int64 // nanoseconds since 1970, where total says so
	near                        int64
	text                        []byte // all of it
	century                     bool   // a year of two digits, to be put into the right century
}

// Time reads the time that a text says, in nanoseconds since 1970. near is a time
// that is known, such as when the text was received, in the same unit: what the
// pattern has not of year, month and day is such that the time is nearest to it, and
// the century of a year of two digits is that from 80 years before it to 20 after,
// as Java has it. All errors are *Error.
func (p *Pattern) Time(text []byte, near int64) (ns int64, err error) {
	r := reading{month: 1, day: 1, near: near, text: text}
	rest := text
	for i := range p.elements {
		e := &p.elements[i]
		next, ok := p.read(&r, e, rest)
		if !ok {
			return 0, r.bad(rest, e)
		}
		rest = next
	}
	if len(rest) > 0 && !p.loose {
		return 0, &Error{len(text) - len(rest), describe(rest), "the end of the time"}
	}
	return p.resolve(&r)
}

// read reads one element from the start of s.
func (p *Pattern) read(r *reading, e *element, s []byte) (rest []byte, ok bool) {
	switch e.field {
	case literal:
		if len(s) < len(e.text) || string(s[:len(e.text)]) != e.text {
			return nil, false
		}
		return s[len(e.text):], true
	case blank:
		return passBlanks(s), true
	}
	if len(s) > 0 && isBlank(s[0]) {
		s = passBlanks(s)
	}
	switch e.field {
	case monthName:
		n, rest := readName(s, months[:])
		r.month = n + 1
		return rest, n >= 0
	case weekdayName:
		n, rest := readName(s, days[:])
		return rest, n >= 0
	case halfDay:
		if len(s) < 2 || s[1]|0x20 != 'm' || s[0]|0x20 != 'a' && s[0]|0x20 != 'p' {
			return nil, false
		}
		r.afternoon = s[0]|0x20 == 'p'
		return s[2:], true
	case zone:
		r.offset, rest, ok = p.readZone(s)
		r.zoned = true
		return rest, ok
	case fraction:
		return r.readFraction(e, s)
	case epoch, epochMillis, epochMicros, epochNanos:
		r.total = true
		r.sum, rest, ok = readEpoch(s, 9-3*int(e.field-epoch), len(p.elements) > 1)
		return rest, ok
	}
	return r.readNumber(e, s)
}

func passBlanks(s []byte) []byte {
	for len(s) > 0 && isBlank(s[0]) {
		s = s[1:]
	}
	return s
}

// readNumber reads a number that is a part of a date or of a time of the day.
func (r *reading) readNumber(e *element, s []byte) (rest []byte, ok bool) {
	most := int(e.most)
	if most == 0 {
		most = 9
	}
	n, digits := 0, 0
	for digits < most && digits < len(s) && s[digits]-'0' <= 9 {
		n = n*10 + int(s[digits]-'0')
		digits++
	}
	if digits == 0 {
		return nil, false
	}
	return s[digits:], r.set(e.field, n, digits)
}

// set puts a number where it belongs, if it is in range.
func (r *reading) set(f field, n, digits int) bool {
	switch f {
	case year:
		r.year = n
	case shortYear:
		r.year, r.century = n, digits == 2
	case month:
		r.month = n
		return n >= 1 && n <= 12
	case day:
		r.day = n
		return n >= 1 && n <= 31
	case yearDay:
		r.yearDay = n
		return n >= 1 && n <= 366
	case hour:
		r.hour = n
		return n <= 23
	case hour24:
		r.hour = n % 24
		return n >= 1 && n <= 24
	case hour11:
		r.hour, r.twelve = n, true
		return n <= 11
	case hour12:
		r.hour, r.twelve = n%12, true
		return n >= 1 && n <= 12
	case minute:
		r.minute = n
		return n <= 59
	case second:
		r.second = n
		return n <= 60
	case weekday:
		return n >= 1 && n <= 7
	case weekday0:
		return n <= 6
	}
	return true
}

func (r *reading) readFraction(e *element, s []byte) (rest []byte, ok bool) {
	most := int(e.most)
	if most == 0 {
		most = len(s)
	}
	n, digits := 0, 0
	for digits < most && digits < len(s) && s[digits]-'0' <= 9 {
		if digits < 9 {
			n = n*10 + int(s[digits]-'0')
		}
		digits++
	}
	for i := digits; i < 9; i++ {
		n *= 10
	}
	r.nanos = n
	return s[digits:], digits > 0
}

var (
	months = [...]string{
		"january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december",
	}
	days = [...]string{"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"}
)

// readName reads one of the names, or its first three letters, in any case, and
// returns its number, or -1.
func readName(s []byte, names []string) (int, []byte) {
	for i, name := range names {
		if n := common(s, name); n == len(name) {
			return i, s[n:]
		} else if n >= 3 {
			return i, s[3:]
		}
	}
	return -1, nil
}

// common is how many letters of a name a text begins with.
func common(s []byte, name string) int {
	n := 0
	for n < len(s) && n < len(name) && s[n]|0x20 == name[n] {
		n++
	}
	return n
}

// bad says what is wrong with a text.
func (r *reading) bad(rest []byte, e *element) *Error {
	found := "the end"
	if len(rest) > 0 {
		found = describe(rest)
	}
	return &Error{len(r.text) - len(rest), found, e.describe()}
}

func describe(s []byte) string {
	const most = 20
	if len(s) > most {
		s = s[:most]
		for len(s) > most-utf8.UTFMax && !utf8.Valid(s) {
			s = s[:len(s)-1]
		}
	}
	return strconv.Quote(string(bytes.ToValidUTF8(s, []byte("\uFFFD"))))
}

// wants are what is expected where a field stands.
var wants = [...]string{
	year: "a year", shortYear: "a year", month: "a month, 1 to 12", monthName: "the name of a month", day: "a day, 1 to 31",
	yearDay: "a day of the year, 1 to 366", hour: "an hour, 0 to 23", hour24: "an hour, 1 to 24", hour11: "an hour, 0 to 11",
	hour12: "an hour, 1 to 12", halfDay: "AM or PM", minute: "minutes, 0 to 59", second: "seconds, 0 to 60",
	fraction: "digits of a fraction of a second", weekdayName: "the name of a day", weekday: "the number of a day, 1 to 7",
	weekday0: "the number of a day, 0 to 6", zone: "a zone: Z, an offset such as +01:00, or its name",
	epoch: "seconds since 1970", epochMillis: "milliseconds since 1970", epochMicros: "microseconds since 1970", epochNanos: "nanoseconds since 1970",
}

func (e *element) describe() string {
	if e.field == literal {
		return strconv.Quote(e.text)
	}
	return wants[e.field]
}
