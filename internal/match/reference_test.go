package match

import (
	"strings"
)

// fluentdRegexp translates a good pattern that is no regular expression to one, in
// the way of fluentd: text in, text out. Groups are written as (?:…), the rest is
// a part of Ruby's syntax.
func fluentdRegexp(pattern string) string {
	var stack [][]string
	out := []string{""}
	write := func(text string) { out[len(out)-1] += text }
	pop := func() string {
		last := out[len(out)-1]
		out = out[:len(out)-1]
		return last
	}
	escape, dot := false, false
	for i := 0; i < len(pattern); i++ {
		c := pattern[i : i+1]
		switch {
		case escape:
			write(`\` + c)
			escape = false
			continue
		case strings.HasPrefix(pattern[i:], "**"):
			if dot {
				write(`(?![^\.])`)
				dot = false
			}
			i++
			if strings.HasPrefix(pattern[i+1:], ".") {
				write(`(?:.*\.|\A)`)
				i++
			} else {
				write(`.*`)
			}
			continue
		case dot:
			write(`\.`)
			dot = false
		}
		switch c {
		case `\`:
			escape = true
		case ".":
			dot = true
		case "*":
			write(`[^\.]*`)
		case "{":
			stack = append(stack, nil)
			out = append(out, "")
		case ",":
			stack[len(stack)-1] = append(stack[len(stack)-1], pop())
			out = append(out, "")
		case "}":
			stack[len(stack)-1] = append(stack[len(stack)-1], pop())
			write("(?:" + strings.Join(stack[len(stack)-1], "|") + ")")
			stack = stack[:len(stack)-1]
		default:
			write(`\` + c)
		}
	}
	return out[0]
}

// slow reports whether a regular expression as fluentdRegexp writes it takes the
// whole tag. It tries everything.
func slow(re, tag string) bool {
	return try(re, tag, 0, func(at int) bool { return at == len(tag) })
}

// try matches re at an offset of the tag and goes on with then.
func try(re, tag string, at int, then func(at int) bool) bool {
	if alternatives := divide(re); len(alternatives) > 1 {
		for _, one := range alternatives {
			if try(one, tag, at, then) {
				return true
			}
		}
		return false
	}
	if re == "" {
		return then(at)
	}
	repeat := func(length int, dots bool) bool {
		for end := at; ; end++ {
			if try(re[length:], tag, end, then) {
				return true
			}
			if end == len(tag) || !dots && tag[end] == '.' {
				return false
			}
		}
	}
	switch {
	case strings.HasPrefix(re, `\A`):
		return at == 0 && try(re[2:], tag, at, then)
	case strings.HasPrefix(re, `(?![^\.])`):
		return (at == len(tag) || tag[at] == '.') && try(re[len(`(?![^\.])`):], tag, at, then)
	case strings.HasPrefix(re, `(?:`):
		end := closing(re)
		return try(re[len(`(?:`):end], tag, at, func(at int) bool { return try(re[end+1:], tag, at, then) })
	case strings.HasPrefix(re, `[^\.]*`):
		return repeat(len(`[^\.]*`), false)
	case strings.HasPrefix(re, `.*`):
		return repeat(len(`.*`), true)
	case re[0] == '\\':
		return at < len(tag) && tag[at] == re[1] && try(re[2:], tag, at+1, then)
	}
	panic("unknown syntax: " + re)
}

// divide cuts at the bars that are in no group.
func divide(re string) []string {
	var parts []string
	depth, from := 0, 0
	for i := 0; i < len(re); i++ {
		switch re[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			depth--
		case '|':
			if depth == 0 {
				parts = append(parts, re[from:i])
				from = i + 1
			}
		}
	}
	return append(parts, re[from:])
}

// closing is the offset of the parenthesis that ends the group at the beginning.
func closing(re string) int {
	depth := 0
	for i := 0; i < len(re); i++ {
		switch re[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	panic("no end: " + re)
}
