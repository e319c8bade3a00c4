package timepattern_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/spillway/spillway/internal/timepattern"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

// nanos is a time of RFC 3339.
func nanos(t testing.TB, text string) int64 {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		t.Fatal(err)
	}
	return at.UnixNano()
}

func TestTime(t *testing.T) {
	for _, c := range []struct{ pattern, text, want string }{
		// strftime.
		{"%Y-%m-%dT%H:%M:%S.%L%z", "2026-11-26T23:59:01.250+01:00", "2026-11-26T22:59:01.25Z"},
		{"%Y-%m-%dT%H:%M:%S.%N%z", "2026-11-26T23:59:01.123456789Z", "2026-11-26T23:59:01.123456789Z"},
		{"%Y-%m-%d %H:%M:%S,%3N", "2026-11-26 23:59:01,25", "2026-11-26T23:59:01.25Z"},
		{"%Y%m%d%H%M%S%3N%j", "20261126235901250330", "2026-11-26T23:59:01.25Z"},
		{"%FT%T%z", "2026-11-26T23:59:01-0830", "2026-11-27T08:29:01Z"},
		{"%d/%b/%Y:%H:%M:%S %z", "26/Nov/2026:23:59:01 +0000", "2026-11-26T23:59:01Z"},
		{"%a %b %e %H:%M:%S %Y", "Thu Nov  6 23:59:01 2026", "2026-11-06T23:59:01Z"},
		{"%c", "Thu Nov  6 23:59:01 2026", "2026-11-06T23:59:01Z"},
		{"%D %r", "11/26/26 11:59:01 pm", "2026-11-26T23:59:01Z"},
		{"%Y %j %R", "2026 330 23:59", "2026-11-26T23:59:00Z"},
		{"%A, %d %B %Y %I %P", "thursday, 26 november 2026 12 am", "2026-11-26T00:00:00Z"},
		{"%s.%L", "1795737541.25", "2026-11-26T23:59:01.25Z"},
		{"%Q", "1795737541250", "2026-11-26T23:59:01.25Z"},
		{"%y-%m-%d%n%H%%", "69-01-02 \t 3%", "1969-01-02T03:00:00Z"},
		{"%Y-%m-%d %k %u %w", "2026-11-26  3 4 4", "2026-11-26T03:00:00Z"},
		{"%-d.%-m.%Y", "6.1.2026", "2026-01-06T00:00:00Z"},
		{"%Y-%m-%d %H:%M %Z", "2026-11-26 23:59 CEST", "2026-11-26T21:59:00Z"},
		// Without a year, without a date.
		{"%b %e %H:%M:%S", "Nov 26 23:58:00", "2026-11-26T23:58:00Z"},
		{"%b %e %H:%M:%S", "Dec 20 00:00:00", "2026-12-20T00:00:00Z"},
		{"%j", "360", "2026-12-26T00:00:00Z"},
		{"MMM dd HH:mm:ss", "May 20 00:00:00", "2026-05-20T00:00:00Z"},
		{"HH:mm:ss.SSS", "00:01:00.5", "2026-11-27T00:01:00.5Z"},
		{"HH:mm", "23:00", "2026-11-26T23:00:00Z"},
		{"dd HH:mm", "02 01:00", "2026-12-02T01:00:00Z"},
		{"HH:mmX", "01:00+02", "2026-11-26T23:00:00Z"},
		// Java, where it is not as Java.
		{"yyyy-MM-dd HH:mm:ss.SSS", "2026-11-26 23:59:01.5", "2026-11-26T23:59:01.5Z"},
		{"yyyy-MM-dd HH:mm:ss.SSS", "2026-11-26 23:59:01.123456789123", "2026-11-26T23:59:01.123456789Z"},
		{"yyyyMMddHHmmssSSSX", "20261126235901123456+01", "2026-11-26T22:59:01.123456Z"},
		{"yyyy-MM-dd HH:mmX", "2026-11-26 23:59-1130", "2026-11-27T11:29:00Z"},
		{"yyyy-MM-dd HH:mm:ss", "2016-12-31 23:59:60", "2017-01-01T00:00:00Z"},
		// Numbers.
		{"epoch", "1795737541", "2026-11-26T23:59:01Z"},
		{"epoch", "1795737541.123456789999", "2026-11-26T23:59:01.123456789Z"},
		{"epoch", "1.79573754125E9", "2026-11-26T23:59:01.25Z"},
		{"epoch", "-1.5", "1969-12-31T23:59:58.5Z"},
		{"epoch", "0000000000000000000000001.000", "1970-01-01T00:00:01Z"},
		{"epoch", "17957375410000000000e-10", "2026-11-26T23:59:01Z"},
		{"epoch-millis", "1795737541250.5", "2026-11-26T23:59:01.2505Z"},
		{"epoch-micros", "1795737541250001", "2026-11-26T23:59:01.250001Z"},
		{"epoch-nanos", "1795737541250000001", "2026-11-26T23:59:01.250000001Z"},
	} {
		p, err := timepattern.New(c.pattern, nil)
		if err != nil {
			t.Errorf("%s: %v", c.pattern, err)
			continue
		}
		got, err := p.Time([]byte(c.text), now)
		if err != nil || got != nanos(t, c.want) {
			t.Errorf("%s reads %q as %s, %v; expected %s", c.pattern, c.text, time.Unix(0, got).UTC().Format(time.RFC3339Nano), err, c.want)
		}
	}
}

