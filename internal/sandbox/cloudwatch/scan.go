package cloudwatch

import (
	"bytes"
	"encoding/json"
	"math"
)

// event is one element of logEvents: its time and where its message stands in the body.
type event struct {
	time    int64 // Milliseconds since 1970.
	message text
	has     uint8
}

const (
	hasTime    uint8 = 1
	hasMessage uint8 = 2
)

// putRequest is a PutLogEvents body, read in one pass and without a copy: encoding/json on the events would cost more
// than the program under test. It is reused from request to request.
type putRequest struct {
	body          []byte
	group, stream string
	events        []event
	tooMany       bool // More than MaxBatchEvents; the rest was not read.
}

// message returns the message of e in its JSON form.
func (p *putRequest) message(e *event) []byte {
	return p.body[e.message.off : e.message.off+e.message.raw]
}

// scan reads body, which must stay unchanged for as long as p is used. It takes exactly the JSON that encoding/json
// takes, with these differences: invalid UTF-8 is refused, keys are matched with their case, and where a key comes
// twice the last one counts in whole. Reading stops with the event that is one too many.
func (p *putRequest) scan(body []byte) *apiError {
	*p = putRequest{body: body, events: p.events[:0]}
	at := skipSpace(body, 0)
	at, err := p.object(at, p.member)
	if err != nil || p.tooMany {
		return err
	}
	if at = skipSpace(body, at); at != len(body) {
		return broken(at)
	}
	return nil
}

func broken(at int) *apiError {
	return serialization("the body is not valid JSON in UTF-8 at byte %d", at)
}

// object reads the object that starts at body[at] and hands each member to read, with at on its value. It returns the
// index behind the object.
func (p *putRequest) object(at int, read func(key []byte, at int) (int, *apiError)) (int, *apiError) {
	if at >= len(p.body) || p.body[at] != '{' {
		return at, serialization("expected an object at byte %d", at)
	}
	at = skipSpace(p.body, at+1)
	if at < len(p.body) && p.body[at] == '}' {
		return at + 1, nil
	}
	for {
		key, next, err := p.key(at)
		if err != nil {
			return at, err
		}
		next, err = read(key, next)
		if err != nil || p.tooMany {
			return next, err
		}
		at = skipSpace(p.body, next)
		if at >= len(p.body) || p.body[at] != ',' && p.body[at] != '}' {
			return at, broken(at)
		}
		if p.body[at] == '}' {
			return at + 1, nil
		}
		at = skipSpace(p.body, at+1)
	}
}

// key reads `"key":` at body[at] with the space around it and returns the key unescaped.
func (p *putRequest) key(at int) ([]byte, int, *apiError) {
	if at >= len(p.body) || p.body[at] != '"' {
		return nil, at, broken(at)
	}
	t, next, ok := scanString(p.body, at+1)
	if !ok {
		return nil, next, broken(next)
	}
	next = skipSpace(p.body, next)
	if next >= len(p.body) || p.body[next] != ':' {
		return nil, next, broken(next)
	}
	key := p.body[t.off : t.off+t.raw]
	if t.escaped {
		key = appendUnescaped(nil, key, -1)
	}
	return key, skipSpace(p.body, next+1), nil
}

// member reads one member of the request.
func (p *putRequest) member(key []byte, at int) (int, *apiError) {
	switch string(key) {
	case "logGroupName":
		return p.name(&p.group, at)
	case "logStreamName":
		return p.name(&p.stream, at)
	case "logEvents":
		p.events = p.events[:0]
		if isNull(p.body, at) {
			return at + len("null"), nil
		}
		return p.array(at)
	}
	return skipValue(p.body, at)
}

// name reads a string or null into dst.
func (p *putRequest) name(dst *string, at int) (int, *apiError) {
	t, next, _, err := p.stringOrNull(at)
	if err != nil {
		return next, err
	}
	*dst = string(appendUnescaped(nil, p.body[t.off:t.off+t.raw], -1))
	return next, nil
}

// stringOrNull reads a string, or null as an empty one with present false.
func (p *putRequest) stringOrNull(at int) (t text, next int, present bool, err *apiError) {
	if isNull(p.body, at) {
		return text{}, at + len("null"), false, nil
	}
	if at >= len(p.body) || p.body[at] != '"' {
		return text{}, at, false, serialization("expected a string at byte %d", at)
	}
	t, next, ok := scanString(p.body, at+1)
	if !ok {
		return text{}, next, false, broken(next)
	}
	return t, next, true, nil
}

