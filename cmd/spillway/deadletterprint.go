package main

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/spillway/spillway/internal/deadletter"
	"github.com/spillway/spillway/internal/entry"
	"github.com/spillway/spillway/internal/record"
)

// letterJSON is a letter as --json prints it. Of the last three one is there.
type letterJSON struct {
	ID          int64           `json:"id"`
	Revision    int64           `json:"revision"`
	Destination string          `json:"destination"`
	Source      string          `json:"source"`
	Tag         string          `json:"tag"`
	Origin      string          `json:"origin"`
	Seq         uint64          `json:"seq"`
	Time        time.Time       `json:"time"`
	Status      int             `json:"status"`
	Reason      string          `json:"reason"`
	Detail      string          `json:"detail"`
	Attempts    int             `json:"attempts"`
	First       time.Time       `json:"first_attempt"`
	Last        time.Time       `json:"last_attempt"`
	Encoding    string          `json:"encoding"`
	Size        int64           `json:"size"`
	Record      json.RawMessage `json:"record,omitempty"`
	Body        *string         `json:"body,omitempty"`
	Base64      *string         `json:"body_base64,omitempty"`
}

func letterObject(e *deadletter.Entry) *letterJSON {
	o := &letterJSON{
		ID: e.ID, Revision: e.Revision, Destination: e.Destination, Source: e.Source, Tag: e.Tag, Origin: e.Origin, Seq: e.Seq,
		Time: stamp(eventTime(e)), Status: e.Status, Reason: e.Reason, Detail: e.Detail, Attempts: e.Attempts, First: stamp(e.First),
		Last: stamp(e.Last), Encoding: encodingName(e.Encoding), Size: e.Size,
	}
	text := string(e.Body)
	switch fields, whole := fieldsOf(e); {
	case whole:
		o.Record = fields
	case e.Encoding == record.EncodingText && utf8.Valid(e.Body):
		o.Body = &text
	default:
		text = base64.StdEncoding.EncodeToString(e.Body)
		o.Base64 = &text
	}
	return o
}

func encodingName(e record.Encoding) string {
	switch e {
	case record.EncodingText:
		return "text"
	case record.EncodingEntry:
		return "entry"
	}
	return "encoding " + strconv.Itoa(int(e))
}

// eventTime is the time inside of an entry, or else that of the record.
func eventTime(e *deadletter.Entry) int64 {
	if e.Encoding == record.EncodingEntry {
		return entry.Time(e.Body, e.Time)
	}
	return e.Time
}

// fieldsOf is the record of an entry as JSON, and whether that is all of it: it is
// not where bytes that are no UTF-8 had to be replaced, or where the entry ends
// before it should.
func fieldsOf(e *deadletter.Entry) (fields []byte, whole bool) {
	if e.Encoding != record.EncodingEntry {
		return nil, false
	}
	_, value, err := entry.Split(e.Body)
	if err != nil {
		return nil, false
	}
	fields, replaced, err := entry.AppendJSON(nil, value)
	return fields, err == nil && replaced == 0
}

// beginning is how a record begins, for people.
func beginning(e *deadletter.Entry) string {
	if fields, _ := fieldsOf(e); len(fields) > 0 {
		return string(fields)
	}
	return string(e.Body)
}

// shown is foreign text on at most so many characters of one line: what a terminal
// would act upon is escaped, and what is too long ends in an ellipsis.
func shown(text string, width int) string {
	var b strings.Builder
	n := 0
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		next := text[:size]
		if r == utf8.RuneError && size == 1 || !unicode.IsPrint(r) {
			next = strings.Trim(strconv.QuoteToGraphic(text[:size]), `"`)
			if r > unicode.MaxLatin1 {
				next = strings.Trim(strconv.QuoteToASCII(text[:size]), `"`)
			}
		}
		text = text[size:]
		wide := utf8.RuneCountInString(next)
		if n+wide > width-1 && (len(text) > 0 || n+wide > width) {
			b.WriteString("…")
			break
		}
		b.WriteString(next)
		n += wide
	}
	return b.String()
}
