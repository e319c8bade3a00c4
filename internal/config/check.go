package config

import (
	"encoding/json"
	"errors"
	"math"
	"net/url"
	"path/filepath"
	"regexp"
	"regexp/syntax"
	"strings"
	"time"
	"unicode/utf8"
)

// The functions of this file are the checks of the table. Each returns what was
// expected, or nothing if the value is good.

// maxCleanupTime is the longest cleanup-time: containerd kills a logger 12 s
// after SIGTERM.
const maxCleanupTime = 12 * time.Second

func positive(v value) string {
	if v.number < 1 {
		return "a whole number of at least 1"
	}
	return ""
}

// seconds keeps an interval within the 24 hours that one request may span.
func seconds(v value) string {
	if v.number < 1 || v.number > 24*60*60 {
		return "a whole number of seconds from 1 to 86400"
	}
	return ""
}

func positiveDuration(v value) string {
	if v.duration <= 0 {
		return "a duration above 0, such as 500ms or 2s"
	}
	return ""
}

func cleanupTime(v value) string {
	if v.duration < 0 || v.duration > maxCleanupTime {
		return "a duration from 0s to 12s, because containerd kills the logger 12 s after SIGTERM"
	}
	return ""
}

// userID refuses root: who gives the option wants to drop privileges. The
// largest 32-bit number is the kernel's "no change".
func userID(v value) string {
	if v.number == -1 || v.number >= 1 && v.number < math.MaxUint32 {
		return ""
	}
	return "-1 (keep) or an id from 1 to 4294967294; 0 (root) is refused"
}

func regularExpression(v value) string {
	_, err := regexp.Compile(v.text)
	var syntaxError *syntax.Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &syntaxError):
		return "a Go regular expression (RE2 syntax), and this has: " + string(syntaxError.Code) + " at " + quote(syntaxError.Expr)
	}
	return "a Go regular expression (RE2 syntax)"
}

// httpURL asks for an absolute URL.
func httpURL(v value) string {
	u, err := url.Parse(v.text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "a URL such as http://127.0.0.1:4566 or https://logs.example.com"
	}
	return ""
}

// credentialsEndpoint is a path on the host of the ECS agent, or a whole URL.
func credentialsEndpoint(v value) string {
	if strings.HasPrefix(v.text, "/") || httpURL(v) == "" {
		return ""
	}
	return "a path such as /v2/credentials/ID, or a whole URL"
}

func absolutePath(v value) string {
	if !filepath.IsAbs(v.text) {
		return "an absolute path, because the logger runs in a directory that goes away with the container"
	}
	return ""
}

// region keeps out what would change the host name that is built from it.
func region(v value) string {
	for _, r := range v.text {
		if !alphanumeric(r) && r != '-' {
			return "the name of a region, such as eu-central-1"
		}
	}
	return ""
}

// logGroup follows the reference page of the service, API_CreateLogGroup.
func logGroup(v value) string {
	for _, r := range v.text {
		if !alphanumeric(r) && !strings.ContainsRune("._-/#", r) {
			return "the name of a log group: letters, digits and . _ - / #"
		}
	}
	if len(v.text) > 512 {
		return "the name of a log group of at most 512 characters"
	}
	return ""
}

// logStream follows the reference page of the service, API_CreateLogStream.
func logStream(v value) string {
	if utf8.RuneCountInString(v.text) > 512 || strings.ContainsAny(v.text, ":*") {
		return "the name of a log stream: at most 512 characters, no : and no *"
	}
	return ""
}

func alphanumeric(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}

func jsonObject(v value) string {
	if _, err := parseObject(v.text); err != nil {
		return `a JSON object of strings, such as {"name":"value"}`
	}
	return ""
}

// parseObject reads container-env and container-labels; unset is an empty map.
func parseObject(text string) (map[string]string, error) {
	var object map[string]string
	if text == "" {
		return object, nil
	}
	err := json.Unmarshal([]byte(text), &object)
	return object, err
}
