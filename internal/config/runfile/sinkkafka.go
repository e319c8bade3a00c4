package runfile

import (
	"strings"
	"time"

	"github.com/spillway/spillway/internal/config/setting"
	"github.com/spillway/spillway/internal/template"
)

// KafkaKey is what a message's key is.
type KafkaKey string

// The choices of KafkaKey.
const (
	KeyRecord KafkaKey = "record" // that with which a record came from Kafka
	KeyTag    KafkaKey = "tag"
	KeyField  KafkaKey = "field" // a field of the record
	KeyNone   KafkaKey = "none"
)

// KafkaAcks says who must have a message before it counts as delivered.
type KafkaAcks string

// The choices of KafkaAcks.
const (
	AcksAll    KafkaAcks = "all"
	AcksLeader KafkaAcks = "leader"
)

// KafkaCompression is what batches are compressed with.
type KafkaCompression string

// The kinds of compression.
const (
	KafkaNone   KafkaCompression = "none"
	KafkaGzip   KafkaCompression = "gzip"
	KafkaSnappy KafkaCompression = "snappy"
	KafkaLZ4    KafkaCompression = "lz4"
	KafkaZstd   KafkaCompression = "zstd"
)

// KafkaSink writes messages to topics.
type KafkaSink struct {
	KafkaCluster

	Topic    *template.Template
	Raw      bool // text and JSON are written as they came
	TextKey  string
	Key      KafkaKey
	KeyField string

	Acks           KafkaAcks
	Compress       KafkaCompression
	MaxMessageSize int64 // bytes
	InFlight       int
	Linger         time.Duration
	FlushInterval  time.Duration
	// AnswerTimeout is after how long without an answer the destination counts as away.
	AnswerTimeout time.Duration
}

func kafkaSinkRows() []row[KafkaSink] {
	type sink = KafkaSink
	rows := clusterRows(func(s *sink) *KafkaCluster { return &s.KafkaCluster })
	return append(rows, []row[sink]{
		{Option: Option{Name: "topic", Takes: "template", Required: true,
			Help: "Names the topic, with {tag}, {tag[N]}, {date} and {hour} in it for those of a record; characters of a tag that no topic may have become _."},
			set: func(_ *parser, s *sink, v value) (expected string) {
				s.Topic, expected = checkedTemplate(v.Text, topicText)
				return expected
			}},
		{Option: Option{Name: "format", Kind: setting.Enum, Default: "json", Enum: []string{"json", "raw"},
			Help: "Says what a value is: json is an object on one line, raw is text and JSON as they came, and for all else the object."},
			set: func(_ *parser, s *sink, v value) string {
				s.Raw = v.Text == "raw"
				return ""
			}},
		{Option: Option{Name: "text-key", Default: "message", Help: "Is the key under which a line of text stands in a record."},
			set: text(func(s *sink) *string { return &s.TextKey })},
		{Option: Option{Name: "message-key", Kind: setting.Enum, Default: string(KeyRecord), Enum: []string{string(KeyRecord), string(KeyTag), string(KeyField), string(KeyNone)},
			Help: "Says what a message's key is, by which its partition is chosen as Java clients do: record is that with which it came from Kafka, field is that in message-key-field; a message without one goes to any partition."},
			set: text(func(s *sink) *KafkaKey { return &s.Key })},
		{Option: Option{Name: "message-key-field", Help: "Names the field of message-key: field, at top level."},
			set: text(func(s *sink) *string { return &s.KeyField })},
		{Option: Option{Name: "acks", Kind: setting.Enum, Default: string(AcksAll), Enum: []string{string(AcksAll), string(AcksLeader)},
			Help: "Says who must have a message: all replicas that are in sync, or the leader alone, which may lose it, and may have it twice."},
			set: text(func(s *sink) *KafkaAcks { return &s.Acks })},
		{Option: Option{Name: "compression", Kind: setting.Enum, Default: string(KafkaNone),
			Enum: []string{string(KafkaNone), string(KafkaGzip), string(KafkaSnappy), string(KafkaLZ4), string(KafkaZstd)},
			Help: "Compresses batches of messages."},
			set: text(func(s *sink) *KafkaCompression { return &s.Compress })},
		{Option: Option{Name: "max-message-size", Kind: setting.Size, Default: "976k",
			Help: "Limits one batch and one message; it must not be more than message.max.bytes of the brokers, or max.message.bytes of the topic; a larger message goes to the dead letters."},
			check: sizeBetween(64<<10, 256<<20), set: number(func(s *sink) *int64 { return &s.MaxMessageSize })},
		{Option: Option{Name: "in-flight", Kind: setting.Int, Default: "1",
			Help: "Limits requests of up to 1m that wait for their answers; with one, messages of a partition keep their order."},
			check: between(1, 16), set: number(func(s *sink) *int { return &s.InFlight })},
		{Option: Option{Name: "linger", Kind: setting.Duration, Default: "5ms",
			Help: "Is how long messages of a request wait for each other, to share a batch."},
			check: durationBetween(0, time.Minute), set: duration(func(s *sink) *time.Duration { return &s.Linger })},
		{Option: Option{Name: "flush-interval", Kind: setting.Duration, Default: "1s",
			Help: "Limits how long a record waits for a fuller request; it leaves sooner whenever less is in flight than may be."},
			check: setting.PositiveDuration, set: duration(func(s *sink) *time.Duration { return &s.FlushInterval })},
		{Option: Option{Name: "ack-timeout", Kind: setting.Duration, Default: "30s",
			Help: "Is after how long without an answer the destination counts as away; what was sent is not sent again."},
			check: setting.PositiveDuration, set: duration(func(s *sink) *time.Duration { return &s.AnswerTimeout })},
	}...)
}

// topicText is the check of a template's own text in the name of a topic.
func topicText(v setting.Value) string {
	if strings.ContainsFunc(v.Text, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._-", r)
	}) {
		return "letters, digits and . _ - beside {tag}, {tag[N]}, {date} and {hour}"
	}
	return ""
}

// kafkaSink checks what the options say together.
func (p *parser) kafkaSink(s *KafkaSink, at place, have given) {
	p.cluster(&s.KafkaCluster, at, have)
	if have.has("message-key-field") && !have.has("message-key") {
		s.Key = KeyField
	}
	if (s.Key == KeyField) != have.has("message-key-field") {
		p.problem(at.where, either(s.Key == KeyField, "message-key: field", "message-key-field"), "both or none", "")
	}
	if s.InFlight > 1 {
		p.warnings.add(have["in-flight"], "in-flight above 1: messages of a partition may change their order")
	}
}
