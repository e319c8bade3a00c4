package awsauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/aws/smithy-go"
)

// errNoObject is an answer that could not be decoded. The decoder's own words are never passed on, because they quote
// what they found.
var errNoObject = errors.New("the answer is not the JSON object expected")

// maxAnswerText is how many bytes of a server's own words go into an error.
const maxAnswerText = 300

// maxAnswerBytes bounds what is read of an answer. Credentials with a session token are about 2 KiB.
const maxAnswerBytes = 64 << 10

// Explain turns an error of the SDK into one line that holds nothing secret: no URL, no text of an answer that could
// hold keys, and none of the given secrets should the server repeat them. It keeps no chain, since what is wrapped would
// still hold them.
func Explain(err error, secrets ...string) error {
	var (
		tooLong   *http.MaxBytesError
		badAnswer *smithy.DeserializationError
		transport *url.Error
		api       smithy.APIError
	)
	status := statusOf(err)
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return errors.New("gave up waiting for an answer")
	case errors.As(err, &tooLong):
		return fmt.Errorf("the answer is longer than %d bytes", maxAnswerBytes)
	case status != 0 && errors.As(err, &api):
		return fmt.Errorf("answered HTTP %d%s", status, serverWords(api, secrets))
	case status != 0:
		return fmt.Errorf("answered HTTP %d", status)
	case errors.Is(err, errNoObject), errors.As(err, &badAnswer), quotesAnswer(err):
		return errNoObject
	case errors.As(err, &api):
		return fmt.Errorf("answered with an error%s", serverWords(api, secrets))
	case errors.As(err, &transport):
		return transport.Err
	}
	return errors.New(printable(hide(err.Error(), secrets)))
}

// quotesAnswer tells the errors of a JSON decoder, where the SDK wraps them in plain ones.
func quotesAnswer(err error) bool {
	var (
		kind   *json.UnmarshalTypeError
		syntax *json.SyntaxError
		date   *time.ParseError
	)
	return errors.As(err, &kind) || errors.As(err, &syntax) || errors.As(err, &date)
}

// statusOf gives the HTTP status of an answer that was an error, or 0.
func statusOf(err error) int {
	var answered interface{ HTTPStatusCode() int }
	if errors.As(err, &answered) {
		return answered.HTTPStatusCode()
	}
	return 0
}

func serverWords(api smithy.APIError, secrets []string) string {
	words := strings.Trim(api.ErrorCode()+": "+api.ErrorMessage(), ": ")
	if words == "" {
		return ""
	}
	return ": " + printable(hide(words, secrets))
}

func hide(text string, secrets []string) string {
	for _, secret := range secrets {
		if len(secret) > 1 {
			text = strings.ReplaceAll(text, secret, "(hidden)")
		}
	}
	return text
}

// printable makes foreign text fit for one line of a log.
func printable(text string) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > maxAnswerText {
		text = strings.ToValidUTF8(text[:maxAnswerText], "") + "…"
	}
	return text
}
