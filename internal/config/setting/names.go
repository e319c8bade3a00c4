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

// alike names the word that was surely meant, for the end of a list of words: one
// that begins like text, or differs from it in less than half. Else it is nothing.
func alike(text string, words []string) string {
	word := NearestOf(text, words)
	if text == "" || !strings.HasPrefix(word, text) && EditDistance(text, word) > len(text)/2 {
		return ""
	}
	return `, the nearest is "` + word + `"`
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
