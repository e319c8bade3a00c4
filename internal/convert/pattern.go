package convert

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// rubyToGo writes a pattern of Oniguruma's Ruby syntax, which the old program compiled with, for Go: there ^ and $
// stand at every line break, and m lets the dot take line breaks, which Go calls m and s.
func rubyToGo(pattern string) string {
	var out strings.Builder
	anchors, class := false, 0
	for i := 0; i < len(pattern); i++ {
		switch b := pattern[i]; {
		case b == '\\' && i+1 < len(pattern):
			out.WriteByte(b)
			i++
		case b == '[':
			class++
		case b == ']' && class > 0:
			class--
		case (b == '^' || b == '$') && class == 0:
			anchors = true
		case b == '(' && class == 0:
			if flags := inlineFlags.FindString(pattern[i:]); flags != "" {
				out.WriteString(strings.ReplaceAll(flags, "m", "s"))
				i += len(flags) - 1
				continue
			}
		}
		out.WriteByte(pattern[i])
	}
	if anchors {
		return "(?m)" + out.String()
	}
	return out.String()
}

var inlineFlags = regexp.MustCompile(`^\(\?[imx]*(-[imx]+)?[:)]`)

// absent lists what Oniguruma and Java have and Go has not, each as its text begins.
var absent = []struct{ text, name string }{
	{`(?=`, "look-ahead"}, {`(?!`, "negative look-ahead"}, {`(?<=`, "look-behind"}, {`(?<!`, "negative look-behind"},
	{`(?>`, "an atomic group"}, {`(?~`, "an absent operator"}, {`(?#`, "a comment"}, {`(?(`, "a condition"}, {`(?'`, "a group named in quotes"},
	{`\k`, "a reference to a group"}, {`\g`, "a call of a group"}, {`\h`, "a class of hexadecimal digits"}, {`\H`, "a class of hexadecimal digits"},
	{`\Z`, "the end before a line break"}, {`\G`, "the place where the search began"}, {`\R`, "a line break of any kind"},
	{`\X`, "a grapheme"}, {`\K`, "a reset of the match"}, {`\u`, "a character by its number, which Go writes \\x{…},"}, {`\e`, "an escape character"},
	{`*+`, "a possessive quantifier"}, {`++`, "a possessive quantifier"}, {`?+`, "a possessive quantifier"},
}

// notInGo names the parts of a pattern that Go does not have, each with its place.
func notInGo(pattern string) []string {
	var found []string
	for i := 0; i < len(pattern); i++ {
		rest := pattern[i:]
		at := slices.IndexFunc(absent, func(a struct{ text, name string }) bool { return strings.HasPrefix(rest, a.text) })
		switch {
		case at >= 0:
			found = append(found, fmt.Sprintf("%s, %s at character %d", absent[at].name, absent[at].text, i+1))
			i += len(absent[at].text) - 1
		case rest[0] == '\\' && len(rest) > 1 && '1' <= rest[1] && rest[1] <= '9':
			found = append(found, fmt.Sprintf("a reference to a group, %s at character %d", rest[:2], i+1))
			i++
		case rest[0] == '\\':
			i++
		case strings.HasPrefix(rest, "(?") && strings.Contains(inlineFlags.FindString(rest), "x"):
			found = append(found, fmt.Sprintf("free spacing, %s at character %d", inlineFlags.FindString(rest), i+1))
		}
	}
	return found
}

// otherInGo names the parts of a pattern that Go takes for something else, each with its place: inside of brackets,
// Oniguruma and Java know intersections and brackets once more.
func otherInGo(pattern string) []string {
	var found []string
	class := false
	for i := 0; i < len(pattern); i++ {
		rest := pattern[i:]
		switch {
		case rest[0] == '\\':
			i++
		case !class && rest[0] == '[':
			class = true
			if strings.HasPrefix(rest, "[]") || strings.HasPrefix(rest, "[^]") {
				i += strings.IndexByte(rest, ']')
			}
		case class && strings.HasPrefix(rest, "[:"):
			if end := strings.Index(rest, ":]"); end > 0 {
				i += end + 1
			}
		case class && rest[0] == '[':
			found = append(found, fmt.Sprintf("a class inside of a class, at character %d,", i+1))
		case class && strings.HasPrefix(rest, "&&"):
			found = append(found, fmt.Sprintf("an intersection of classes, at character %d,", i+1))
			i++
		case class && rest[0] == ']':
			class = false
		}
	}
	return found
}
