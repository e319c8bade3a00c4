package setting

import (
	"iter"
	"slices"
	"strings"
)

// Or joins words as "a, b or c".
func Or(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// Nearest returns the word with the smallest edit distance to name, the first of
// several, or "" where there are no words. A word that begins with the whole of name
// is near, however long it is.
func Nearest(name string, words iter.Seq[string]) string {
	best, distance := "", -1
	for word := range words {
		d := EditDistance(name, word)
		if len(name) > 2 && strings.HasPrefix(word, name) {
			d = min(d, 2)
		}
		if distance < 0 || d < distance {
			best, distance = word, d
		}
	}
	return best
}

// NearestOf is Nearest over a list.
func NearestOf(name string, words []string) string { return Nearest(name, slices.Values(words)) }

// Alike names the word that was surely meant, for the end of what was expected: one that
// begins like text, stands in it or holds it, or differs from it in less than half. Else it is
// nothing: a word that has nothing to do with what was written leads astray.
func Alike(text string, words []string) string {
	word := NearestOf(text, words)
	if text == "" || word == "" || !within(text, word) && EditDistance(text, word) > len(text)/2 {
		return ""
	}
	return `, the nearest is "` + word + `"`
}

// within reports whether one of the two begins the other, or stands in it and is no mere
// syllable.
func within(a, b string) bool {
	short, long := a, b
	if len(short) > len(long) {
		short, long = long, short
	}
	return strings.HasPrefix(long, short) || len(short) > 2 && strings.Contains(long, short)
}

// EditDistance is the Levenshtein distance in bytes. A name longer than any option
// is cut, so that a hostile one costs nothing.
func EditDistance(a, b string) int {
	if len(a) > 64 {
		a = a[:64]
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			substitute := diagonal
			if a[i] != b[j] {
				substitute++
			}
			diagonal = row[j+1]
			row[j+1] = min(substitute, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
