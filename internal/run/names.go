package run

import (
	"strconv"
	"strings"
)

// identityPrefix begins the identity of each disk buffer of a run.
const identityPrefix = "run/"

// identityOf names the disk buffer of a leg. Names are foreign text, and so are
// quoted.
func identityOf(route, sink string) string {
	return identityPrefix + strconv.Quote(route) + "/" + strconv.Quote(sink)
}

// ParseIdentity tells, of the identity of a disk buffer, whether it is one of a
// run, and then of which route, to which sink.
func ParseIdentity(identity string) (route, sink string, ok bool) {
	rest, ok := strings.CutPrefix(identity, identityPrefix)
	if !ok {
		return "", "", false
	}
	quoted, err := strconv.QuotedPrefix(rest)
	if err != nil {
		return "", "", false
	}
	route, err = strconv.Unquote(quoted)
	rest, found := strings.CutPrefix(rest[len(quoted):], "/")
	if err != nil || !found {
		return "", "", false
	}
	sink, err = strconv.Unquote(rest)
	return route, sink, err == nil
}
