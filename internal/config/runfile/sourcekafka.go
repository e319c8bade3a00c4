package runfile

import (
	"regexp"
	"slices"
	"time"

	"github.com/spillway/spillway/internal/config/setting"
)

// Isolation says which records of transactions are read.
type Isolation string

// The choices of Isolation.
const (
	ReadCommitted   Isolation = "read_committed"
	ReadUncommitted Isolation = "read_uncommitted"
)

// KafkaFormat is what the values of records are.
type KafkaFormat string

// The formats of values.
const (
	KafkaJSON    KafkaFormat = "json"    // one JSON object
	KafkaText    KafkaFormat = "text"    // bytes
	KafkaRegexp  KafkaFormat = "regexp"  // text, of which the named groups of a pattern make a map
	KafkaMsgpack KafkaFormat = "msgpack" // one msgpack map
)

// KafkaTime is what an event's time is taken from.
type KafkaTime string

// The choices of KafkaTime.
const (
	TimeKafka KafkaTime = "kafka" // the timestamp of the record
	TimeNow   KafkaTime = "now"   // when it was received
	TimeField KafkaTime = "field" // a field of the value
)

// Tombstone is what becomes of records without a value.
type Tombstone string

// The choices of Tombstone.
const (
	TombstoneDrop       Tombstone = "drop"
	TombstoneDelete     Tombstone = "delete"
	TombstoneDeadLetter Tombstone = "dead-letter"
)

// The words of KafkaSource.Start; else it is a time.
const (
	StartEarliest = "earliest"
	StartLatest   = "latest"
)

// KafkaSource reads topics as a member of a consumer group.
type KafkaSource struct {
	KafkaCluster

	// Topics are names, or Patterns are regular expressions for whole names; of these
	// Exclude are not taken.
	Topics, Patterns, Exclude []string
	Group, InstanceID         string
	SessionTimeout            time.Duration
	RebalanceWait             time.Duration
	CommitInterval            time.Duration
	Isolation                 Isolation
	// Start is StartEarliest, StartLatest, or "" where StartAt says when.
	Start   string
	StartAt time.Time
	Ack     Ack

	Format     KafkaFormat
	Pattern    string // of KafkaRegexp
	Time       KafkaTime
	TimeKey    string
	TimeFormat string // as timepattern reads it
	TimeZone   string // of times that do not say it
	TextKey    string // the key under which text stands, where it gets fields
	Fields     KafkaFields
	// Tag has {topic} and {partition} in it for these.
	Tag string

	Tombstone     Tombstone
	MaxRecordSize int64 // bytes
	MaxAhead      int   // records

	sizedAt string // where MaxRecordSize stands in the file
}

// KafkaFields are the keys under which parts of a record are put into its value; empty
// ones are not.
type KafkaFields struct{ Key, Headers, Topic, Partition, Offset, Timestamp string }

// kafkaSource checks what the options say together.
func (p *parser) kafkaSource(s *KafkaSource, at place, have given) {
	p.cluster(&s.KafkaCluster, at, have)
	s.sizedAt = have["max-record-size"]
	switch {
	case have.has("topics") && have.has("topics-regexp"):
		p.problem(have["topics-regexp"], "topics-regexp beside topics", "one of the two", "write the names of topics as alternatives: a|b")
	case have.has("topics") && have.has("topics-exclude"):
		p.problem(have["topics-exclude"], "topics-exclude beside topics", "topics-regexp, from which it takes away", "remove the names from topics")
	case !have.has("topics") && !have.has("topics-regexp") && !have.has("topics-exclude"):
		p.problem(at.where, "no topics", at.what+" with topics, topics-regexp or topics-exclude", "")
	case have.has("topics-exclude") && len(s.Patterns) == 0:
		s.Patterns = []string{".*"}
	}
	if (s.Format == KafkaRegexp) != have.has("pattern") && (s.Format == KafkaRegexp || have.has("format") || have.has("pattern")) {
		p.problem(at.where, either(have.has("pattern"), "pattern", "format: regexp"), "both or none", "")
	}
	if s.Pattern != "" {
		if re, err := regexp.Compile(s.Pattern); err == nil && !slices.ContainsFunc(re.SubexpNames(), func(n string) bool { return n != "" }) {
			p.problem(have["pattern"], "a pattern without named groups", "at least one, such as (?P<level>[A-Z]+)", "")
		}
	}
	p.kafkaTime(s, at, have)
	for _, name := range s.Fields.names() {
		if name == s.TimeKey && s.Time == TimeField {
			p.problem(have["fields"], "the field "+setting.Quote(name)+" that is time-key as well", "another name", "")
		}
	}
	if names := s.Fields.names(); len(slices.Compact(slices.Sorted(slices.Values(names)))) != len(names) {
		p.problem(have["fields"], "one name for two fields", "a name for each", "")
	}
}

func (f *KafkaFields) names() (all []string) {
	for _, name := range []string{f.Key, f.Headers, f.Topic, f.Partition, f.Offset, f.Timestamp} {
		if name != "" {
			all = append(all, name)
		}
	}
	return all
}

// kafkaTime holds the options of time to each other.
func (p *parser) kafkaTime(s *KafkaSource, at place, have given) {
	if have.has("time-key") && !have.has("time") {
		s.Time = TimeField
	}
	if s.Time != TimeField {
		if name, where, found := have.any("time-key", "time-format"); found {
			p.problem(where, name+" beside time: "+string(s.Time), "time: field, to which it belongs", "remove one of the two")
		}
		return
	}
	if !have.has("time-key") || !have.has("time-format") {
		p.problem(at.where, "the time of a field without its name and its pattern", "time-key and time-format", "")
	}
	if s.Format == KafkaText {
		p.problem(at.where, "the time of a field beside format: text, which has none", "format: json, regexp or msgpack", "")
	}
}
