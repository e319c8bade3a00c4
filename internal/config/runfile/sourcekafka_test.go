package runfile

import (
	"strings"
	"testing"
	"time"
)

// kafkaFile is a file with a source and a sink of Kafka.
func kafkaFile(source, sink string) string {
	return "sources: {s: {type: kafka, brokers: [a, \"b:9093\"], " + source + "}}\nsinks: {k: {type: kafka, brokers: a, topic: \"x.{tag}\", " + sink + "}}\nroutes: [{match: \"**\", to: k}]\n"
}

func none(string) string { return "" }

func TestKafka(t *testing.T) {
	f, err := Parse("/etc/s.yaml", []byte(kafkaFile(
		"topics: [orders, clicks], start: 2026-11-20T08:00:00Z, time-key: ts, time-format: epoch-millis, fields: {key: k, offset: o}, sasl: scram-sha-256, username: u, password: \"${P}\", tls-ca-file: ca.pem",
		"message-key-field: id, compression: zstd")), none)
	if err != nil {
		t.Fatal(err)
	}
	s := f.Sources[0].Kafka
	if strings.Join(s.Brokers, " ") != "a:9092 b:9093" || s.Group != "spillway" || s.SessionTimeout != 10*time.Second || s.Isolation != ReadCommitted || s.Start != "" ||
		!s.StartAt.Equal(time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)) || s.Time != TimeField || s.Fields != (KafkaFields{Key: "k", Offset: "o"}) || !s.TLS ||
		s.CAFile != "/etc/ca.pem" || s.MaxRecordSize != 16<<20 || s.MaxAhead != 1_000_000 || s.Tag != "{topic}" {
		t.Errorf("%+v", s)
	}
	if k := f.Sinks[0].Kafka; k.Key != KeyField || k.Compress != KafkaZstd || k.Topic.String() != "x.{tag}" || k.InFlight != 1 {
		t.Errorf("%+v", k)
	}
	if secrets := f.Secrets(); len(secrets) != 1 || secrets[0].Variable != "P" {
		t.Errorf("%+v", secrets)
	}
	f, err = Parse("/etc/s.yaml", []byte(kafkaFile("topics-exclude: \"secret.*\"", "acks: leader")), none)
	if err != nil || f.Sources[0].Kafka.Patterns[0] != ".*" {
		t.Error(err)
	}
}

func TestKafkaProblems(t *testing.T) {
	for _, c := range []struct{ source, sink, want string }{
		{"group: g", "", "no topics; expected a source of type kafka with topics"},
		{"topics: a, topics-regexp: b", "", "topics-regexp beside topics"},
		{"topics: \"a.*\"", "", "patterns are for topics-regexp"},
		{"topics-regexp: \"(\"", "", "a regular expression as Go has them (missing closing )"},
		{"topics: a, start: yesterday", "", "earliest, latest, or a time"},
		{"topics: a, format: regexp", "", "format: regexp without pattern"},
		{"topics: a, format: regexp, pattern: x", "", "without named groups"},
		{"topics: a, time-key: t", "", "time-key and time-format"},
		{"topics: a, time-format: epoch", "", "time-format beside time: kafka"},
		{"topics: a, time-key: t, time-format: QQQ", "", "a pattern of time"},
		{"topics: a, time-key: t, time-format: epoch, format: text", "", "which has none"},
		{"topics: a, fields: {key: x, topic: x}", "", "one name for two fields"},
		{"topics: a, tag: \"{value}\"", "", "nothing else in braces"},
		{"topics: a, sasl: plain", "", "sasl: plain without username"},
		{"topics: a, username: u", "", "username beside sasl: none"},
		{"topics: a, tls: false, tls-ca-file: x", "", "tls-ca-file beside tls: false"},
		{"topics: a, session-timeout: 1ms", "", "a duration from 1s"},
		{"topics: a", "message-key: field", "message-key: field without message-key-field"},
		{"topics: a", "compression: brotli", "none, gzip, snappy, lz4 or zstd"},
	} {
		_, err := Parse("f", []byte(kafkaFile(c.source, c.sink)), none)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s; %s: %v; want %q", c.source, c.sink, err, c.want)
		}
	}
}
