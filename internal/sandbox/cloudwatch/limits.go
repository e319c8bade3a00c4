package cloudwatch

import (
	"fmt"
	"time"
	"unicode/utf8"
)

// The limits of the service, from the PutLogEvents and CreateLogStream pages of the CloudWatch Logs API reference.
const (
	// MaxBatchBytes bounds a PutLogEvents request: the UTF-8 bytes of all its messages plus EventOverhead for each.
	MaxBatchBytes = 1_048_576
	// EventOverhead is what the service adds to each event's message when it counts bytes.
	EventOverhead = 26
	// MaxBatchEvents is the largest number of events in one PutLogEvents request.
	MaxBatchEvents = 10_000
	// MaxEventBytes bounds one event, EventOverhead included.
	MaxEventBytes = 1_048_576
	// MaxSpan is the longest time between the first and the last valid event of a request.
	MaxSpan = 24 * time.Hour
	// MaxAge is how far an event's timestamp may lie in the past.
	MaxAge = 14 * 24 * time.Hour
	// MaxAhead is how far an event's timestamp may lie in the future.
	MaxAhead = 2 * time.Hour
	// MaxPageEvents and MaxPageBytes bound an answer of GetLogEvents and FilterLogEvents.
	MaxPageEvents = 10_000
	MaxPageBytes  = 1_048_576
)

// Limits of this server, which the service does not have in this form.
const (
	// maxBody bounds a request body as sent and as unpacked: a full batch in which every byte is written as a
	// six-byte escape needs about 6.7 MB.
	maxBody = 16 << 20
	// maxStreams bounds the streams that the server remembers, deleted ones included.
	maxStreams = 100_000
	// maxAccounting bounds the bytes of the bitmaps and the order records behind the report.
	maxAccounting = 256 << 20
	// defaultKeepBytes is what Options.KeepBytes means by 0.
	defaultKeepBytes = 64 << 20
)

const (
	maxNameLength = 512
	groupPattern  = `[\.\-_/#A-Za-z0-9]+`
	streamPattern = `[^:*]*`
)

// checkGroupName returns nil for a name that the service would accept for a log group.
func checkGroupName(name string) *apiError {
	return checkName("logGroupName", name, groupPattern, func(r rune) bool {
		return r == '.' || r == '-' || r == '_' || r == '/' || r == '#' ||
			'0' <= r && r <= '9' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z'
	})
}

// checkStreamName returns nil for a name that the service would accept for a log stream.
func checkStreamName(name string) *apiError {
	return checkName("logStreamName", name, streamPattern, func(r rune) bool { return r != ':' && r != '*' })
}

// checkName words its refusals as the service does, because that is what a user will search for.
func checkName(field, name, pattern string, allowed func(rune) bool) *apiError {
	length := utf8.RuneCountInString(name)
	switch {
	case length == 0:
		return constraint(fmt.Sprintf("Value '' at '%s'", field), "Member must have length greater than or equal to 1")
	case length > maxNameLength:
		return constraint(fmt.Sprintf("Value '%s' at '%s'", name, field),
			fmt.Sprintf("Member must have length less than or equal to %d", maxNameLength))
	}
	for _, r := range name {
		if !allowed(r) {
			return constraint(fmt.Sprintf("Value '%s' at '%s'", name, field),
				"Member must satisfy regular expression pattern: "+pattern)
		}
	}
	return nil
}
