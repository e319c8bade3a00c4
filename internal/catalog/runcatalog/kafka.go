package runcatalog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spillway/spillway/internal/awsauth"
	"github.com/spillway/spillway/internal/config"
	"github.com/spillway/spillway/internal/config/runfile"
	"github.com/spillway/spillway/internal/kafkaclient"
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/run"
	"github.com/spillway/spillway/internal/source/kafka"
	"github.com/spillway/spillway/internal/statedir"
	"github.com/spillway/spillway/internal/timepattern"
	"github.com/spillway/spillway/internal/version"
)

// mechanisms are what the library calls those of the file.
var mechanisms = map[runfile.SASL]kafkaclient.Mechanism{
	runfile.SASLNone: kafkaclient.NoSASL, runfile.SASLPlain: kafkaclient.Plain, runfile.SASLScramSHA256: kafkaclient.ScramSHA256,
	runfile.SASLScramSHA512: kafkaclient.ScramSHA512, runfile.SASLOAuthBearer: kafkaclient.OAuthBearer, runfile.SASLAWSMSKIAM: kafkaclient.AWSMSKIAM,
}

// cluster says how brokers are reached. Secrets are read now, but for a token, which
// is read for each connection.
func (s *Surroundings) cluster(c *runfile.KafkaCluster) (*kafkaclient.Options, error) {
	o := &kafkaclient.Options{
		Brokers: c.Brokers, ClientID: c.ClientID, Software: "spillway", Version: version.String(), Mechanism: mechanisms[c.SASL], User: c.User,
	}
	var err error
	if o.Password, err = c.Password.Read(s.Getenv); err != nil {
		return nil, err
	}
	if c.Token.Set() {
		if _, err := c.Token.Read(s.Getenv); err != nil {
			return nil, err
		}
		o.Token = func(context.Context) (string, error) { return c.Token.Read(s.Getenv) }
	}
	if c.SASL == runfile.SASLAWSMSKIAM {
		if o.Keys, err = s.mskKeys(&c.AWS); err != nil {
			return nil, err
		}
	}
	if !c.TLS {
		return o, nil
	}
	o.TLS, err = clientTLS(&c.ClientTLS)
	return o, err
}

// mskKeys finds credentials of AWS, as the sinks of AWS do.
func (s *Surroundings) mskKeys(from *config.AWS) (func(context.Context) (kafkaclient.AWSKeys, error), error) {
	provide := s.Provider
	if provide == nil {
		provide = awsauth.Provider
	}
	var auth awsauth.Options
	if err := section(&auth, from); err != nil {
		return nil, err
	}
	provider, err := provide(auth)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (kafkaclient.AWSKeys, error) {
		found, err := provider.Retrieve(ctx)
		if err != nil {
			return kafkaclient.AWSKeys{}, err
		}
		return kafkaclient.AWSKeys{AccessKey: found.AccessKeyID, SecretKey: found.SecretAccessKey, SessionToken: found.SessionToken}, nil
	}, nil
}

var (
	kafkaFormats = map[runfile.KafkaFormat]kafka.Format{
		runfile.KafkaJSON: kafka.FormatJSON, runfile.KafkaText: kafka.FormatText, runfile.KafkaRegexp: kafka.FormatRegexp, runfile.KafkaMsgpack: kafka.FormatMsgpack,
	}
	kafkaClocks = map[runfile.KafkaTime]kafka.Clock{
		runfile.TimeKafka: kafka.ClockKafka, runfile.TimeNow: kafka.ClockNow, runfile.TimeField: kafka.ClockField,
	}
	kafkaTombstones = map[runfile.Tombstone]kafka.Tombstone{
		runfile.TombstoneDrop: kafka.TombstoneDrop, runfile.TombstoneDelete: kafka.TombstoneDelete, runfile.TombstoneDeadLetter: kafka.TombstoneDeadLetter,
	}
)

// kafkaSource is a source of Kafka, as a run sees it.
type kafkaSource struct {
	*kafka.Source
	memory int64
	// own has the tombstones that go nowhere, of the sources before it, too.
	own *ledger.Ledger
}

// InHeap implements run.Collected: blocks of batches are in the Go heap.
func (k kafkaSource) InHeap() int64 { return k.memory }

// Status implements run.Source.
func (k kafkaSource) Status() run.SourceStatus {
	c := k.Counts()
	st := run.SourceStatus{RecordsIn: c.Records, BytesIn: c.Bytes, Trouble: c.Trouble, Own: k.own.Balance(nil), Detail: c}
	st.Now = readNow(c.Partitions)
	if c.Since != nil {
		st.Since = *c.Since
	}
	return st
}

// readNow says what is read, and why nothing is where nothing is wrong.
func readNow(partitions []kafka.PartitionCounts) string {
	if len(partitions) == 0 {
		return "partitions: 0: the group is being joined, its other members have all, or no topic is there yet that is asked for"
	}
	var behind int64
	for _, p := range partitions {
		behind += p.Lag
	}
	return fmt.Sprintf("partitions: %d, offsets behind their ends: %d", len(partitions), behind)
}

