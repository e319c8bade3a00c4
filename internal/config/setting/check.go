package setting

import (
	"errors"
	"net/url"
	"path/filepath"
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode/utf8"
)

// The functions of this file are Checks that more than one table has.

// Positive asks for a number above 0.
func Positive(v Value) string {
	if v.Number < 1 {
		return "a whole number of at least 1"
	}
	return ""
}

// Seconds keeps an interval within the 24 hours that one request may span.
func Seconds(v Value) string {
	if v.Number < 1 || v.Number > 24*60*60 {
		return "a whole number of seconds from 1 to 86400"
	}
	return ""
}

// PositiveDuration asks for a duration above 0.
func PositiveDuration(v Value) string {
	if v.Duration <= 0 {
		return "a duration above 0, such as 500ms or 2s"
	}
	return ""
}

// NoNegativeDuration asks for a duration of 0 or more.
func NoNegativeDuration(v Value) string {
	if v.Duration < 0 {
		return "a duration such as 5s, or 0"
	}
	return ""
}

// RegularExpression asks for RE2 syntax.
func RegularExpression(v Value) string {
	_, err := regexp.Compile(v.Text)
	var syntaxError *syntax.Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &syntaxError):
		return "a Go regular expression (RE2 syntax), and this has: " + string(syntaxError.Code) + " at " + Quote(syntaxError.Expr)
	}
	return "a Go regular expression (RE2 syntax)"
}

// HTTPURL asks for an absolute URL.
func HTTPURL(v Value) string {
	u, err := url.Parse(v.Text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "a URL such as http://127.0.0.1:4566 or https://logs.example.com"
	}
	return ""
}

// CredentialsEndpoint is a path on the host of the ECS agent, or a whole URL.
func CredentialsEndpoint(v Value) string {
	if strings.HasPrefix(v.Text, "/") || HTTPURL(v) == "" {
		return ""
	}
	return "a path such as /v2/credentials/ID, or a whole URL"
}

// AbsolutePath asks for a path that means the same in every directory.
func AbsolutePath(v Value) string {
	if !filepath.IsAbs(v.Text) {
		return "an absolute path"
	}
	return ""
}

// Region keeps out what would change the host name that is built from it.
func Region(v Value) string {
	for _, r := range v.Text {
		if !Alphanumeric(r) && r != '-' {
			return "the name of a region, such as eu-central-1"
		}
	}
	return ""
}

// LogGroup follows the reference page of the service, API_CreateLogGroup.
func LogGroup(v Value) string {
	for _, r := range v.Text {
		if !Alphanumeric(r) && !strings.ContainsRune("._-/#", r) {
			return "the name of a log group: letters, digits and . _ - / #"
		}
	}
	if len(v.Text) > 512 {
		return "the name of a log group of at most 512 characters"
	}
	return ""
}

// LogStream follows the reference page of the service, API_CreateLogStream.
func LogStream(v Value) string {
	if utf8.RuneCountInString(v.Text) > 512 || strings.ContainsAny(v.Text, ":*") {
		return "the name of a log stream: at most 512 characters, no : and no *"
	}
	return ""
}

// Alphanumeric reports whether r is a letter or digit of ASCII.
func Alphanumeric(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}
