package convert

import (
	"strconv"
	"strings"
)

// smallestRecord is what a record is limited to unless the file says more: the source's default.
const smallestRecord = 16 << 20

// usualRecord is what a record was limited to where the old file says nothing of it.
const usualRecord = 1 << 20

// noCounterpart lists what means nothing to a consumer of today's protocol, and why.
var noCounterpart = []struct{ name, why string }{
	{"fluentd.consumer.threads", "none is needed: partitions are read at the same time; for more processors, start more processes of the group"},
	{"fluentd.consumer.batch.size", "an offset is committed when all before it is delivered, every second (commit-interval)"},
	{"consumer.timeout.ms", "nothing is polled"},
	{"auto.commit.enable", "the old program forced false; offsets follow delivery"},
	{"auto.commit.interval.ms", "the old program did not use it; offsets follow delivery"},
	{"zookeeper.session.timeout.ms", "ZooKeeper is not used; see session-timeout for the group"},
	{"zookeeper.connection.timeout.ms", "ZooKeeper is not used"},
	{"zookeeper.sync.time.ms", "ZooKeeper is not used"},
	{"fluentd.client.buffer.chunk.initial.bytes", "memory is taken as it is needed"},
	{"consumer.id", "members get their ids from the broker; see instance-id for static membership"},
	{"socket.timeout.ms", "the client's own"},
	{"socket.receive.buffer.bytes", "the kernel's own"},
	{"num.consumer.fetchers", "fetches follow the memory that there is"},
	{"queued.max.message.chunks", "what is read ahead is bounded in bytes"},
	{"rebalance.max.retries", "the broker's coordinator does it"},
	{"rebalance.backoff.ms", "the broker's coordinator does it"},
	{"refresh.leader.backoff.ms", "the client's own"},
	{"fetch.min.bytes", "the client's own"},
	{"fetch.wait.max.ms", "the client's own"},
	{"exclude.internal.topics", "internal topics are never read"},
	{"partition.assignment.strategy", "cooperative-sticky, with which a member that joins or leaves stops no other"},
	{"offsets.channel.backoff.ms", "the client's own"},
	{"offsets.channel.socket.timeout.ms", "the client's own"},
	{"offsets.commit.max.retries", "a commit that fails is made again"},
	{"dual.commit.enabled", "offsets are kept by Kafka alone"},
}

// kafka converts what says how Kafka is reached and where to begin.
func (c *kafkaFluentd) kafka() {
	zookeeper, found := c.get("zookeeper.connect")
	if !found {
		c.problem("zookeeper.connect is missing")
	}
	brokers, comment := c.o.Brokers, "from --brokers"
	if len(brokers) == 0 {
		brokers, comment = []string{"127.0.0.1:9092"}, "not in the old file, which knows ZooKeeper alone: "+shown("zookeeper.connect", zookeeper)
		c.warn("brokers: 127.0.0.1:9092 is a guess, the old file knows ZooKeeper alone; name brokers with --brokers HOST:PORT,…")
	}
	c.source = append(c.source, line{comment, "brokers: " + list(brokers)})

	group, found := c.get("group.id")
	if !found {
		c.problem("group.id is missing")
	}
	c.source = append(c.source, line{shown("group.id", group), "group: " + quoted(group)})
	if id, found := c.get("client.id"); found {
		c.source = append(c.source, line{shown("client.id", id), "client-id: " + quoted(id)})
	}
	c.start()
	c.offsets(group, zookeeper)
	if text, found := c.get("fetch.message.max.bytes"); found {
		n, err := strconv.ParseInt(text, 10, 64)
		switch {
		case err != nil || n <= 0:
			c.problem("%s: expected a number", shown("fetch.message.max.bytes", text))
		case n > smallestRecord:
			n = min(n, 128<<20)
			c.record = n
			c.source = append(c.source, line{shown("fetch.message.max.bytes", text), "max-record-size: " + strconv.FormatInt(n, 10)})
		default:
			c.record = n
			c.none = append(c.none, line{text: shown("fetch.message.max.bytes", text),
				comment: "such records are taken anyway (max-record-size, max-buffer-size); on a larger one the old program stopped, this one keeps its place in the dead letters"})
		}
	}
}

