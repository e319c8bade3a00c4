package runfile

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/spillway/spillway/internal/config/setting"
)

// findings are problems, which are told in the order of the file.
type findings struct{ setting.Problems }

// sorted returns them as one error, or nil.
func (f *findings) sorted(path string) error {
	all := setting.List(f.Err())
	slices.SortStableFunc(all, func(a, b *setting.Problem) int { return compare(path, a.Where, b.Where) })
	joined := make([]error, len(all))
	for i, problem := range all {
		joined[i] = problem
	}
	return errors.Join(joined...)
}

// remarks are warnings, each told once.
type remarks []string

func (r *remarks) add(where, what string) {
	if line := where + ": " + what; !slices.Contains(*r, line) {
		*r = append(*r, line)
	}
}

func (r remarks) sorted(path string) []string {
	slices.SortStableFunc(r, func(a, b string) int { return compare(path, a, b) })
	return r
}

// compare orders texts that begin with FILE:LINE:COLUMN by their place.
func compare(path, a, b string) int {
	aLine, aColumn := Position(path, a)
	bLine, bColumn := Position(path, b)
	return cmp.Or(cmp.Compare(aLine, bLine), cmp.Compare(aColumn, bColumn))
}

// Position returns line and column of a text that begins with FILE:LINE:COLUMN, as
// the Where of a Problem and a warning do; both are 0 where the text speaks of the
// file as a whole.
func Position(path, text string) (line, column int) {
	text, ok := strings.CutPrefix(text, path+":")
	if !ok {
		return 0, 0
	}
	first, rest, _ := strings.Cut(text, ":")
	second, _, _ := strings.Cut(rest, ":")
	line, err1 := strconv.Atoi(first)
	column, err2 := strconv.Atoi(second)
	if err1 != nil || err2 != nil {
		return 0, 0
	}
	return line, column
}
