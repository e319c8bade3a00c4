package timepattern

import (
	"strings"
	"time"
)

// Forms in which the zone is written; all of them are read in any form.
const (
	zoneMinutes  = iota // +0100
	zoneColon           // +01:00
	zoneSeconds         // +01:00:00
	zoneISOHours        // Z, +01
	zoneISOMinutes
	zoneISOColon
	zoneNamed // CET, or +01 where it has no name
)

// zoneNames are abbreviations that mean one offset to everybody, in hours: those of
// RFC 822 and those of Europe and Japan. Others are only known where they are those
// of the pattern's own zone.
var zoneNames = []struct {
	name  string
	hours int
}{
	{"UTC", 0}, {"GMT", 0}, {"UT", 0}, {"Z", 0},
	{"EST", -5}, {"EDT", -4}, {"CST", -6}, {"CDT", -5}, {"MST", -7}, {"MDT", -6}, {"PST", -8}, {"PDT", -7},
	{"WET", 0}, {"WEST", 1}, {"CET", 1}, {"CEST", 2}, {"EET", 2}, {"EEST", 3}, {"MSK", 3}, {"JST", 9},
}

// readZone reads an offset or a name, and returns the offset in seconds and what
// follows, or false. local says that it is a name of the pattern's zone, whose offset
// depends on the time; it then is that of its standard or summer time.
func (p *Pattern) readZone(s []byte) (offset int, rest []byte, ok bool) {
	if len(s) > 0 && (s[0] == '+' || s[0] == '-') {
		return readOffset(s)
	}
	n := 0
	for n < len(s) && s[n]|0x20 >= 'a' && s[n]|0x20 <= 'z' {
		n++
	}
	if n == 0 {
		return 0, nil, false
	}
	name, rest := s[:n], s[n:]
	if is(name, "GMT") || is(name, "UTC") {
		if offset, after, ok := readOffset(rest); ok {
			return offset, after, true
		}
		return 0, rest, true
	}
	if p.zone != time.UTC {
		// The names of a zone in summer and in winter, of this century.
		for _, at := range [...]int64{winter, summer} {
			own, seconds := time.Unix(at, 0).In(p.zone).Zone()
			if is(name, own) {
				return seconds, rest, true
			}
		}
	}
	for i := range zoneNames {
		if is(name, zoneNames[i].name) {
			return zoneNames[i].hours * 3600, rest, true
		}
	}
	return 0, nil, false
}

// Two moments of 2026 of which, in any zone that has it, one is in summer time.
const (
	winter = 1_768_478_400
	summer = 1_784_116_800
)

// readOffset reads +01, +0100, +01:00 or +01:00:00.
func readOffset(s []byte) (offset int, rest []byte, ok bool) {
	if len(s) < 2 || s[0] != '+' && s[0] != '-' {
		return 0, nil, false
	}
	negative := s[0] == '-'
	s = s[1:]
	var part [3]int
	for i := range part {
		next := s
		if i > 0 && len(next) > 0 && next[0] == ':' {
			next = next[1:]
		}
		digits := 0
		for digits < 2 && digits < len(next) && next[digits]-'0' <= 9 {
			digits++
		}
		if digits < 2 && (i > 0 || digits == 0 || len(next) > 1 && next[1] != ':') {
			if i == 0 {
				return 0, nil, false
			}
			break
		}
		for _, c := range next[:digits] {
			part[i] = part[i]*10 + int(c-'0')
		}
		s = next[digits:]
	}
	if part[0] > 23 || part[1] > 59 || part[2] > 59 {
		return 0, nil, false
	}
	offset = part[0]*3600 + part[1]*60 + part[2]
	if negative {
		offset = -offset
	}
	return offset, s, true
}

// is tells whether a text is a word, in any case.
func is(text []byte, word string) bool {
	return len(text) == len(word) && strings.EqualFold(string(text), word)
}

// appendZone appends the zone of a time.
func appendZone(dst []byte, t time.Time, form uint8) []byte {
	name, offset := t.Zone()
	if form == zoneNamed {
		return append(dst, name...)
	}
	if offset == 0 && form >= zoneISOHours {
		return append(dst, 'Z')
	}
	sign := byte('+')
	if offset < 0 {
		sign, offset = '-', -offset
	}
	dst = appendNumber(append(dst, sign), offset/3600, 2, '0')
	if form == zoneISOHours {
		return dst
	}
	if form == zoneColon || form == zoneSeconds || form == zoneISOColon {
		dst = append(dst, ':')
	}
	dst = appendNumber(dst, offset/60%60, 2, '0')
	if form == zoneSeconds {
		dst = appendNumber(append(dst, ':'), offset%60, 2, '0')
	}
	return dst
}
