package parts

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/spillway/spillway/test/launcher"
)

// Kafka is the broker's name in skips and failures.
const Kafka = "kafka"

// The versions of the broker that are fetched; the first is what KafkaOptions have by default.
const (
	Kafka4 = "4.3.0"
	Kafka3 = "3.9.1"
)

// KafkaVersions are those that a test of the source or the destination runs against: the newer one, and
// both in the whole size.
func KafkaVersions() []string {
	if os.Getenv("SPILLWAY_LONG") == "1" {
		return []string{Kafka4, Kafka3}
	}
	return []string{Kafka4}
}

// EachKafka runs a test against a broker of each of these versions.
func EachKafka(t *testing.T, try func(t *testing.T, broker *KafkaBroker)) {
	for _, version := range KafkaVersions() {
		t.Run(version, func(t *testing.T) {
			Need(t, Kafka)
			try(t, StartKafka(t, KafkaOptions{Version: version}))
		})
	}
}

// kafkaLogging is the library that writes the broker's log, by the broker's version.
var kafkaLogging = map[string]string{
	Kafka4: "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4",
	Kafka3: "org.slf4j:slf4j-reload4j:1.7.36",
}

// The user of the listeners with SASL, by PLAIN and by SCRAM-SHA-256.
const (
	KafkaUser     = "alice"
	KafkaPassword = "alice-secret"
)

// KafkaOptions say which broker is wanted.
type KafkaOptions struct {
	Version string // Kafka4 unless set
	// Settings are further lines of server.properties, or others in the place of ours.
	Settings map[string]string
	// Tokens lets users in by OAUTHBEARER, too, at the listeners with SASL.
	Tokens bool
}

// KafkaBroker is a broker, in one process with its controller. It listens at four addresses: without
// anything, with SASL (PLAIN, SCRAM-SHA-256), with TLS, and with both. It checks access: whoever comes
// without SASL may do everything, and the user whatever no rule denies.
type KafkaBroker struct {
	*Process
	// Addr and the others are host:port, and stay the same over a restart.
	Addr, SASLAddr, TLSAddr, SASLTLSAddr string
	// Certificates are those of the listeners with TLS.
	Certificates *Certificates
	// Tokens makes tokens for OAUTHBEARER; nil where the broker takes none.
	Tokens *TokenIssuer

	t       testing.TB
	dir     string
	java    string
	lib     string
	version string
	starts  int
}

// StartKafka starts a broker on free ports, with a directory of its own. The first start on a machine
// fetches it, by Maven, into the cache directory. Topics are not made by themselves.
func StartKafka(t testing.TB, options KafkaOptions) *KafkaBroker {
	t.Helper()
	broker, err := startKafka(t, options)
	need(t, Kafka, err)
	return broker
}

func startKafka(t testing.TB, options KafkaOptions) (*KafkaBroker, error) {
	t.Helper()
	b := &KafkaBroker{t: t, version: options.Version}
	if b.version == "" {
		b.version = Kafka4
	}
	var err error
	if b.java, err = lookPath("default-jdk-headless", "java"); err != nil {
		return nil, err
	}
	if b.lib, err = jars(Kafka+"-"+b.version, "org.apache.kafka:kafka_2.13:"+b.version, kafkaLogging[b.version]); err != nil {
		return nil, err
	}
	b.dir = WorkDir(t, Kafka)
	if b.Certificates, err = makeCertificates(b.dir); err != nil {
		return nil, err
	}
	further := maps.Clone(options.Settings)
	if options.Tokens {
		if b.Tokens, err = newTokenIssuer(b.dir); err != nil {
			return nil, err
		}
		further = b.Tokens.settings()
		maps.Copy(further, options.Settings)
	}
	if err := b.configure(further); err != nil {
		return nil, err
	}
	// A cluster's id is any UUID; that of the user is made with the directory, since he is among the metadata.
	if err := b.tool("kafka.tools.StorageTool", "format", "-t", "4L6g3nShT-eMCtK--X86sw", "-c", "server.properties",
		"--add-scram", fmt.Sprintf("SCRAM-SHA-256=[name=%s,password=%s]", KafkaUser, KafkaPassword)); err != nil {
		return nil, err
	}
	return b, b.run()
}