// TestTurnOfTheYear reads times without a year on both sides of it.
func TestTurnOfTheYear(t *testing.T) {
	p, err := timepattern.Strftime("%b %e %H:%M:%S", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ text, near, want string }{
		{"Dec 31 23:59:59", "2027-01-01T00:00:10Z", "2026-12-31T23:59:59Z"},
		{"Jan  1 00:00:01", "2026-12-31T23:59:58Z", "2027-01-01T00:00:01Z"},
		{"Feb 29 12:00:00", "2027-01-01T00:00:10Z", "-"}, {"Feb 29 12:00:00", "2029-01-01T00:00:10Z", "2028-02-29T12:00:00Z"},
	} {
		got, err := p.Time([]byte(c.text), nanos(t, c.near))
		if c.want == "-" {
			if err == nil {
				t.Errorf("%s near %s is %d", c.text, c.near, got)
			}
		} else if err != nil || got != nanos(t, c.want) {
			t.Errorf("%s near %s is %d, %v; expected %s", c.text, c.near, got, err, c.want)
		}
	}
}

func TestTimeErrors(t *testing.T) {
	for _, c := range []struct{ pattern, text, want string }{
		{"%Y-%m-%d", "2026-11-26 ", `found " " at character 11; expected the end of the time`},
		{"%Y-%m-%d", "2026-13-26", `found "13-26" at character 6; expected a month, 1 to 12`},
		{"yyyy-MM-dd", "2026-02-30", `found 30 February 2026 at character 1; expected a day that this month has`},
		{"yyyy-DDD", "2026-366", `found the day 366 of 2026 at character 1; expected at most 365`},
		{"yyyy-MM-dd", "-2026-11-26", `found "-2026-11-26" at character 1; expected a year`},
		{"yyyy-MM-dd", "1677-11-26", `found the year 1677 at character 1; expected a year from 1678 to 2261`},
		{"yyyy-MM-dd", "2026-11", `found the end at character 8; expected "-"`},
		{"HH:mm", "24:00", `found "24:00" at character 1; expected an hour, 0 to 23`},
		{"HH:mm z", "23:59 XYZ", `found "XYZ" at character 7; expected a zone: Z, an offset such as +01:00, or its name`},
		{"epoch", "1e99", `found "1e99" at character 1; expected seconds since 1970`},
		{"epoch", "9223372037", `found "9223372037" at character 1; expected seconds since 1970`},
		{"epoch", "", `found the end at character 1; expected seconds since 1970`},
		{"epoch-millis", "ä very long text that is no number", `found "ä very long text th" at character 1; expected milliseconds since 1970`},
	} {
		p, err := timepattern.New(c.pattern, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = p.Time([]byte(c.text), now)
		var typed *timepattern.Error
		if !errors.As(err, &typed) || err.Error() != c.want {
			t.Errorf("%s of %q: %v\nexpected %s", c.pattern, c.text, err, c.want)
		}
	}
}

func TestPatternErrors(t *testing.T) {
	for pattern, want := range map[string]string{
		"YYYY-MM-dd":                     `found the letter 'Y', the year of a week, for which y is nearly always meant, which is not supported, at character 1; expected one of the letters y M L d D H k K h m s S a E u z Z X of a Java pattern, or other text between ' and '`,
		"yyyy-MM-ddTHH":                  `found the letter 'T' at character 11; expected one of the letters y M L d D H k K h m s S a E u z Z X of a Java pattern, or other text between ' and '`,
		"HH 'o":                          `found a ' without its end at character 4; expected a ' behind the text that begins with it`,
		"HH:mm" + strings.Repeat("X", 4): `found "XX` + `XX" at character 6; expected at most three of it`,
		"":                               "found nothing at character 1; expected a pattern of time",
		"%Y-%U":                          `found the directive "%U" at character 4; expected one of %Y %y`,
		"%Y %":                           `found "%" at character 4; expected a directive, one of %Y %y`,
		"%12N":                           `found the directive "%12N" at character 1; expected 1 to 9 digits of a fraction, as in %3N`,
		"%5S":                            `found the directive "%5S" at character 1; expected one of`,
		"%:S":                            `found the directive "%:S" at character 1; expected one of`,
	} {
		_, err := timepattern.New(pattern, nil)
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v\nexpected %s", pattern, err, want)
		}
	}
}

