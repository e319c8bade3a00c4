package local

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/spillway/spillway/internal/record"
)

// Entry is what the store has of one event.
type Entry struct {
	Time   time.Time
	Run    string
	Stream string
	Seq    uint64
	Part   record.Part
	// Text is the body of a record as it was received.
	Text []byte
	// Loss is set where the entry is a loss marker. Its Stream is not.
	Loss *record.Loss
	// Line is the entry as the store has it: a JSON object.
	Line []byte

	sort int64 // its place in time, in nanoseconds since 1970
}

// counts is what the name of a segment tells of this entry, which takes size
// bytes.
func (e *Entry) counts(size int) counts {
	c := counts{min: e.Time.UnixNano(), last: e.sort, size: int64(size)}
	if e.Loss == nil {
		c.records, c.bytes = 1, int64(len(e.Text))
	}
	return c
}

// parser reads lines. It takes only what the encoder writes: anything else in a
// segment is damage.
type parser struct {
	rest   []byte
	wanted string // what was not found

	text     []byte // space for unescaped text
	timeText []byte // the last time that was read, which many lines share
	time     time.Time
}

// parse reads a line, without its newline, into e. The entry is valid until the
// next call, and as long as the line.
func (p *parser) parse(line []byte, e *Entry) error {
	p.rest, p.wanted = line, ""
	*e = Entry{Line: line, Run: e.Run, Stream: e.Stream}
	p.want(timeKey)
	e.Time = p.moment()
	e.sort = e.Time.UnixNano()
	if p.try(sortKey) {
		e.sort = p.moment().UnixNano()
	}
	p.want(runKey)
	p.intern(&e.Run)
	p.want(streamKey)
	p.intern(&e.Stream)
	p.want(seqKey)
	e.Seq = p.number()
	if p.try(partKey) {
		e.Part.Ordinal = uint32(p.number())
		p.want(lastKey)
		if e.Part.Last = p.try("true"); !e.Part.Last {
			p.want("false")
		}
	}
	p.event(e)
	if p.wanted != "" {
		return fmt.Errorf("not a line of the local store: %s is missing at byte %d", p.wanted, len(line)-len(p.rest))
	}
	return nil
}

// event reads the last key and the end.
func (p *parser) event(e *Entry) {
	switch {
	case p.try(lossKey):
		e.Loss = p.loss()
		return
	case p.try(base64Key):
		e.Text = p.base64()
	default:
		p.want(textKey)
		e.Text = p.str()
	}
	p.want(`"}`)
	if len(p.rest) > 0 {
		p.fail("the end")
	}
}

func (p *parser) fail(wanted string) {
	if p.wanted == "" {
		p.wanted = wanted
	}
}

// try skips a literal if it is there.
func (p *parser) try(literal string) bool {
	if p.wanted != "" || len(p.rest) < len(literal) || string(p.rest[:len(literal)]) != literal {
		return false
	}
	p.rest = p.rest[len(literal):]
	return true
}

func (p *parser) want(literal string) {
	if !p.try(literal) {
		p.fail(literal)
	}
}

// moment reads a time, up to the quote.
func (p *parser) moment() time.Time {
	n := bytes.IndexByte(p.rest, '"')
	if p.wanted != "" || n < 0 {
		p.fail("a time")
		return time.Time{}
	}
	if text := p.rest[:n]; !bytes.Equal(text, p.timeText) {
		var t time.Time
		// A time whose nanoseconds do not fit in 64 bits cannot be ours.
		if err := t.UnmarshalText(text); err != nil || !time.Unix(0, t.UnixNano()).Equal(t) {
			p.fail("a time")
			return time.Time{}
		}
		p.timeText, p.time = append(p.timeText[:0], text...), t.UTC()
	}
	p.rest = p.rest[n:]
	return p.time
}

func (p *parser) number() uint64 {
	n, digits := uint64(0), 0
	for digits < len(p.rest) && digits < 20 && p.rest[digits]-'0' <= 9 {
		n = 10*n + uint64(p.rest[digits]-'0')
		digits++
	}
	if digits == 0 || p.rest[0] == '0' && digits > 1 {
		p.fail("a number")
		return 0
	}
	p.rest = p.rest[digits:]
	return n
}

// intern reads a string into s, unless s is that string already.
func (p *parser) intern(s *string) {
	if text := p.str(); string(text) != *s {
		*s = string(text)
	}
}

// str reads a string up to the quote.
func (p *parser) str() []byte {
	plain := p.plain()
	if len(plain) == len(p.rest) || p.rest[len(plain)] == '"' {
		p.rest = p.rest[len(plain):]
		return p.valid(plain)
	}
	p.text = append(p.text[:0], plain...)
	p.rest = p.rest[len(plain):]
	for p.wanted == "" && len(p.rest) > 0 && p.rest[0] != '"' {
		p.text = append(p.text, p.escape())
		plain := p.plain()
		p.text = append(p.text, plain...)
		p.rest = p.rest[len(plain):]
	}
	return p.valid(p.text)
}

func (p *parser) valid(text []byte) []byte {
	if !utf8.Valid(text) {
		p.fail("valid UTF-8")
	}
	return text
}

// plain is what comes before the next quote, backslash or control character.
func (p *parser) plain() []byte {
	for i, c := range p.rest {
		if c == '"' || c == '\\' || c < ' ' {
			return p.rest[:i]
		}
	}
	return p.rest
}

// escape reads one escape, of those that the encoder writes.
func (p *parser) escape() byte {
	const short, means = `"\nrt`, "\"\\\n\r\t"
	if len(p.rest) >= 2 && p.rest[0] == '\\' {
		for i := range len(short) {
			if p.rest[1] == short[i] {
				p.rest = p.rest[2:]
				return means[i]
			}
		}
	}
	p.want(`\u00`)
	if len(p.rest) < 2 || p.rest[0] != '0' && p.rest[0] != '1' || unhex(p.rest[1]) > 0xf {
		p.fail("an escape")
		return 0
	}
	c := (p.rest[0]-'0')<<4 | unhex(p.rest[1])
	p.rest = p.rest[2:]
	return c
}

func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	}
	return 0xff
}

func (p *parser) base64() []byte {
	plain := p.plain()
	text, err := base64.StdEncoding.Strict().AppendDecode(p.text[:0], plain)
	p.text = text
	if err != nil {
		p.fail("base64")
	}
	p.rest = p.rest[len(plain):]
	return text
}

// loss reads the object of a marker and the end of the line.
func (p *parser) loss() *record.Loss {
	object, ok := bytes.CutSuffix(p.rest, []byte("}"))
	var l struct {
		Lost      int64     `json:"lost"`
		Bytes     int64     `json:"bytes"`
		FirstSeq  uint64    `json:"first_seq"`
		LastSeq   uint64    `json:"last_seq"`
		FirstTime time.Time `json:"first_time"`
		LastTime  time.Time `json:"last_time"`
		Reason    string    `json:"reason"`
	}
	if err := json.Unmarshal(object, &l); !ok || err != nil {
		p.fail("a loss marker")
		return nil
	}
	return &record.Loss{
		Lost: l.Lost, Bytes: l.Bytes, FirstSeq: l.FirstSeq, LastSeq: l.LastSeq,
		FirstTime: l.FirstTime.UnixNano(), LastTime: l.LastTime.UnixNano(), Reason: l.Reason,
	}
}
