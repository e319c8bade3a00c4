package main

import (
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

// letterJSON is a letter as --json prints it. Of the last three one is there, unless the
// record is a message without a value.
type letterJSON struct {
	ID          int64     `json:"id"`
	Revision    int64     `json:"revision"`
	Destination string    `json:"destination"`
	Source      string    `json:"source,omitempty"`
	Tag         string    `json:"tag"`
	Origin      string    `json:"origin"`
	Seq         uint64    `json:"seq"`
	Time        time.Time `json:"time"`
	Status      int       `json:"status"`
	Reason      string    `json:"reason"`
	Detail      string    `json:"detail"`
	Attempts    int       `json:"attempts"`
	First       time.Time `json:"first_attempt"`
	Last        time.Time `json:"last_attempt"`
	Encoding    string    `json:"encoding"`
	Size        int64     `json:"size"`
	*messageJSON
	Record json.RawMessage `json:"record,omitempty"`
	Body   *string         `json:"body,omitempty"`
	Base64 *string         `json:"body_base64,omitempty"`
}

func letterObject(e *deadletter.Entry) *letterJSON {
	o := &letterJSON{
		ID: e.ID, Revision: e.Revision, Destination: e.Destination, Source: e.Source, Tag: e.Tag, Origin: e.Origin, Seq: e.Seq,
		Time: stamp(eventTime(e)), Status: e.Status, Reason: e.Reason, Detail: e.Detail, Attempts: e.Attempts, First: stamp(e.First),
		Last: stamp(e.Last), Encoding: encodingName(e.Encoding), Size: e.Size,
	}
	var null bool
	if m, ok := letterMessage(e); ok {
		p, _, _ := record.ParseCoordinates(e.Origin)
		o.messageJSON, null = messageOf(&m, p), m.Null
	}
	value, mayBeText := valueOf(e)
	switch fields, whole := fieldsOf(e); {
	case null:
	case whole:
		o.Record = fields
	case mayBeText:
		o.Body, o.Base64 = textOr64(value)
	default:
		o.Base64 = encoded(value)
	}
	return o
}

// letterMessage is the message that a letter holds, with the beginning of its value
// where only the beginning of the letter was read.
func letterMessage(e *deadletter.Entry) (m record.Message, ok bool) {
	return m, e.Encoding == record.EncodingMessage && record.ReadMessage(e.Body, &m)
}

// valueOf is the record as its source had it: of a message the value alone. It may be
// text, which it is not where it was msgpack.
func valueOf(e *deadletter.Entry) (value []byte, mayBeText bool) {
	m, ok := letterMessage(e)
	if ok {
		return m.Value, m.Form != record.FormMap
	}
	return e.Body, e.Encoding == record.EncodingText
}

func encodingName(e record.Encoding) string {
	switch e {
	case record.EncodingText:
		return "text"
	case record.EncodingEntry:
		return "entry"
	case record.EncodingMessage:
		return "message"
	}
	return "encoding " + strconv.Itoa(int(e))
}

// eventTime is the time inside of an entry or a message, or else that of the record.
func eventTime(e *deadletter.Entry) int64 {
	if m, ok := letterMessage(e); ok {
		return m.Time
	}
	if e.Encoding == record.EncodingEntry {
		return entry.Time(e.Body, e.Time)
	}
	return e.Time
}

// fieldsOf is the record of an entry, or the value of a message, as JSON, and whether that is all of it: it is
// not where bytes that are no UTF-8 had to be replaced, or where it ends before it
// should.
func fieldsOf(e *deadletter.Entry) (fields []byte, whole bool) {
	if m, ok := letterMessage(e); ok {
		return objectOf(&m)
	}
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
	value, _ := valueOf(e)
	return string(value)
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
