package runcatalog

import (
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/spillway/spillway/internal/catalog"
	"github.com/spillway/spillway/internal/config/runfile"
	"github.com/spillway/spillway/internal/sink/kafka"
)

var (
	kafkaKeys = map[runfile.KafkaKey]kafka.Key{
		runfile.KeyRecord: kafka.KeyRecord, runfile.KeyTag: kafka.KeyTag, runfile.KeyField: kafka.KeyField, runfile.KeyNone: kafka.KeyNone,
	}
	kafkaCompressions = map[runfile.KafkaCompression][]kgo.CompressionCodec{
		runfile.KafkaNone: nil, runfile.KafkaGzip: {kgo.GzipCompression()}, runfile.KafkaSnappy: {kgo.SnappyCompression()},
		runfile.KafkaLZ4: {kgo.Lz4Compression()}, runfile.KafkaZstd: {kgo.ZstdCompression()},
	}
)

func (s *Surroundings) kafkaSink(p *runfile.KafkaSink) (*catalog.Destination, error) {
	cluster, err := s.cluster(&p.KafkaCluster)
	if err != nil {
		return nil, err
	}
	o := kafka.Options{
		Topic: p.Topic, TextKey: p.TextKey, Key: kafkaKeys[p.Key], KeyField: p.KeyField, LeaderAlone: p.Acks == runfile.AcksLeader,
		Compression: kafkaCompressions[p.Compress], MaxMessage: int(p.MaxMessageSize), InFlight: p.InFlight, Linger: p.Linger,
	}
	if p.Raw {
		o.Format = kafka.Raw
	}
	if o.Client, err = cluster.Library(); err != nil {
		return nil, err
	}
	made, err := kafka.New(o)
	if err != nil {
		return nil, err
	}
	return &catalog.Destination{
		Name: "kafka " + strings.Join(p.Brokers, ",") + " " + p.Topic.String(), Sink: made, FlushInterval: p.FlushInterval, AttemptTimeout: p.AnswerTimeout,
	}, nil
}
