package local

import (
	"fmt"
	"time"
)

// ParseTime reads a moment as people give it: a time as in RFC 3339, or how long
// it is before now, as 90s, 10m or 1h30m.
func ParseTime(s string, now time.Time) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return t, nil
	}
	if d, err := time.ParseDuration(s); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	return time.Time{}, fmt.Errorf("%q is no time: give one like %s, or how long ago like 10m", s, now.UTC().Format(time.RFC3339))
}
