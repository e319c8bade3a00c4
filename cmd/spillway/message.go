package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/spillway/spillway/internal/entry"
	"github.com/spillway/spillway/internal/record"
)

// messageJSON is what stands beside the value of a message of a log with offsets, as it
// is printed in one object with that.
type messageJSON struct {
	Topic     string       `json:"topic,omitempty"`
	Partition *uint32      `json:"partition,omitempty"`
	Offset    int64        `json:"offset"`
	Key       *string      `json:"key,omitempty"`
	KeyBase64 *string      `json:"key_base64,omitempty"`
	Headers   []headerJSON `json:"headers,omitempty"`
	// Null says that the value is null: a tombstone.
	Null bool `json:"null,omitempty"`
}

// headerJSON is one header. Its value is null where neither is there.
type headerJSON struct {
	Name   string  `json:"name"`
	Value  *string `json:"value,omitempty"`
	Base64 *string `json:"value_base64,omitempty"`
}

// messageOf describes a message of a partition, which may be unknown.
func messageOf(m *record.Message, p record.Partition) *messageJSON {
	o := &messageJSON{Topic: p.Topic, Offset: m.Offset, Null: m.Null}
	if p.Known() {
		o.Partition = &p.Number
	}
	if m.Key != nil {
		o.Key, o.KeyBase64 = textOr64(m.Key)
	}
	m.EachHeader(func(name, value []byte) bool {
		h := headerJSON{Name: strings.ToValidUTF8(string(name), "\uFFFD")}
		if value != nil {
			h.Value, h.Base64 = textOr64(value)
		}
		o.Headers = append(o.Headers, h)
		return true
	})
	return o
}

// textOr64 is bytes as text where they are UTF-8, else in base64.
func textOr64(b []byte) (text, base *string) {
	if s := string(b); utf8.Valid(b) {
		return &s, nil
	}
	return nil, encoded(b)
}

func encoded(b []byte) *string {
	s := base64.StdEncoding.EncodeToString(b)
	return &s
}

// objectOf is a message's value as JSON, and whether that is all of it.
func objectOf(m *record.Message) (fields []byte, whole bool) {
	switch {
	case m.Null:
		return nil, false
	case m.Form == record.FormMap:
		fields, replaced, err := entry.AppendJSON(nil, m.Value)
		return fields, err == nil && replaced == 0
	case m.Form == record.FormJSON:
		return m.Value, json.Valid(m.Value) && utf8.Valid(m.Value)
	}
	return nil, false
}

// lines tells a person what stands beside the value, by calling line.
func (o *messageJSON) lines(line func(name, text string)) {
	line("topic", shown(o.Topic, widest))
	if o.Partition != nil {
		line("partition", fmt.Sprint(*o.Partition))
	}
	line("offset", fmt.Sprint(o.Offset))
	switch {
	case o.Key != nil:
		line("key", shown(*o.Key, widest))
	case o.KeyBase64 != nil:
		line("key", "base64 "+shown(*o.KeyBase64, widest))
	}
	for _, h := range o.Headers {
		text := "null"
		switch {
		case h.Value != nil:
			text = shown(*h.Value, widest)
		case h.Base64 != nil:
			text = "base64 " + shown(*h.Base64, widest)
		}
		line("header "+shown(h.Name, widest), text)
	}
}
