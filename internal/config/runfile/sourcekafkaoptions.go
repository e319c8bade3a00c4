package runfile

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spillway/spillway/internal/config/setting"
	"github.com/spillway/spillway/internal/timepattern"
)

// kafkaSourceRows is the table of the source kafka.
func kafkaSourceRows() []row[KafkaSource] {
	type source = KafkaSource
	cluster := clusterRows(func(s *source) *KafkaCluster { return &s.KafkaCluster })
	return slices.Concat(cluster, kafkaReadRows(), kafkaValueRows(), kafkaLimitRows())
}

// kafkaReadRows are the options of what is read, and of what counts as read.
func kafkaReadRows() []row[KafkaSource] {
	type source = KafkaSource
	return []row[source]{
		{Option: Option{Name: "topics", Takes: "topic", List: true, Help: "Names the topics to read; one that is not there yet is read as soon as it is."},
			check: topic, set: appendTo(func(s *source) *[]string { return &s.Topics })},
		{Option: Option{Name: "topics-regexp", Takes: "pattern", List: true,
			Help: "Reads all topics whose whole name a regular expression matches, in place of topics; those of Kafka itself are never read."},
			check: expression, set: appendTo(func(s *source) *[]string { return &s.Patterns })},
		{Option: Option{Name: "topics-exclude", Takes: "pattern", List: true,
			Help: "Takes topics away whose whole name a regular expression matches: from topics-regexp, or, where that is unset, from all that there are."},
			check: expression, set: appendTo(func(s *source) *[]string { return &s.Exclude })},
		{Option: Option{Name: "group", Default: "spillway",
			Help: "Is the consumer group, which keeps the offsets; processes of one group share the partitions."},
			set: text(func(s *source) *string { return &s.Group })},
		{Option: Option{Name: "instance-id", Help: "Makes the process a static member, whose partitions wait for it while it is away no longer than session-timeout; each process needs one of its own."},
			set: text(func(s *source) *string { return &s.InstanceID })},
		{Option: Option{Name: "session-timeout", Kind: setting.Duration, Default: "10s",
			Help: "Gives the partitions of a process that is not heard of for this long to the others."},
			check: durationBetween(time.Second, 30*time.Minute), set: duration(func(s *source) *time.Duration { return &s.SessionTimeout })},
		{Option: Option{Name: "rebalance-wait", Kind: setting.Duration, Default: "5s",
			Help: "Limits how long a partition that goes to another process waits until what was read of it is settled; what is not by then is read again."},
			check: durationBetween(0, 25*time.Second), set: duration(func(s *source) *time.Duration { return &s.RebalanceWait })},
		{Option: Option{Name: "commit-interval", Kind: setting.Duration, Default: "1s",
			Help: "Is how often offsets are committed: of each partition that before which every record is delivered, a dead letter, or as far as ack says."},
			check: durationBetween(10*time.Millisecond, time.Hour), set: duration(func(s *source) *time.Duration { return &s.CommitInterval })},
		{Option: Option{Name: "isolation", Kind: setting.Enum, Default: string(ReadCommitted), Enum: []string{string(ReadCommitted), string(ReadUncommitted)},
			Help: "Says which records of transactions are read: those that were committed, or all."},
			set: text(func(s *source) *Isolation { return &s.Isolation })},
		{Option: Option{Name: "start", Takes: "earliest, latest or a time", Default: StartEarliest,
			Help: "Says where a partition begins of which the group has committed nothing: at its beginning, at its end, or at the first record that is not before a time such as 2026-11-20T08:00:00Z."},
			set: kafkaStart},
		{Option: Option{Name: "ack", Kind: setting.Enum, Enum: []string{string(AckMemory), string(AckKernel), string(AckPower), string(AckDelivered)},
			Help: "Says what a record has reached when its offset is committed: memory is the buffer, kernel survives the death of the process, power the loss of power, delivered means that every destination has it; unset means the durability of the route where that is kernel or power, else delivered."},
			set: text(func(s *source) *Ack { return &s.Ack })},
	}
}

