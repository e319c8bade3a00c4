package multiline

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// printers gives for each directive, by its letter, what strftime prints.
func printers() map[string]func(time.Time) string {
	layout := func(l string) func(time.Time) string {
		return func(t time.Time) string { return t.Format(l) }
	}
	return map[string]func(time.Time) string{
		"a": layout("Mon"), "A": layout("Monday"), "b": layout("Jan"), "h": layout("Jan"), "B": layout("January"),
		"d": layout("02"), "e": layout("_2"), "m": layout("01"), "Y": layout("2006"), "y": layout("06"), "j": layout("002"),
		"H": layout("15"), "I": layout("03"), "p": layout("PM"), "M": layout("04"), "S": layout("05"),
		"z": layout("-0700"), "Z": layout("MST"),
		"T": layout("15:04:05"), "D": layout("01/02/06"), "F": layout("2006-01-02"), "R": layout("15:04"),
		"w": func(t time.Time) string { return strconv.Itoa(int(t.Weekday())) },
		"f": func(t time.Time) string { return t.Format(".000000")[1:] },
		"L": layout(".000"),
		"%": func(time.Time) string { return "%" },
	}
}

// drawTime draws a time of the years 1 to 9999 in a zone as the zone database
// has them: with letters, with digits for a name, and the odd one.
func drawTime(t *rapid.T) time.Time {
	sec := rapid.Int64Range(-62135596800, 253402300799-86400).Draw(t, "sec")
	ns := rapid.Int64Range(0, 999_999_999).Draw(t, "ns")
	zone := rapid.SampledFrom([]*time.Location{
		time.UTC, time.FixedZone("EST", -5*3600), time.FixedZone("CEST", 2*3600), time.FixedZone("ChST", 10*3600),
		time.FixedZone("", -3*3600), time.FixedZone("+0545", 5*3600+45*60), time.FixedZone("AEDT", 11*3600),
	}).Draw(t, "zone")
	return time.Unix(sec, ns).In(zone)
}

func TestFormatMatchesWhatItPrints(t *testing.T) {
	all := printers()
	letters := make([]string, 0, len(all))
	for letter := range all {
		letters = append(letters, letter)
	}
	rapid.Check(t, func(t *rapid.T) {
		at := drawTime(t)
		var format, text strings.Builder
		format.WriteString("^")
		for range rapid.IntRange(1, 8).Draw(t, "directives") {
			letter := rapid.SampledFrom(letters).Draw(t, "letter")
			between := rapid.SampledFrom([]string{"", " ", "-", "T", ":", ", ", "é"}).Draw(t, "between")
			format.WriteString("%" + letter + between)
			text.WriteString(all[letter](at) + between)
		}
		format.WriteString("$")
		re, err := FromDatetimeFormat(format.String())
		if err != nil {
			t.Fatal(err)
		}
		if !re.MatchString(text.String()) {
			t.Fatalf("format %q as %v does not match %q", format.String(), re, text.String())
		}
	})
}

// TestDirectives compares what a directive accepts, of all strings of a kind,
// with the exact set.
func TestDirectives(t *testing.T) {
	digits := func(n int) []string {
		var all []string
		for i := range pow10(n) {
			all = append(all, padLeft(strconv.Itoa(i), n))
		}
		return all
	}
	between := func(low, high int) func(string) bool {
		return func(s string) bool {
			n, err := strconv.Atoi(s)
			return err == nil && n >= low && n <= high
		}
	}
	for letter, c := range map[string]struct {
		among []string
		want  func(string) bool
	}{
		"j": {digits(3), between(1, 366)},
		"d": {digits(2), between(1, 31)},
		"m": {digits(2), between(1, 12)},
		"H": {digits(2), between(0, 23)},
		"I": {digits(2), between(0, 12)},
		"M": {digits(2), between(0, 59)},
		"S": {digits(2), between(0, 60)},
		"w": {digits(1), between(0, 6)},
		"y": {digits(2), between(0, 99)},
		"p": {[]string{"AM", "PM", ",M", "am", "M"}, func(s string) bool { return s == "AM" || s == "PM" }},
		"e": {[]string{" 1", " 9", "10", "31", "32", " 0", "01", "1"}, func(s string) bool { return strings.Contains(" 1 9 10 31", s) && len(s) == 2 }},
		"L": {[]string{".123", "123", ",123", "12", ".1234"}, func(s string) bool { return s == ".123" || s == "123" }},
		"z": {[]string{"+0000", "-0330", "0000", "+00"}, func(s string) bool { return len(s) == 5 }},
		"Z": {[]string{"UTC", "GMT", "ET", "CEST", "+03", "Z", "utc", "hello", ""}, func(s string) bool { return strings.Contains("UTC GMT ET CEST +03", s) && len(s) > 1 }},
	} {
		re := mustFormat(t, "^%"+letter+"$")
		for _, s := range c.among {
			if got, want := re.MatchString(s), c.want(s); got != want {
				t.Errorf("%%%s on %q: got %v, want %v", letter, s, got, want)
			}
		}
		for _, comma := range []string{"0,", ",0", "1,1", ",", "3,5"} {
			if re.MatchString(comma) {
				t.Errorf("%%%s accepts %q, want no directive to accept a comma", letter, comma)
			}
		}
	}
}

