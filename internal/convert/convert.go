// Package convert writes files of "spillway run" from the configurations of programs that it replaces.
//
// KafkaFluentdConsumer takes the properties of kafka-fluentd-consumer 0.3.2. What a person reads is as much of the
// result as what a program reads: above each line stands the property that it comes from, what has no counterpart is
// listed with the reason, and what is different from before, or cannot be carried over, is a warning as well.
//
// With fluentd's configuration beside it, the output for Elasticsearch in that is converted, too: fluentd.go reads it,
// search.go and searchrest.go say what its options became.
//
// It reads the old file as the old program did (Java's properties; the consumer of Kafka 0.8), and does not guess: a
// pattern that cannot be carried is written as it was, so that "spillway check" stops at it, and is not replaced by one
// that means something else.
package convert

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/magiconair/properties"
)

// Destination is where the converted configuration delivers to.
type Destination string

// The choices of Destination.
const (
	ToFluentd       Destination = "fluentd"
	ToElasticsearch Destination = "elasticsearch"
)

// Options is what the old file cannot say.
type Options struct {
	// File is the old file's name, for comments and errors.
	File string
	To   Destination // empty is ToFluentd
	// Brokers are HOST:PORT of Kafka, of which the old file knows ZooKeeper alone. None means 127.0.0.1:9092 and a warning.
	Brokers []string
	// Hosts are the URLs of Elasticsearch, for ToElasticsearch. None means http://127.0.0.1:9200 and a warning.
	Hosts []string
	// Index is the template of index names there; empty means that of fluentd's output, or "logs-%Y.%m.%d".
	Index string
	// Fluentd is the name of a configuration of fluentd, and FluentdContent what is in it: for ToElasticsearch, whose sink
	// then does what its output did. Hosts and Index beat what it says. Empty is none.
	Fluentd        string
	FluentdContent []byte
}

// Result is a converted configuration.
type Result struct {
	YAML string
	// Warnings are one line each, for what is different from before or needs somebody's hand.
	Warnings []string
}

// kafkaFluentd is a conversion under way.
type kafkaFluentd struct {
	o        Options
	old      map[string]string
	used     map[string]bool
	warnings []string
	problems []string
	record   int64 // the largest, in bytes

	fluentd      *section // fluentd's configuration; nil is none
	fluentdError error    // what keeps it from being converted

	source, sink, route []line
	none                []line // Properties without a counterpart.
}

// line is a line of YAML and what it comes from.
type line struct{ comment, text string }

// KafkaFluentdConsumer converts the content of a file of properties. It fails on one with which the old program would
// not have started, and then says all that is wrong.
func KafkaFluentdConsumer(content []byte, o Options) (*Result, error) {
	if o.To == "" {
		o.To = ToFluentd
	}
	if o.To != ToFluentd && o.To != ToElasticsearch {
		return nil, fmt.Errorf("convert to %q: expected %s or %s", o.To, ToFluentd, ToElasticsearch)
	}
	// As java.util.Properties reads a file: ISO 8859-1 with \u escapes, and no expansion of ${…}.
	loader := properties.Loader{Encoding: properties.ISO_8859_1, DisableExpansion: true}
	p, err := loader.LoadBytes(content)
	if err != nil {
		return nil, fmt.Errorf("%s: expected Java properties: %w", o.File, err)
	}
	c := &kafkaFluentd{o: o, old: p.Map(), used: make(map[string]bool), record: usualRecord}
	if o.Fluentd != "" {
		if c.fluentd, err = parseFluentd(o.Fluentd, o.FluentdContent); err != nil {
			return nil, err
		}
	}
	c.kafka()
	c.topics()
	c.format()
	c.time()
	c.tag()
	c.destination()
	c.buffer()
	c.rest()
	if len(c.problems) > 0 {
		return nil, fmt.Errorf("%s: kafka-fluentd-consumer would not start with it:\n  %s", o.File, strings.Join(c.problems, "\n  "))
	}
	if c.fluentdError != nil {
		return nil, c.fluentdError
	}
	return &Result{YAML: c.yaml(), Warnings: c.warnings}, nil
}

// get returns a property and whether it is there, and notes that it was looked at.
func (c *kafkaFluentd) get(name string) (string, bool) {
	value, found := c.old[name]
	c.used[name] = true
	return value, found
}

func (c *kafkaFluentd) warn(format string, args ...any) {
	c.warnings = append(c.warnings, fmt.Sprintf(format, args...))
}

func (c *kafkaFluentd) problem(format string, args ...any) {
	c.problems = append(c.problems, fmt.Sprintf(format, args...))
}

// shown is a property as a comment names it.
func shown(name, value string) string { return name + "=" + oneLine(value) }

// oneLine makes a foreign text fit into a comment: on one line, and no escape sequence for a terminal.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\u0085' || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, text)
}

// without lists a property that has no counterpart.
func (c *kafkaFluentd) without(name, why string) {
	if value, found := c.get(name); found {
		c.none = append(c.none, line{text: shown(name, value), comment: why})
	}
}

// rest goes through the properties that mean nothing any more, and those that are not known.
func (c *kafkaFluentd) rest() {
	for _, one := range noCounterpart {
		c.without(one.name, one.why)
	}
	for _, name := range slices.Sorted(maps.Keys(c.old)) {
		if c.used[name] {
			continue
		}
		c.without(name, "not known; the old program passed what it did not know to Kafka's consumer")
		c.warn("%s: %s has no counterpart and was left out", c.o.File, shown(name, c.old[name]))
	}
}
