package setting

import (
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/docker/go-units"
)

// Kind is the type of an option's value.
type Kind uint8

// The kinds. A secret is text that no error, warning or explanation shows.
const (
	String   Kind = iota
	Bool          // as strconv.ParseBool takes it
	Size          // of memory, as units.RAMInBytes takes it: 4m is 4 × 2^20 bytes
	FileSize      // of a file, as units.FromHumanSize takes it: 4m is 4,000,000 bytes
	Duration      // as time.ParseDuration takes it
	Int           // decimal
	Enum          // one of a list
	Secret
)

// String returns the word that help texts use for the kind.
func (k Kind) String() string {
	return [...]string{"string", "bool", "size", "file size", "duration", "int", "enum", "secret"}[k]
}

// Value is what a text means. Of the typed fields, the one of the kind is set.
type Value struct {
	Text string // as written, or as a synonym stands for it

	Flag     bool          // Bool
	Number   int64         // Int; bytes for Size and FileSize
	Duration time.Duration // Duration
}

// Check returns what was expected, or nothing if the value is good.
type Check func(v Value) (expected string)

// Convert fills the typed field of the kind from the text. It returns what was
// expected, or nothing if the text is of the kind. Words are the values of an Enum,
// and synonyms pairs: a second spelling of one, and that one.
func (v *Value) Convert(kind Kind, words, synonyms []string) (expected string) {
	var err error
	switch kind {
	case Bool:
		v.Flag, err = strconv.ParseBool(v.Text)
		expected = "true or false"
	case Size:
		v.Number, err = ParseSize(v.Text, units.RAMInBytes)
		expected = "a size above 0 such as 512k, 10m or 1g (1k is 1024 bytes)"
	case FileSize:
		v.Number, err = ParseSize(v.Text, units.FromHumanSize)
		expected = "a size above 0 such as 512k, 10m or 1g (1k is 1000 bytes)"
	case Duration:
		v.Duration, err = time.ParseDuration(v.Text)
		expected = "a duration with its unit, such as 500ms, 5s, 1m or 24h"
	case Int:
		v.Number, err = strconv.ParseInt(v.Text, 10, 64)
		expected = "a whole number"
	case Enum:
		for i := 0; i+1 < len(synonyms); i += 2 {
			if v.Text == synonyms[i] {
				v.Text = synonyms[i+1]
			}
		}
		if slices.Contains(words, v.Text) {
			return ""
		}
		return Or(words) + Alike(v.Text, words)
	}
	if err != nil {
		return expected
	}
	return ""
}

// ParseSize reads a size the way Docker reads that option: sizes of memory in
// powers of 1024, those of files in powers of 1000. The library converts a float
// without looking, so what does not fit is caught here.
func ParseSize(text string, read func(string) (int64, error)) (int64, error) {
	n, err := read(text)
	if err != nil {
		return 0, err
	}
	if n <= 0 || n > math.MaxInt64/2 {
		return 0, strconv.ErrRange
	}
	return n, nil
}

// FormatSize writes a number of bytes in the largest unit that divides it, so that
// reading it as a Size gives the same number back.
func FormatSize(n int64) string {
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
