package sink

import (
	"net/http"
	"strconv"
	"time"
)

// maxRetryAfter bounds the pause that an answer may ask for.
const maxRetryAfter = time.Minute

// RetryAfter reads the header Retry-After, which is a number of seconds or a date
// (RFC 9110, section 10.2.3), as the pause of an outcome: at most a minute, and 0 where
// there is none.
func RetryAfter(header http.Header) time.Duration {
	text := header.Get("Retry-After")
	if seconds, err := strconv.ParseUint(text, 10, 64); err == nil {
		return time.Duration(min(seconds, uint64(maxRetryAfter/time.Second))) * time.Second
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	return min(max(time.Until(at), 0), maxRetryAfter)
}