// configure writes the broker's files.
func (b *KafkaBroker) configure(further map[string]string) error {
	ports, err := launcher.FreePorts(5)
	if err != nil {
		return err
	}
	address := func(i int) string { return fmt.Sprintf("127.0.0.1:%d", ports[i]) }
	b.Addr, b.SASLAddr, b.TLSAddr, b.SASLTLSAddr = address(0), address(1), address(2), address(3)
	advertised := fmt.Sprintf("PLAINTEXT://%s,SASLPT://%s,SSL://%s,SASLSSL://%s", b.Addr, b.SASLAddr, b.TLSAddr, b.SASLTLSAddr)
	settings := map[string]string{
		"node.id": "1", "process.roles": "broker,controller", "log.dirs": "data",
		"controller.quorum.voters":       "1@" + address(4),
		"controller.listener.names":      "CONTROLLER",
		"inter.broker.listener.name":     "PLAINTEXT",
		"listeners":                      advertised + ",CONTROLLER://" + address(4),
		"advertised.listeners":           advertised,
		"listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASLPT:SASL_PLAINTEXT,SSL:SSL,SASLSSL:SASL_SSL",

		"auto.create.topics.enable":    "false",
		"offsets.topic.num.partitions": "4", "offsets.topic.replication.factor": "1",
		"transaction.state.log.num.partitions": "4", "transaction.state.log.replication.factor": "1",
		"transaction.state.log.min.isr":    "1",
		"group.initial.rebalance.delay.ms": "0",
		// A broker that was killed may come back within seconds.
		"broker.session.timeout.ms": "2000", "broker.heartbeat.interval.ms": "500",
		// Tests of clients that are given up want that to take less than the default's least of 6 s.
		"group.min.session.timeout.ms": "1000",

		"authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
		"super.users":           "User:ANONYMOUS", "allow.everyone.if.no.acl.found": "true",

		"sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256",
		"ssl.keystore.type":       "PEM", "ssl.keystore.location": "keystore.pem",
		"ssl.truststore.type": "PEM", "ssl.truststore.location": "ca.pem",
		// Who shows a certificate must show a good one.
		"ssl.client.auth": "requested",
	}
	for _, listener := range []string{"saslpt", "saslssl"} {
		prefix := "listener.name." + listener + "."
		settings[prefix+"plain.sasl.jaas.config"] = fmt.Sprintf(
			"org.apache.kafka.common.security.plain.PlainLoginModule required user_%s=%q;", KafkaUser, KafkaPassword)
		settings[prefix+"scram-sha-256.sasl.jaas.config"] = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
	}
	maps.Copy(settings, further)
	var lines strings.Builder
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&lines, "%s=%s\n", key, settings[key])
	}
	return errors.Join(
		os.WriteFile(filepath.Join(b.dir, "server.properties"), []byte(lines.String()), 0o600),
		os.WriteFile(filepath.Join(b.dir, "log4j2.properties"), []byte(log4j2), 0o600),
		os.WriteFile(filepath.Join(b.dir, "log4j.properties"), []byte(log4j1), 0o600),
		join(filepath.Join(b.dir, "keystore.pem"), b.Certificates.Key, b.Certificates.Certificate, b.Certificates.CA),
	)
}

// The broker's log says what went wrong. Each version reads the file of its own library.
const (
	log4j2 = `shutdownHook = disable
status = ERROR
appender.c.type = Console
appender.c.name = C
appender.c.layout.type = PatternLayout
appender.c.layout.pattern = %d %p %m (%c)%n
rootLogger.level = WARN
rootLogger.appenderRef.c.ref = C
`
	log4j1 = `log4j.rootLogger=WARN, C
log4j.appender.C=org.apache.log4j.ConsoleAppender
log4j.appender.C.layout=org.apache.log4j.PatternLayout
log4j.appender.C.layout.ConversionPattern=%d %p %m (%c)%n
`
)

// join writes several files into one.
func join(path string, from ...string) error {
	var all []byte
	for _, one := range from {
		text, err := os.ReadFile(one)
		if err != nil {
			return err
		}
		all = append(all, text...)
	}
	return os.WriteFile(path, all, 0o600)
}

// command is a call of a class of the broker, in its directory.
func (b *KafkaBroker) command(class string, args ...string) *exec.Cmd {
	flags := javaFlags(512)
	if b.Tokens != nil {
		flags = append(flags, b.Tokens.flags()...)
	}
	cmd := exec.Command(b.java, slices.Concat(flags, []string{
		"-Dlog4j2.configurationFile=log4j2.properties", "-Dlog4j.configuration=file:log4j.properties",
		"-cp", filepath.Join(b.lib, "*"), class,
	}, args)...)
	cmd.Dir = b.dir
	return cmd
}

func (b *KafkaBroker) tool(class string, args ...string) error {
	cmd := b.command(class, args...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", class, strings.Join(args, " "), err, out)
	}
	return nil
}

// run starts the broker in its directory and waits until it can be used: until it names itself among
// the brokers, since a port is open before that.
func (b *KafkaBroker) run() error {
	b.starts++
	process, err := startGroup(b.t, fmt.Sprintf("%s-%d", Kafka, b.starts), b.dir, b.command("kafka.Kafka", "server.properties"))
	if err != nil {
		return err
	}
	b.Process = process
	client, err := kgo.NewClient(kgo.SeedBrokers(b.Addr))
	if err != nil {
		return fmt.Errorf("make a client of %s: %w", b.Addr, err)
	}
	defer client.Close()
	return process.ready(func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, askAtMost)
		defer cancel()
		brokers, err := kadm.NewClient(client).ListBrokers(ctx)
		if err == nil && len(brokers) == 0 {
			err = errors.New("it names no broker yet")
		}
		return err
	})
}

// Restart stops the broker, unless it has ended, and starts it again with what it holds, at the same
// addresses. It returns when the broker can be used.
func (b *KafkaBroker) Restart() error {
	if err := b.Stop(); err != nil {
		return err
	}
	return b.run()
}

// Client returns a client of the listener without anything, closed at the test's end. A topic that was
// just made is found soon (by default a client waits 5 s before it asks again).
func (b *KafkaBroker) Client(t testing.TB, options ...kgo.Opt) *kgo.Client {
	t.Helper()
	options = append([]kgo.Opt{kgo.SeedBrokers(b.Addr), kgo.MetadataMinAge(metadataAge)}, options...)
	client, err := kgo.NewClient(options...)
	if err != nil {
		t.Fatalf("make a client of %s: %v", b.Addr, err)
	}
	t.Cleanup(client.Close)
	return client
}

// CreateTopic makes a topic; settings are those of the topic (`retention.ms`), and may be nil.
func (b *KafkaBroker) CreateTopic(t testing.TB, topic string, partitions int, settings map[string]string) {
	t.Helper()
	configs := make(map[string]*string)
	for key, value := range settings {
		configs[key] = &value
	}
	if _, err := kadm.NewClient(b.Client(t)).CreateTopic(t.Context(), int32(partitions), 1, configs, topic); err != nil {
		t.Fatalf("make topic %s: %v", topic, err)
	}
}