// TestOwnZone says that the zone's own abbreviations are known, and what they mean.
func TestOwnZone(t *testing.T) {
	kolkata := zone(t, "Asia/Kolkata")
	p, err := timepattern.Java("yyyy-MM-dd HH:mm z", kolkata)
	if err != nil {
		t.Fatal(err)
	}
	got, err := p.Time([]byte("2026-11-26 23:59 IST"), now)
	if want := nanos(t, "2026-11-26T23:59:00+05:30"); err != nil || got != want {
		t.Errorf("%d, %v; expected %d", got, err, want)
	}
}

func TestAppendFormat(t *testing.T) {
	at := nanos(t, "2026-07-06T09:05:01.012345678Z")
	for pattern, want := range map[string]string{
		"%Y-%m-%dT%H:%M:%S.%L%:z": "2026-07-06T11:05:01.012+02:00", "%F %T.%N %z %Z": "2026-07-06 11:05:01.012345678 +0200 CEST",
		"%f %6N %1N %::z": "012345 012345 0 +02:00:00",
		"%-d/%-m %e %_H %-I %l %k %y %j %u %w %p%P": "6/7  6 11 11 11 11 26 187 1 1 AMam",
		"%a %A %b %h %B %c %D %R %r %%%n%t":         "Mon Monday Jul Jul July Mon Jul  6 11:05:01 2026 07/06/26 11:05 11:05:01 AM %\n\t",
		"%s %Q":                                     "1783328701 1783328701012",
		"epoch":                                     "1783328701", "epoch-millis": "1783328701012", "epoch-micros": "1783328701012345", "epoch-nanos": "1783328701012345678",
		"yyyy.MM.dd HH:mm:ss.SSSSSSSSSSSS": "2026.07.06 11:05:01.012345678000",
	} {
		p, err := timepattern.New(pattern, zone(t, "Europe/Berlin"))
		if err != nil {
			t.Errorf("%s: %v", pattern, err)
			continue
		}
		if got := p.AppendFormat(nil, at); string(got) != want {
			t.Errorf("%s writes %q, expected %q", pattern, got, want)
		}
	}
}

