package timepattern

import (
	"fmt"
	"time"
)

// Years that nanoseconds since 1970 can tell whole.
const firstYear, lastYear = 1678, 2261

// resolve makes one moment of what was read.
func (p *Pattern) resolve(r *reading) (int64, error) {
	if r.total {
		return r.sum + int64(r.nanos), nil
	}
	if r.twelve && r.afternoon {
		r.hour += 12
	}
	if r.century {
		r.year = century(r.year, time.Unix(0, r.near).UTC().Year())
	}
	if p.hasAny(year, shortYear) {
		return p.moment(r, r.year, r.month, r.day)
	}
	return p.nearest(r)
}

// century puts a year of two digits into the hundred years of which 80 are before
// that of now.
func century(n, now int) int {
	first := now - 80
	n += first - first%100
	if n < first {
		n += 100
	}
	return n
}

// mostAhead is how far a time without a year may lie ahead of what is known. What
// tells its time is late rather than early.
const mostAhead = 31 * 24 * int64(time.Hour)

// nearest is the one of three times that is nearest to what is known: they are a year
// apart, or a month or a day where less than that was read.
func (p *Pattern) nearest(r *reading) (best int64, err error) {
	now := time.Unix(0, r.near).In(p.location(r))
	found := false
	for i := -1; i <= 1; i++ {
		y, m, d := now.Year(), r.month, r.day
		years := p.hasAny(month, monthName, yearDay)
		switch {
		case years:
			y += i
		case p.hasAny(day):
			m = int(now.Month()) + i
			y, m = y+(m+11)/12-1, (m+11)%12+1
		default:
			m, d = int(now.Month()), now.Day()+i
		}
		ns, failed := p.moment(r, y, m, d)
		switch {
		case failed != nil:
			err = failed
		case years && ns > r.near && distance(ns, r.near) > uint64(mostAhead):
		case !found || distance(ns, r.near) < distance(best, r.near):
			best, found = ns, true
		}
	}
	if !found {
		return 0, err
	}
	return best, nil
}

func distance(a, b int64) uint64 {
	if a > b {
		a, b = b, a
	}
	return uint64(b) - uint64(a)
}

// location is where the time is that was read, but for its offset.
func (p *Pattern) location(r *reading) *time.Location {
	if r.zoned {
		return time.UTC
	}
	return p.zone
}

// moment is a time of a day, in nanoseconds since 1970.
func (p *Pattern) moment(r *reading, y, m, d int) (int64, error) {
	if y < firstYear || y > lastYear {
		return 0, &Error{0, fmt.Sprintf("the year %d", y), fmt.Sprintf("a year from %d to %d", firstYear, lastYear)}
	}
	switch {
	case r.yearDay > 0:
		if m, d = 1, r.yearDay; d > 365 && daysIn(y, 2) == 28 {
			return 0, &Error{0, fmt.Sprintf("the day %d of %d", d, y), "at most 365"}
		}
	case p.hasAny(day) && d > daysIn(y, m):
		return 0, &Error{0, fmt.Sprintf("%d %s %d", d, time.Month(m), y), "a day that this month has"}
	}
	if loc := p.location(r); loc != time.UTC {
		return time.Date(y, time.Month(m), d, r.hour, r.minute, r.second, r.nanos, loc).UnixNano(), nil
	}
	s := daysSince1970(y, m, d)*86400 + int64(r.hour*3600+r.minute*60+r.second-r.offset)
	return s*int64(time.Second) + int64(r.nanos), nil
}

func daysIn(y, m int) int {
	switch m {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if y%4 == 0 && (y%100 != 0 || y%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// daysSince1970 counts the days of the Gregorian calendar. The year is taken to begin
// in March, so that the leap day is its last.
func daysSince1970(y, m, d int) int64 {
	if m <= 2 {
		y, m = y-1, m+12
	}
	return int64(365*y + y/4 - y/100 + y/400 + (153*(m-3)+2)/5 + d - 1 - 719468)
}
