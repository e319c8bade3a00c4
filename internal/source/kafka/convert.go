package kafka

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"time"
	"unicode/utf8"

	"github.com/tinylib/msgp/msgp"

	"github.com/spillway/spillway/internal/entry"
	"github.com/spillway/spillway/internal/jsonscan"
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/timepattern"
)

// Format is what values are.
type Format uint8

// The formats of values.
const (
	FormatJSON    Format = iota // one JSON object; nobody looks before a sink does, unless something is wanted of it
	FormatText                  // bytes
	FormatRegexp                // text, of which the named groups of a pattern make a map
	FormatMsgpack               // one msgpack map
)

// Tombstone is what becomes of records without a value.
type Tombstone uint8

// The fates of tombstones.
const (
	TombstoneDrop       Tombstone = iota // counted as dropped
	TombstoneDelete                      // handed over: the sink deletes what has the key
	TombstoneDeadLetter                  // kept as a dead letter
)

// Clock is what an event's time is taken from.
type Clock uint8

// The clocks.
const (
	ClockKafka Clock = iota // the timestamp of the record
	ClockNow                // when it was received
	ClockField              // a field of the value; the timestamp where that has none
)

// Convert says how values become messages.
type Convert struct {
	Format Format
	// Pattern is for FormatRegexp.
	Pattern   *regexp.Regexp
	Tombstone Tombstone
	Clock     Clock
	// TimeKey is the field of ClockField, TimePattern what is in it.
	TimeKey     string
	TimePattern *timepattern.Pattern
	// Fields are what of a record is put into its value, TextKey the key under which
	// text stands then.
	Fields  Fields
	TextKey string
}

// converter makes messages of records. It belongs to one goroutine; what it makes is
// valid until the next.
type converter struct {
	how    *Convert
	form   record.Form   // of values without fields
	not    ledger.Reason // why a value is refused that is not of the format
	keys   []string      // of fields
	scan   *jsonscan.Scanner
	value  []byte
	text   []byte
	groups []string // names of the pattern's groups
	now    int64
	noTime bool // the time of the last message could not be read
}

func newConverter(cfg *Config) (*converter, error) {
	c := &converter{how: &cfg.Convert, keys: cfg.Convert.Fields.names(), not: ledger.NotJSON}
	switch c.how.Format {
	case FormatJSON:
		c.form = record.FormJSON
	case FormatText:
		c.form = record.FormText
	case FormatRegexp:
		c.form, c.not = record.FormMap, ledger.NoMatch
		if c.how.Pattern == nil {
			return nil, errors.New("found no pattern, expected one with named groups")
		}
		c.groups = c.how.Pattern.SubexpNames()
	case FormatMsgpack:
		c.form, c.not = record.FormMap, ledger.NotMsgpack
	default:
		return nil, fmt.Errorf("found the format %d, expected one that there is", c.how.Format)
	}
	if c.how.Format != FormatJSON || len(c.keys) == 0 && c.how.Clock != ClockField {
		return c, nil
	}
	wanted := c.keys
	if c.how.Clock == ClockField {
		wanted = append([]string{c.how.TimeKey}, wanted...)
		for i, k := range c.keys {
			if k == c.how.TimeKey {
				return nil, fmt.Errorf("the field %q is to be both the time and what is put in: choose another name for field %d", k, i+1)
			}
		}
	}
	keys, err := jsonscan.NewKeys(wanted...)
	if err != nil {
		return nil, fmt.Errorf("the names of fields: %w", err)
	}
	c.scan = jsonscan.NewScanner(keys)
	return c, nil
}

// makes reports whether values become others.
func (c *converter) makes() bool { return len(c.keys) > 0 || c.how.Format == FormatRegexp }

// convert makes of a record's value that of the message, and gives it its time. An
// error says that it is not of the format. JSON is not looked at where nothing is
// wanted of it: the sink does, and what is none ends there as it is.
func (c *converter) convert(m *record.Message, p *partition) error {
	m.Form, c.noTime = c.form, false
	stamp := m.Time
	if c.how.Clock == ClockNow {
		m.Time = c.now
	}
	switch c.how.Format {
	case FormatJSON:
		if c.scan != nil {
			c.json(m, p, stamp)
		}
	case FormatText:
		if len(c.keys) > 0 {
			c.value = msgp.AppendMapHeader(c.value[:0], uint32(1+c.how.Fields.count(m)))
			c.value = appendText(msgp.AppendString(c.value, c.how.TextKey), m.Value)
			c.value = c.how.Fields.appendMap(c.value, m, p, stamp)
			m.Form, m.Value = record.FormMap, c.value
		}
	case FormatRegexp:
		return c.match(m, p, stamp)
	case FormatMsgpack:
		return c.msgpack(m, p, stamp)
	}
	return nil
}