// start converts where a partition begins of which the group has committed nothing.
func (c *kafkaFluentd) start() {
	reset, found := c.get("auto.offset.reset")
	comment := shown("auto.offset.reset", reset)
	if !found {
		reset, comment = "largest", "auto.offset.reset was not set, and largest by default"
	}
	words := map[string]string{"smallest": "earliest", "earliest": "earliest", "largest": "latest", "latest": "latest"}
	start, known := words[reset]
	if !known {
		c.problem("%s: expected smallest or largest", shown("auto.offset.reset", reset))
	}
	c.source = append(c.source, line{comment + "; holds where the group has committed nothing", "start: " + start})

	if text, found := c.get("fluentd.consumer.from.beginning"); found {
		why := "it is the default here, too: the group goes on where it was"
		if strings.EqualFold(text, "true") {
			why = "not carried over: it made the old program read every topic again at each start"
			c.warn("fluentd.consumer.from.beginning=true is not carried over: it reads every topic from its beginning at each start, and stands so in the "+
				"file that comes with 0.3.1 and 0.3.2. To read all once more, reset the group's offsets (%s)",
				"kafka-consumer-groups.sh --reset-offsets --to-earliest --all-topics --execute")
		}
		c.none = append(c.none, line{text: shown("fluentd.consumer.from.beginning", text), comment: why})
	}
}

// offsets says what becomes of the group's position.
func (c *kafkaFluentd) offsets(group, zookeeper string) {
	storage, found := c.get("offsets.storage")
	if found && strings.EqualFold(storage, "kafka") {
		c.none = append(c.none, line{text: shown("offsets.storage", storage), comment: "offsets are kept by Kafka, and those of the group are taken over"})
		return
	}
	if found {
		c.none = append(c.none, line{text: shown("offsets.storage", storage), comment: "offsets are kept by Kafka from now on"})
	}
	c.none = append(c.none, line{text: shown("zookeeper.connect", zookeeper), comment: "ZooKeeper is not used; the offsets that are in it are at the end of this file"})
	begins := "begins at start"
	if reset := c.old["auto.offset.reset"]; reset != "smallest" && reset != "earliest" {
		begins = "begins at the end of each partition (start: latest), and does not read what came since the old program's last commit"
	}
	c.warn("the offsets of group %s are in ZooKeeper, out of reach: without help the group %s. The commands that set them on Kafka are at the "+
		"end of the configuration", oneLine(group), begins)
}

// moveOffsets is the text that says how to take the group's position from ZooKeeper to Kafka.
func (c *kafkaFluentd) moveOffsets() string {
	if storage := c.old["offsets.storage"]; strings.EqualFold(storage, "kafka") {
		return ""
	}
	brokers := "127.0.0.1:9092"
	if len(c.o.Brokers) > 0 {
		brokers = strings.Join(c.o.Brokers, ",")
	}
	zookeeper, group := oneLine(c.old["zookeeper.connect"]), oneLine(c.old["group.id"])
	hosts, root, _ := strings.Cut(zookeeper, "/")
	if root != "" {
		root = "/" + root
	}
	path := root + "/consumers/" + group + "/offsets"
	text := `
# Where the group was: the old program kept that in ZooKeeper, which Spillway does not speak to. To go on there, stop the
# old program, and before the first start of Spillway
#   1. read the offsets, one for each partition:
#        zookeeper-shell.sh ` + hosts + ` ls ` + path + `
#        zookeeper-shell.sh ` + hosts + ` get ` + path + `/TOPIC/PARTITION
#   2. write them into a file, one line for each partition:  TOPIC,PARTITION,OFFSET
#   3. set them on Kafka, while no member of the group runs:
#        kafka-consumer-groups.sh --bootstrap-server ` + brokers + ` --group ` + group + ` --reset-offsets --from-file offsets.csv --execute
# The old program committed what it had read, not what it had delivered: if it was killed, take somewhat smaller numbers.
`
	if c.o.To == ToElasticsearch {
		text += "# What is then read a second time is indexed a second time: the old program's documents have other ids.\n"
	}
	return text
}
