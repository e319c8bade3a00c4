package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// byteSize is a flag for an amount of bytes, or of bytes a second: a number and a unit. A single letter and the
// units with an "i" are powers of 1,024 (64k, 4m, 1KiB), as in the options of log drivers; KB, MB and GB are powers
// of 1,000, as benchmarks are told.
type byteSize int64

// units are tried in this order: a unit stands before those that it ends with.
var units = []struct {
	name   string
	factor float64
}{
	{"kib", 1 << 10}, {"mib", 1 << 20}, {"gib", 1 << 30},
	{"kb", 1e3}, {"mb", 1e6}, {"gb", 1e9},
	{"k", 1 << 10}, {"m", 1 << 20}, {"g", 1 << 30}, {"b", 1},
}

// String implements flag.Value.
func (s *byteSize) String() string { return strconv.FormatInt(int64(*s), 10) }

// Set implements flag.Value. It refuses zero: a flag that is not wanted is not given.
func (s *byteSize) Set(text string) error {
	number := strings.TrimSuffix(strings.ToLower(strings.TrimSpace(text)), "/s")
	factor := 1.0
	for _, u := range units {
		if rest, ok := strings.CutSuffix(number, u.name); ok {
			number, factor = rest, u.factor
			break
		}
	}
	n, err := strconv.ParseFloat(number, 64)
	n *= factor
	if err != nil || math.IsNaN(n) || n < 1 || n > 1<<60 {
		return fmt.Errorf("expected a positive amount such as 250, 64k or 2MB, found %q", text)
	}
	*s = byteSize(n)
	return nil
}