// kafkaValueRows are the options of what becomes of a record.
func kafkaValueRows() []row[KafkaSource] {
	type source = KafkaSource
	return []row[source]{
		{Option: Option{Name: "format", Kind: setting.Enum, Default: string(KafkaJSON), Enum: []string{string(KafkaJSON), string(KafkaText), string(KafkaRegexp), string(KafkaMsgpack)},
			Help: "Says what a value is: a JSON object, text, text of which the named groups of pattern make a map, or a msgpack map; what is none goes to the dead letters."},
			set: text(func(s *source) *KafkaFormat { return &s.Format })},
		{Option: Option{Name: "pattern", Takes: "pattern", Help: "Is the regular expression of format: regexp, with groups such as (?P<level>[A-Z]+); it may match anywhere in the value."},
			check: expression, set: text(func(s *source) *string { return &s.Pattern })},
		{Option: Option{Name: "time", Kind: setting.Enum, Default: string(TimeKafka), Enum: []string{string(TimeKafka), string(TimeNow), string(TimeField)},
			Help: "Says what an event's time is: Kafka's timestamp, the time of receiving, or that in the field time-key, and where that has none Kafka's."},
			set: text(func(s *source) *KafkaTime { return &s.Time })},
		{Option: Option{Name: "time-key", Help: "Names the field of time: field, at top level."},
			set: text(func(s *source) *string { return &s.TimeKey })},
		{Option: Option{Name: "time-format", Takes: "pattern",
			Help: "Says how the time is written there: letters of Java's SimpleDateFormat such as yyyy-MM-dd'T'HH:mm:ssX, directives of strftime such as %d/%b/%Y:%H:%M:%S %z, or epoch, epoch-millis, epoch-micros or epoch-nanos."},
			set: func(_ *parser, s *source, v value) string {
				s.TimeFormat = v.Text
				return badTimeFormat(v.Text)
			}},
		{Option: Option{Name: "time-zone", Default: "UTC", Help: "Is the zone of times that do not say it, such as Europe/Berlin."},
			set: func(_ *parser, s *source, v value) string {
				s.TimeZone = v.Text
				if _, err := time.LoadLocation(v.Text); err != nil {
					return "the name of a time zone, such as Europe/Berlin, or UTC"
				}
				return ""
			}},
		{Option: Option{Name: "tag", Takes: "template", Default: "{topic}",
			Help: "Is the tag of the records, with {topic} and {partition} for those of a record."},
			check: kafkaTag, set: text(func(s *source) *string { return &s.Tag })},
		{Option: Option{Name: "fields", Takes: "map", Fields: options(kafkaFieldRows()),
			Help: "Puts parts of a record into its value, each under the name that is given; what the value has under that name is replaced."},
			read: func(p *parser, s *source, n node) { s.Fields, _ = readMap(p, n, "fields", kafkaFieldRows()) }},
		{Option: Option{Name: "text-key", Default: "message", Help: "Is the key under which text stands in a record that gets fields."},
			set: text(func(s *source) *string { return &s.TextKey })},
		{Option: Option{Name: "tombstone", Kind: setting.Enum, Default: string(TombstoneDrop), Enum: []string{string(TombstoneDrop), string(TombstoneDelete), string(TombstoneDeadLetter)},
			Help: "Says what becomes of records without a value: drop counts them, delete has the sink delete what has their key as id, dead-letter keeps them."},
			set: text(func(s *source) *Tombstone { return &s.Tombstone })},
	}
}

func kafkaLimitRows() []row[KafkaSource] {
	type source = KafkaSource
	return []row[source]{
		{Option: Option{Name: "max-record-size", Kind: setting.Size, Default: "16m",
			Help: "Limits a record; of a larger one the dead letters get the place where it is, and likewise of one that is larger than three sixteenths of its route's max-buffer-size."},
			check: sizeBetween(1<<10, 128<<20), set: number(func(s *source) *int64 { return &s.MaxRecordSize })},
		{Option: Option{Name: "max-ahead", Kind: setting.Int, Default: "1000000",
			Help: "Limits how many records past the first that is not settled are read of a partition."},
			check: between(1000, 1_000_000_000), set: number(func(s *source) *int { return &s.MaxAhead })},
	}
}

func kafkaFieldRows() []row[KafkaFields] {
	of := func(name, help string, field func(*KafkaFields) *string) row[KafkaFields] {
		return row[KafkaFields]{Option: Option{Name: name, Help: help}, set: text(field)}
	}
	return []row[KafkaFields]{
		of("key", "Gets the record's key, as text, or as base64 where it is no UTF-8.", func(f *KafkaFields) *string { return &f.Key }),
		of("headers", "Gets its headers, as a map.", func(f *KafkaFields) *string { return &f.Headers }),
		of("topic", "Gets the name of its topic.", func(f *KafkaFields) *string { return &f.Topic }),
		of("partition", "Gets the number of its partition.", func(f *KafkaFields) *string { return &f.Partition }),
		of("offset", "Gets its offset.", func(f *KafkaFields) *string { return &f.Offset }),
		of("timestamp", "Gets Kafka's timestamp, in milliseconds since 1970.", func(f *KafkaFields) *string { return &f.Timestamp }),
	}
}

// topic keeps the name of a topic to what Kafka takes.
func topic(v setting.Value) string {
	for _, r := range v.Text {
		if !setting.Alphanumeric(r) && r != '.' && r != '_' && r != '-' {
			return "the name of a topic, of letters, digits and . _ -; patterns are for topics-regexp"
		}
	}
	if len(v.Text) > 249 || v.Text == "." || v.Text == ".." {
		return "the name of a topic, of at most 249 bytes"
	}
	return ""
}

// expression keeps to what Go's regular expressions take.
func expression(v setting.Value) string {
	if _, err := regexp.Compile(v.Text); err != nil {
		return "a regular expression as Go has them (" + strings.TrimPrefix(err.Error(), "error parsing regexp: ") + ")"
	}
	return ""
}

func kafkaTag(v setting.Value) string {
	rest := strings.NewReplacer("{topic}", "", "{partition}", "").Replace(v.Text)
	if strings.ContainsAny(rest, "{}") {
		return "a tag with nothing else in braces than {topic} and {partition}"
	}
	return tag(v)
}

func kafkaStart(_ *parser, s *KafkaSource, v value) string {
	switch v.Text {
	case StartEarliest, StartLatest:
		s.Start = v.Text
		return ""
	}
	at, err := time.Parse(time.RFC3339, v.Text)
	if err != nil {
		return "earliest, latest, or a time such as 2026-11-20T08:00:00Z"
	}
	s.Start, s.StartAt = "", at
	return ""
}

func badTimeFormat(text string) string {
	_, err := timepattern.New(text, nil)
	if err != nil {
		return "a pattern of time (" + err.Error() + ")"
	}
	return ""
}
