package convert

import (
	"regexp"
	"slices"
	"strings"

	"github.com/spillway/spillway/internal/timepattern"
)

var (
	staticTopics = regexp.MustCompile(`^[A-Za-z0-9_|-]+$`)
	javaZone     = regexp.MustCompile(`[zZX]`)
	javaQuoted   = regexp.MustCompile(`'[^']*'`)
)

// javaNames are the letters of a Java pattern that stand for words, which are those of a language.
var javaNames = []struct {
	letters *regexp.Regexp
	what    string
}{
	{regexp.MustCompile(`M{3}|L{3}`), "months"}, {regexp.MustCompile(`E`), "weekdays"}, {regexp.MustCompile(`a`), "halves of the day"},
	{regexp.MustCompile(`z`), "time zones"},
}

// topics converts the pattern of topics, which Kafka's old consumer put right first: commas are alternatives, blanks
// and quotes around it go.
func (c *kafkaFluentd) topics() {
	text, found := c.get("fluentd.consumer.topics")
	if !found {
		c.problem("fluentd.consumer.topics is missing")
		return
	}
	pattern := strings.Trim(strings.ReplaceAll(strings.ReplaceAll(strings.TrimSpace(text), ",", "|"), " ", ""), `"'`)
	comment := shown("fluentd.consumer.topics", text)
	kind, found := c.get("fluentd.consumer.topics.pattern")
	if found {
		comment += ", " + shown("fluentd.consumer.topics.pattern", kind)
	}
	switch {
	case found && kind != "whitelist" && kind != "blacklist":
		c.problem("%s: expected whitelist or blacklist", shown("fluentd.consumer.topics.pattern", kind))
	case kind == "blacklist":
		c.carried("fluentd.consumer.topics", pattern, pattern)
		c.source = append(c.source, line{comment + ": all topics but these", "topics-exclude: " + quoted(pattern)})
	case staticTopics.MatchString(pattern):
		names := slices.DeleteFunc(strings.Split(pattern, "|"), func(name string) bool { return name == "" })
		c.source = append(c.source, line{comment, "topics: " + list(names)})
	default:
		c.carried("fluentd.consumer.topics", pattern, pattern)
		c.source = append(c.source, line{comment, "topics-regexp: " + quoted(pattern)})
	}
}

// format converts what a value is.
func (c *kafkaFluentd) format() {
	text, found := c.get("fluentd.record.format")
	if !found {
		text = "json"
	}
	switch text {
	case "json":
		comment := "fluentd.record.format was not set, and json by default"
		if found {
			comment = shown("fluentd.record.format", text)
		}
		c.source = append(c.source, line{comment, "format: json"})
		c.without("fluentd.record.pattern", "belongs to fluentd.record.format=regexp")
	case "regexp":
		pattern, found := c.get("fluentd.record.pattern")
		if !found {
			c.problem("fluentd.record.pattern is missing, which fluentd.record.format=regexp needs")
			return
		}
		c.source = append(c.source, line{shown("fluentd.record.format", text), "format: regexp"})
		translated := rubyToGo(pattern)
		c.carried("fluentd.record.pattern", pattern, translated)
		comment := shown("fluentd.record.pattern", pattern)
		if translated != pattern {
			comment += " (^ and $ stand at line breaks there, and (?m) lets the dot take them)"
		}
		c.source = append(c.source, line{comment, "pattern: " + quoted(translated)})
	default:
		c.problem("%s: expected json or regexp", shown("fluentd.record.format", text))
	}
}

// carried warns of each part of a pattern that Go's regular expressions do not have, or take for something else;
// translated is how it is written for Go.
func (c *kafkaFluentd) carried(name, pattern, translated string) {
	for _, part := range otherInGo(pattern) {
		c.warn("%s: %s means something else in Go's regular expressions; the pattern is written as it was: rewrite it", name, part)
	}
	if _, err := regexp.Compile(translated); err == nil {
		return
	}
	parts := notInGo(pattern)
	if len(parts) == 0 {
		parts = []string{"it as a whole"}
	}
	for _, part := range parts {
		c.warn("%s: Go's regular expressions cannot carry %s; the pattern is written as it was, and \"spillway check\" refuses it until it is rewritten", name, part)
	}
}

// time converts what an event's time is taken from.
func (c *kafkaFluentd) time() {
	field, found := c.get("fluentd.record.time.field")
	if !found {
		c.source = append(c.source, line{"fluentd.record.time.field was not set: the old program took the time of reading, which is now; Kafka's own does not " +
			"change when something is read again", "time: kafka"})
		c.without("fluentd.record.time.pattern", "belongs to fluentd.record.time.field")
		return
	}
	pattern, found := c.get("fluentd.record.time.pattern")
	if !found {
		c.problem("fluentd.record.time.pattern is missing, which fluentd.record.time.field needs")
		return
	}
	c.source = append(c.source,
		line{shown("fluentd.record.time.field", field) + "; where it has none Kafka's timestamp is taken, not the time of reading", "time: field"},
		line{"", "time-key: " + quoted(field)},
		line{shown("fluentd.record.time.pattern", pattern) + "; fractions of a second are kept", "time-format: " + quoted(pattern)})
	if _, err := timepattern.New(pattern, nil); err != nil {
		c.warn("fluentd.record.time.pattern: %v; it is written as it was, and \"spillway check\" refuses it until it is rewritten", err)
	}
	letters := javaQuoted.ReplaceAllString(pattern, "")
	c.namesOf(pattern, letters)
	if !javaZone.MatchString(letters) {
		c.source = append(c.source, line{"the old program took the zone of its host; put in which that was", "time-zone: UTC"})
		c.warn("fluentd.record.time.pattern=%s says no zone: the old program took that of its host, time-zone says UTC now", oneLine(pattern))
	}
}

// namesOf warns of the words in a pattern of time, the letters of which are given without what is quoted.
func (c *kafkaFluentd) namesOf(pattern, letters string) {
	var names []string
	for _, n := range javaNames {
		if n.letters.MatchString(letters) {
			names = append(names, n.what)
		}
	}
	if len(names) > 0 {
		c.warn("fluentd.record.time.pattern=%s has names of %s: the old program read them in the language of its host, which the old file does not say; here "+
			"they are English. Where they were in another, no time is read: records keep Kafka's timestamp, and are counted as untimed", oneLine(pattern), strings.Join(names, ", "))
	}
}

// tag converts the tag of the records.
func (c *kafkaFluentd) tag() {
	tag, hasTag := c.get("fluentd.tag")
	prefix, hasPrefix := c.get("fluentd.tag.prefix")
	switch {
	case hasTag && hasPrefix:
		c.problem("fluentd.tag and fluentd.tag.prefix are both there; expected one")
	case hasTag:
		c.source = append(c.source, line{shown("fluentd.tag", tag), "tag: " + quoted(tag)})
	case hasPrefix:
		c.source = append(c.source, line{shown("fluentd.tag.prefix", prefix), "tag: " + quoted(prefix+"{topic}")})
	default:
		c.problem("fluentd.tag or fluentd.tag.prefix is missing")
	}
	if strings.ContainsAny(tag+prefix, "{}") {
		c.warn("a tag with braces cannot be carried over: \"spillway check\" refuses it until it is changed")
	}
}