func TestFormatTextIsRegularExpression(t *testing.T) {
	for _, c := range []struct {
		format, line string
		want         bool
	}{
		{`\[%b %d, %Y %H:%M:%S\]`, "[May 01, 2017 19:00:01] A message was logged", true},
		{`\[%b %d, %Y %H:%M:%S\]`, "Another multiline message was logged", false},
		{`%Y-%m-%d %H:%M:%S.%f`, "2024-02-29 23:59:60.000001 leap", true},
		{`%H:%M:%S%L`, "at 12:00:00.123", true},
		{`^%H:%M:%S%L`, "at 12:00:00.123", false},
		{`%H:%M:%S.%L`, "12:00:00.123", true},
		{`%H:%M:%S,%L`, "12:00:00,123", true},
		{`100%%$`, "done 100%", true},
		{`100%%$`, "done 100", false},
		{`\%Y`, "%Y", true},
		{`\\%Y`, `\2024`, true},
		{`^%Y?$`, "", true},
		{`^%d+$`, "010203", true},
		{`^%a|%b`, "Jan", true},
		{`\Q[%Y]\E %d`, "[%Y] 31", true},
		{`^%F[T ]%T$`, "2024-01-31T23:59:59", true},
		{`^[[:digit:]\]%%]+ %R$`, "1]% 23:59", true},
		{`^[]x] %D$`, "] 12/31/99", true},
		{`^\pL%d`, "é31", true},
		{`(?i)%b`, "JAN", true},
	} {
		if got := mustFormat(t, c.format).MatchString(c.line); got != c.want {
			t.Errorf("format %q on %q: got %v, want %v", c.format, c.line, got, c.want)
		}
	}
}

func TestBadFormatIsOneClearError(t *testing.T) {
	for _, c := range []struct{ format, want string }{
		{"", "it is empty"},
		{"%Y-%k", "found %k, expected one of %a %A %b %B %d %D %e %f %F %h %H %I %j %L %m %M %p %R %S %T %w %y %Y %z %Z, and %% for a percent sign"},
		{"%-d", "found %-, expected one of"},
		{"%é", "found %é, expected one of"},
		{"%\xff", "found %\uFFFD, expected one of"},
		{"%Y%", "it ends in a single %"},
		{"[%Y-%m-%d]", `found "[%Y-%m-%d]", a % inside brackets, which make a set of characters: write \[ for a literal bracket`},
		{"[%", "a % inside brackets"},
		{"[^]%Y]", "a % inside brackets"},
		{"[[:digit:]%Y]", "a % inside brackets"},
		{`[\]%Y]`, "a % inside brackets"},
		{"(%Y", `missing closing )`},
		{"[ab", "missing closing ]"},
		{`%Y\`, "trailing backslash"},
		{"*%Y", "missing argument to repetition operator"},
		{strings.Repeat("%Y", maxPattern), "it has 8192 bytes"},
	} {
		re, err := FromDatetimeFormat(c.format)
		if err == nil {
			t.Errorf("format %.40q: got %v, want an error", c.format, re)
			continue
		}
		if !strings.Contains(err.Error(), c.want) || len(err.Error()) > 500 {
			t.Errorf("format %.40q: got error %q, want one that says %q", c.format, err, c.want)
		}
	}
}

func FuzzFromDatetimeFormat(f *testing.F) {
	for _, s := range []string{"%Y-%m-%d", "%", "%%", `\%`, "[%Y]", `\Q%Y\E`, `[[:x%:]]`, "%\xff", `[^]%%]%j`, `\`} {
		f.Add(s, int64(1_700_000_000), "line")
	}
	f.Fuzz(func(t *testing.T, format string, sec int64, line string) {
		re, err := FromDatetimeFormat(format)
		if (re == nil) == (err == nil) {
			t.Fatalf("got pattern %v and error %v, want one of them", re, err)
		}
		if err != nil {
			return
		}
		re.MatchString(line)
		fuzzPlain(t, format, sec, re)
	})
}

// fuzzPlain checks that a format of nothing but directives and letters matches
// the time that it prints.
func fuzzPlain(t *testing.T, format string, sec int64, re *regexp.Regexp) {
	if sec < 0 || sec > 253402300799 {
		return
	}
	all := printers()
	var text strings.Builder
	for i := 0; i < len(format); i++ {
		c := format[i]
		switch {
		case c == '%':
			i++
			text.WriteString(all[format[i:i+1]](time.Unix(sec, 0).UTC()))
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == ' ' || c == '-' || c == ':':
			text.WriteByte(c)
		default:
			return
		}
	}
	if !re.MatchString(text.String()) {
		t.Fatalf("format %q as %v does not match %q", format, re, text.String())
	}
}

func mustFormat(t *testing.T, format string) *regexp.Regexp {
	t.Helper()
	re, err := FromDatetimeFormat(format)
	if err != nil {
		t.Fatal(err)
	}
	return re
}

func pow10(n int) int {
	p := 1
	for range n {
		p *= 10
	}
	return p
}

func padLeft(s string, n int) string { return strings.Repeat("0", n-len(s)) + s }
