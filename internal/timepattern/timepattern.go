// Package timepattern reads and writes times by a pattern, in the two languages in
// which people have theirs: the letters of Java's SimpleDateFormat, as in
// yyyy-MM-dd'T'HH:mm:ss.SSSX, and the directives of strftime, as in
// %Y-%m-%dT%H:%M:%S.%L%z. Numbers of seconds, milliseconds, microseconds and
// nanoseconds since 1970 have names: epoch, epoch-millis, epoch-micros and
// epoch-nanos.
//
// A pattern is read once, and what it cannot carry is an error that names the letter
// and its place. Reading and writing a time allocates nothing but for an error.
// Names of months, days and halves of the day are English, in any case; the calendar
// is the Gregorian one, from 1678 to 2262, which nanoseconds can tell.
//
// It differs from SimpleDateFormat on purpose where that reads a time which nobody
// meant:
//
//   - S is a fraction of a second and takes any number of digits. Java takes them for
//     a number of milliseconds, so that .5 is 5 ms, and .123456 is two minutes.
//   - A number out of its range, such as month 13, is an error. Java counts on.
//   - Where the pattern has no year, or no date at all, it is the one that brings the
//     time nearest to another that is known, and not more than a month ahead of it.
//     Java has 1970.
//   - An offset is read whole, in any of the forms that Z and one to three X stand for.
//     Java reads the 11 of -1130 where there is one X, and ignores the rest.
//   - Numbers have no sign.
//
// As in Java, white space before a field is passed over, adjacent numbers have as
// many digits as letters, and what follows the part of a text that a Java pattern
// takes is ignored. A pattern of strftime must take the whole text.
//
// Sources: the documentation and the behaviour of java.text.SimpleDateFormat of Java
// 17; POSIX strptime, and Ruby's Time.strptime and Time#strftime for %L, %N, %P, %Q
// and the flags.
package timepattern

import (
	"fmt"
	"strings"
	"time"
)

// field is what an element of a pattern stands for.
type field uint8

const (
	literal field = iota
	blank         // white space of a strftime pattern, which stands for any, or none
	year
	shortYear // of two digits, of the century that is meant
	month
	monthName
	day
	yearDay
	hour     // 0 to 23
	hour24   // 1 to 24
	hour11   // 0 to 11
	hour12   // 1 to 12
	halfDay  // AM or PM
	minute   //
	second   // 0 to 60
	fraction // of a second
	weekdayName
	weekday  // 1 to 7, from Monday
	weekday0 // 0 to 6, from Sunday
	zone
	epoch // seconds
	epochMillis
	epochMicros
	epochNanos
)

// element is one piece of a pattern.
type element struct {
	field field
	text  string // of a literal
	// width is how many digits are written at least; of a name, whether it is written
	// short (3) or whole (4); of a zone, which form it has.
	width uint8
	// most is how many digits are read at most; 0 is as many as there are.
	most uint8
	// pad is what is written before a number that is too short: a zero, a blank, or 0
	// for nothing.
	pad byte
	// small says that a name is written in small letters.
	small bool
}

// Pattern is a pattern for times. It does not change and may be used by several
// goroutines at once.
type Pattern struct {
	text     string
	elements []element
	zone     *time.Location
	has      uint32 // bits of the fields
	loose    bool   // what follows is ignored
}

// Names of the patterns that are numbers.
var epochs = map[string]field{
	"epoch": epoch, "epoch-millis": epochMillis, "epoch-micros": epochMicros, "epoch-nanos": epochNanos,
}

// New reads a pattern, of strftime where there is a % in it, else one of the names of
// numbers or a Java pattern. zone is where times are that do not say it; nil is UTC.
// All errors are *Error.
func New(pattern string, zone *time.Location) (*Pattern, error) {
	if f, ok := epochs[pattern]; ok {
		return newPattern(pattern, zone, []element{{field: f}}), nil
	}
	if strings.Contains(pattern, "%") {
		return Strftime(pattern, zone)
	}
	return Java(pattern, zone)
}

func newPattern(text string, zone *time.Location, elements []element) *Pattern {
	if zone == nil {
		zone = time.UTC
	}
	p := &Pattern{text: text, elements: elements, zone: zone}
	for i := range elements {
		p.has |= 1 << elements[i].field
	}
	return p
}

// String returns the text that was read.
func (p *Pattern) String() string { return p.text }

// hasAny tells whether one of these fields is in the pattern.
func (p *Pattern) hasAny(fields ...field) bool {
	for _, f := range fields {
		if p.has>>f&1 != 0 {
			return true
		}
	}
	return false
}

// Error says where a pattern cannot be read, or where a text is not as the pattern
// has it.
type Error struct {
	Offset   int // in bytes, of the pattern or the text
	Found    string
	Expected string
}

// Error returns "found … at character …; expected …".
func (e *Error) Error() string {
	return fmt.Sprintf("found %s at character %d; expected %s", e.Found, e.Offset+1, e.Expected)
}