func (s *Surroundings) kafkaSource(plan *runfile.Source, o run.SourceOptions) (run.Source, error) {
	p := plan.Kafka
	cluster, err := s.cluster(&p.KafkaCluster)
	if err != nil {
		return nil, err
	}
	cfg := kafka.Config{
		Name: plan.Name, Group: p.Group, InstanceID: p.InstanceID, Topics: p.Topics, Patterns: whole(p.Patterns), Exclude: whole(p.Exclude),
		SessionTimeout: p.SessionTimeout, RebalanceWait: p.RebalanceWait, ReadCommitted: p.Isolation == runfile.ReadCommitted,
		Start: kafkaStart(p), CommitEvery: p.CommitInterval, Tag: kafkaTags(p.Tag), MaxRecord: int(p.MaxRecordSize), MaxAhead: p.MaxAhead,
		Memory: o.Memory, Router: o.Router, Level: acks[p.Ack], Report: newKafkaReporter(s.Log, plan.Name).report,
	}
	cfg.Dial, cluster.TLS = kafka.Dial(cluster.TLS), nil // The source looks into its connections.
	if cfg.Client, err = cluster.Library(); err != nil {
		return nil, err
	}
	if s.StateDir != "" {
		cfg.Spool = filepath.Join(s.StateDir, statedir.Spool)
		if err := os.Mkdir(cfg.Spool, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("make the directory for large batches: %w", err)
		}
	}
	if cfg.Convert, err = kafkaConvert(p); err != nil {
		return nil, err
	}
	own := ledger.New()
	if before, ok := o.Instead.(kafkaSource); ok {
		cfg.Instead, own = before.Source, before.own
	}
	cfg.Dropped = func(tag string, records, bytes int64) {
		own.Open(tag).PassedOver(ledger.Tombstone, ledger.Count{Records: records, Bytes: bytes})
	}
	made, err := kafka.New(cfg)
	if err != nil {
		return nil, err
	}
	return kafkaSource{made, o.Memory, own}, nil
}

func kafkaConvert(p *runfile.KafkaSource) (kafka.Convert, error) {
	c := kafka.Convert{
		Format: kafkaFormats[p.Format], Clock: kafkaClocks[p.Time], Tombstone: kafkaTombstones[p.Tombstone], TimeKey: p.TimeKey, TextKey: p.TextKey,
		Fields: kafka.Fields(p.Fields),
	}
	var err error
	if p.Pattern != "" {
		if c.Pattern, err = regexp.Compile(p.Pattern); err != nil {
			return c, err
		}
	}
	if p.TimeFormat == "" {
		return c, nil
	}
	zone, err := time.LoadLocation(p.TimeZone)
	if err != nil {
		return c, err
	}
	c.TimePattern, err = timepattern.New(p.TimeFormat, zone)
	return c, err
}

func kafkaStart(p *runfile.KafkaSource) kafka.Start {
	switch p.Start {
	case runfile.StartEarliest:
		return kafka.Start{From: kafka.FromEarliest}
	case runfile.StartLatest:
		return kafka.Start{From: kafka.FromLatest}
	}
	return kafka.Start{From: kafka.FromTime, At: p.StartAt.UnixMilli()}
}

// whole has expressions match whole names.
func whole(expressions []string) (all []string) {
	for _, e := range expressions {
		all = append(all, "^(?:"+e+")$")
	}
	return all
}

// kafkaTags is what the template of a tag makes of a partition.
func kafkaTags(template string) func(string, int32) string {
	return func(topic string, partition int32) string {
		return strings.NewReplacer("{topic}", topic, "{partition}", strconv.Itoa(int(partition))).Replace(template)
	}
}

// kafkaReporter tells the log what goes wrong with a source of Kafka: of each kind and
// partition at most one line in ten seconds, with how many there were.
type kafkaReporter struct {
	log    *slog.Logger
	source string

	mu   sync.Mutex
	told map[kafkaEvent]*kind
}

// kafkaEvent tells events apart.
type kafkaEvent struct {
	reason, topic string
	partition     int32
}

// maxKafkaEvents is how many are told apart at once; beyond it all are new again.
const maxKafkaEvents = 1000

func newKafkaReporter(log *slog.Logger, source string) *kafkaReporter {
	return &kafkaReporter{log: log, source: source, told: make(map[kafkaEvent]*kind)}
}

func (r *kafkaReporter) report(e kafka.Event) {
	if errors.Is(e.Err, context.Canceled) {
		return // The source stops.
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	which := kafkaEvent{e.Reason, e.Topic, e.Partition}
	k := r.told[which]
	if k == nil {
		if len(r.told) >= maxKafkaEvents {
			clear(r.told)
		}
		k = &kind{}
		r.told[which] = k
	}
	k.since++
	if time.Since(k.at) < tellEvery {
		return
	}
	told := []any{"source", r.source, "reason", e.Reason, "times", k.since}
	if e.Topic != "" {
		told = append(told, "partition", fmt.Sprintf("%s/%d", e.Topic, e.Partition))
	}
	r.log.Warn("trouble with Kafka", append(told, "error", e.Err)...)
	k.at, k.since = time.Now(), 0
}