// array reads the array of events at body[at].
func (p *putRequest) array(at int) (int, *apiError) {
	if at >= len(p.body) || p.body[at] != '[' {
		return at, serialization("expected an array at byte %d", at)
	}
	at = skipSpace(p.body, at+1)
	if at < len(p.body) && p.body[at] == ']' {
		return at + 1, nil
	}
	for {
		if p.tooMany = len(p.events) == MaxBatchEvents; p.tooMany {
			return at, nil
		}
		next, err := p.event(at)
		if err != nil {
			return next, err
		}
		at = skipSpace(p.body, next)
		if at >= len(p.body) || p.body[at] != ',' && p.body[at] != ']' {
			return at, broken(at)
		}
		if p.body[at] == ']' {
			return at + 1, nil
		}
		at = skipSpace(p.body, at+1)
	}
}

// The two ways in which encoders without spaces write the start of a member of an event.
const (
	timeKey    = `"timestamp":`
	messageKey = `"message":"`
)

// event reads the event at body[at]. The first loop takes the form that every encoder writes; whatever it does not
// know is left to the general reader, from the start.
func (p *putRequest) event(at int) (int, *apiError) {
	var e event
	body, i := p.body, at
	for i < len(body) && (body[i] == ',' && i > at || body[i] == '{' && i == at) {
		i++
		switch {
		case len(body)-i > len(timeKey) && string(body[i:i+len(timeKey)]) == timeKey:
			t, next, ok := scanInt(body, i+len(timeKey))
			if !ok {
				return p.anyEvent(at)
			}
			e.time, e.has, i = t, e.has|hasTime, next
		case len(body)-i > len(messageKey) && string(body[i:i+len(messageKey)]) == messageKey:
			t, next, ok := scanString(body, i+len(messageKey))
			if !ok {
				return next, broken(next)
			}
			e.message, e.has, i = t, e.has|hasMessage, next
		default:
			return p.anyEvent(at)
		}
	}
	if i >= len(body) || body[i] != '}' || i == at {
		return p.anyEvent(at)
	}
	p.events = append(p.events, e)
	return i + 1, nil
}

// anyEvent reads an event in any form that JSON allows.
func (p *putRequest) anyEvent(at int) (int, *apiError) {
	var e event
	at, err := p.object(at, func(key []byte, at int) (int, *apiError) {
		switch string(key) {
		case "timestamp":
			if isNull(p.body, at) {
				e.has &^= hasTime
				return at + len("null"), nil
			}
			t, next, ok := scanInt(p.body, at)
			if !ok {
				return at, serialization("expected an integer of 64 bits at byte %d", at)
			}
			e.time, e.has = t, e.has|hasTime
			return next, nil
		case "message":
			t, next, present, err := p.stringOrNull(at)
			if e.has &^= hasMessage; present {
				e.message, e.has = t, e.has|hasMessage
			}
			return next, err
		}
		return skipValue(p.body, at)
	})
	if err == nil {
		p.events = append(p.events, e)
	}
	return at, err
}

// scanInt reads a JSON integer that fits into 64 bits at body[at]; ok is false for anything else, fractions included.
func scanInt(body []byte, at int) (n int64, next int, ok bool) {
	i, negative := at, false
	if i < len(body) && body[i] == '-' {
		negative, i = true, i+1
	}
	first := i
	var u uint64
	for ; i < len(body) && '0' <= body[i] && body[i] <= '9'; i++ {
		if u > math.MaxUint64/10-1 {
			return 0, i, false
		}
		u = u*10 + uint64(body[i]-'0')
	}
	switch {
	case i == first, body[first] == '0' && i > first+1: // No digit, or a leading zero.
		return 0, i, false
	case i < len(body) && (body[i] == '.' || body[i] == 'e' || body[i] == 'E'):
		return 0, i, false
	case negative && u <= 1<<63:
		return -int64(u), i, true
	case !negative && u <= math.MaxInt64:
		return int64(u), i, true
	}
	return 0, i, false
}

// skipValue returns the index behind the JSON value at body[at], which it has checked.
func skipValue(body []byte, at int) (int, *apiError) {
	depth, i := 0, at
scan:
	for i < len(body) {
		switch body[i] {
		case '"':
			_, next, ok := scanString(body, i+1)
			if !ok {
				return next, broken(next)
			}
			i = next
			if depth == 0 {
				break scan
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				break scan
			}
			if depth--; depth == 0 {
				i++
				break scan
			}
		case ',', ' ', '\t', '\n', '\r':
			if depth == 0 {
				break scan
			}
		}
		i++
	}
	if !json.Valid(body[at:i]) {
		return at, broken(at)
	}
	return i, nil
}

func isNull(body []byte, at int) bool {
	return bytes.HasPrefix(body[min(at, len(body)):], []byte("null"))
}

func skipSpace(body []byte, at int) int {
	for at < len(body) && (body[at] == ' ' || body[at] == '\n' || body[at] == '\t' || body[at] == '\r') {
		at++
	}
	return at
}