// json puts fields into an object and takes the time from it. What is no object is
// left as it is.
func (c *converter) json(m *record.Message, p *partition, stamp int64) {
	if c.scan.Scan(m.Value) != nil {
		return
	}
	first := 0
	if c.how.Clock == ClockField {
		first = 1
		var text []byte
		if v := c.scan.Value(0); v != nil {
			text, c.text = jsonscan.Text(c.text, v)
		}
		c.time(m, text)
	}
	if len(c.keys) == 0 {
		return
	}
	for i := range c.keys {
		c.scan.Remove(first + i)
	}
	c.value = append(c.value[:0], '{')
	var members int
	c.value, members, _ = c.scan.AppendMembers(c.value)
	c.value = c.how.Fields.appendJSON(c.value, members > 0, m, p, stamp)
	m.Value = append(c.value, '}')
	c.value = m.Value
}

// match makes a map of the named groups.
func (c *converter) match(m *record.Message, p *partition, stamp int64) error {
	at := c.how.Pattern.FindSubmatchIndex(m.Value)
	if at == nil {
		return errors.New("the pattern does not match it")
	}
	n := uint32(0)
	for i, name := range c.groups {
		if name != "" && at[2*i] >= 0 && !c.taken(name) {
			n++
		}
	}
	value := m.Value
	c.value = msgp.AppendMapHeader(c.value[:0], n+uint32(c.how.Fields.count(m)))
	for i, name := range c.groups {
		if name == "" || at[2*i] < 0 {
			continue
		}
		text := value[at[2*i]:at[2*i+1]]
		if c.how.Clock == ClockField && name == c.how.TimeKey {
			c.time(m, text)
		}
		if !c.taken(name) {
			c.value = appendText(msgp.AppendString(c.value, name), text)
		}
	}
	c.value = c.how.Fields.appendMap(c.value, m, p, stamp)
	m.Value = c.value
	return nil
}

// taken reports whether a key is that of a field, which takes its place.
func (c *converter) taken(name string) bool {
	for _, k := range c.keys {
		if k == name {
			return true
		}
	}
	return false
}

// msgpack checks that a value is one map, and puts fields into it.
func (c *converter) msgpack(m *record.Message, p *partition, stamp int64) error {
	if len(m.Value) == 0 || m.Value[0]&0xf0 != 0x80 && m.Value[0] != 0xde && m.Value[0] != 0xdf {
		return errors.New("it is no msgpack map")
	}
	rest, err := entry.Skip(m.Value)
	if err != nil {
		return fmt.Errorf("it is no msgpack map: %w", err)
	}
	if len(rest) > 0 {
		return fmt.Errorf("found %d bytes behind its msgpack map, expected none", len(rest))
	}
	if c.how.Clock == ClockField {
		c.text = c.text[:0]
		if v, found := entry.Lookup(m.Value, c.how.TimeKey); found {
			if c.text, err = entry.AppendText(c.text, v); err != nil {
				return err
			}
		}
		c.time(m, c.text)
	}
	if len(c.keys) == 0 {
		return nil
	}
	return c.mapFields(m, p, stamp)
}

// mapFields puts fields into a map that was checked.
func (c *converter) mapFields(m *record.Message, p *partition, stamp int64) error {
	n, rest, err := msgp.ReadMapHeaderBytes(m.Value)
	if err != nil {
		return err
	}
	kept := uint32(0)
	c.text = c.text[:0]
	for range n {
		pair := rest
		isField := false
		if key, _, err := msgp.ReadMapKeyZC(pair); err == nil {
			isField = c.taken(string(key))
		}
		if rest, err = entry.Skip(rest); err != nil {
			return err
		}
		if rest, err = entry.Skip(rest); err != nil {
			return err
		}
		if !isField {
			c.text = append(c.text, pair[:len(pair)-len(rest)]...)
			kept++
		}
	}
	c.value = msgp.AppendMapHeader(c.value[:0], kept+uint32(c.how.Fields.count(m)))
	c.value = append(c.value, c.text...)
	c.value = c.how.Fields.appendMap(c.value, m, p, stamp)
	m.Value = c.value
	return nil
}

// time reads the event's time; where there is none, or it cannot be read, that of
// Kafka stays.
func (c *converter) time(m *record.Message, text []byte) {
	at, err := c.how.TimePattern.Time(bytes.TrimSpace(text), m.Time)
	if err != nil {
		c.noTime = true
		return
	}
	m.Time = at
}

// appendText appends text as what msgpack has for it: str, or bin where it is no UTF-8.
func appendText(dst, text []byte) []byte {
	if utf8.Valid(text) {
		return msgp.AppendStringFromBytes(dst, text)
	}
	return msgp.AppendBytes(dst, text)
}

// milli is a time in milliseconds.
func milli(ns int64) int64 { return ns / int64(time.Millisecond) }
