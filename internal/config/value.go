package config

import (
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/docker/go-units"
)

// value is an option's value with its origin.
type value struct {
	text    string // as written, or as a synonym stands for it
	given   bool   // false if the option is unset
	level   Level
	where   string // "FILE:LINE:COLUMN" if it came from the node file
	spelled string // the name under which it was given
	note    string // what Explain says beside it

	flag     bool          // KindBool
	number   int64         // KindInt; bytes for KindSize
	duration time.Duration // KindDuration
}

// origin says in an error where the value stands.
func (v value) origin() string {
	switch {
	case v.where != "":
		return v.where + ": " + v.spelled
	case v.level == LevelEnvironment:
		return "the environment, for --" + v.spelled
	}
	return "--" + v.spelled
}

// parse fills the typed fields from the text and checks them against the row.
func (v *value) parse(o *Option) *Problem {
	expected := v.convert(o)
	if expected == "" && o.check != nil {
		expected = o.check(*v)
	}
	if expected == "" {
		return nil
	}
	problem := &Problem{Where: v.origin(), Found: show(o, v.text), Expected: expected}
	if slices.Contains(o.notYet, v.text) {
		problem.Do = strconv.Quote(v.text) + " is not in this version of Spillway, it comes in a later one"
	}
	return problem
}

// convert returns what was expected, or nothing if the text is of the kind.
func (v *value) convert(o *Option) (expected string) {
	var err error
	switch o.Kind {
	case KindBool:
		v.flag, err = strconv.ParseBool(v.text)
		expected = "true or false"
	case KindSize:
		v.number, err = parseSize(v.text, units.RAMInBytes)
		expected = "a size above 0 such as 512k, 10m or 1g (1k is 1024 bytes)"
	case KindFileSize:
		v.number, err = parseSize(v.text, units.FromHumanSize)
		expected = "a size above 0 such as 512k, 10m or 1g (1k is 1000 bytes)"
	case KindDuration:
		v.duration, err = time.ParseDuration(v.text)
		expected = "a duration with its unit, such as 500ms, 5s or 1m"
	case KindInt:
		v.number, err = strconv.ParseInt(v.text, 10, 64)
		expected = "a whole number"
	case KindEnum:
		for i := 0; i+1 < len(o.synonyms); i += 2 {
			if v.text == o.synonyms[i] {
				v.text = o.synonyms[i+1]
			}
		}
		if slices.Contains(o.Enum, v.text) {
			return ""
		}
		return or(o.Enum)
	}
	if err != nil {
		return expected
	}
	return ""
}

// parseSize reads a size the way Docker reads that option: sizes of memory in
// powers of 1024, those of files in powers of 1000. The library converts a float
// without looking, so what does not fit is caught here.
func parseSize(text string, read func(string) (int64, error)) (int64, error) {
	n, err := read(text)
	if err != nil {
		return 0, err
	}
	if n <= 0 || n > math.MaxInt64/2 {
		return 0, strconv.ErrRange
	}
	return n, nil
}

// formatSize writes a number of bytes in the largest unit that divides it, so
// that parseSize gives the same number back.
func formatSize(n int64) string {
	for _, unit := range [...]struct {
		bytes  int64
		suffix string
	}{{units.GiB, "g"}, {units.MiB, "m"}, {units.KiB, "k"}} {
		if n >= unit.bytes && n%unit.bytes == 0 {
			return strconv.FormatInt(n/unit.bytes, 10) + unit.suffix
		}
	}
	return strconv.FormatInt(n, 10)
}