// TestRoundTrip writes times and reads them again.
func TestRoundTrip(t *testing.T) {
	patterns := []string{
		"yyyy-MM-dd'T'HH:mm:ss.SSSSSSSSSX" + "XX", "EEE, d MMM yyyy hh:mm:ss.SSSSSSSSS a Z", "yyyyMMddHHmmssSSSSSSSSSXX",
		"%Y-%m-%dT%H:%M:%S.%9N%z", "%s.%9N", "epoch-nanos", "%j %Y %l:%M:%S.%N %p %:z",
	}
	zones := []*time.Location{nil, zone(t, "Europe/Berlin"), zone(t, "America/New_York"), zone(t, "Asia/Kolkata")}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SampledFrom(patterns).Draw(t, "pattern")
		p, err := timepattern.New(text, rapid.SampledFrom(zones).Draw(t, "zone"))
		if err != nil {
			t.Fatal(err)
		}
		first := int64(0)
		if !strings.HasPrefix(text, "%s") {
			first = -20 * 365 * 24 * int64(time.Hour) // before that, offsets have seconds
		}
		ns := rapid.Int64Range(first, 9_000_000_000_000_000_000).Draw(t, "ns")
		written := p.AppendFormat(nil, ns)
		got, err := p.Time(written, now)
		if err != nil || got != ns {
			t.Fatalf("%s: %d has become %q and %d, %v", text, ns, written, got, err)
		}
	})
}

func TestNoAllocation(t *testing.T) {
	texts := map[string]string{
		"yyyy-MM-dd'T'HH:mm:ss.SSSX": "2026-11-26T23:59:01.250Z", "EEE, dd MMM yyyy HH:mm:ss z": "Thu, 26 Nov 2026 23:59:01 GMT",
		"%b %e %H:%M:%S": "Nov  6 23:59:01", "epoch": "1795737541.25", "yyyy-MM-dd HH:mm:ss": "2026-11-26 23:59:01",
	}
	berlin := zone(t, "Europe/Berlin")
	dst := make([]byte, 0, 256)
	for pattern, text := range texts {
		p, err := timepattern.New(pattern, berlin)
		if err != nil {
			t.Fatal(err)
		}
		in := []byte(text)
		if n := testing.AllocsPerRun(10, func() {
			if ns, err := p.Time(in, now); err == nil {
				dst = p.AppendFormat(dst[:0], ns)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", pattern, n)
		}
	}
}

func FuzzTime(f *testing.F) {
	for _, s := range []string{"yyyy-MM-dd'T'HH:mm:ss.SSSX", "%Y-%m-%dT%H:%M:%S.%L%z", "epoch", "z Z X a E D k K h u", "%c %s %N %-d %::z", "yy''M"} {
		f.Add(s, "2026-11-26T23:59:01.250Z", int64(now))
	}
	berlin := zone(f, "Europe/Berlin")
	f.Fuzz(func(t *testing.T, pattern, text string, near int64) {
		p, err := timepattern.New(pattern, berlin)
		if err != nil {
			return
		}
		if ns, err := p.Time([]byte(text), near); err == nil {
			p.AppendFormat(nil, ns)
		}
		if written := p.AppendFormat(nil, near); len(written) > 1<<10+300*len(pattern) {
			t.Fatal("a time of " + strconv.Itoa(len(written)) + " bytes")
		}
	})
}

func BenchmarkTime(b *testing.B) {
	for pattern, text := range map[string]string{
		"yyyy-MM-dd'T'HH:mm:ss.SSSX": "2026-11-26T23:59:01.250Z", "epoch-millis": "1795737541250", "%d/%b/%Y:%H:%M:%S %z": "26/Nov/2026:23:59:01 +0000",
	} {
		p, err := timepattern.New(pattern, nil)
		if err != nil {
			b.Fatal(err)
		}
		in := []byte(text)
		b.Run(strings.ReplaceAll(pattern, "/", "|"), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Time(in, now); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
