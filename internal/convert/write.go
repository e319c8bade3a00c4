package convert

import (
	"encoding/json"
	"net"
	"regexp"
	"strconv"
	"strings"
)

// destination converts where records go.
func (c *kafkaFluentd) destination() {
	text, found := c.get("fluentd.connect")
	comment := shown("fluentd.connect", text)
	if !found {
		text, comment = "localhost:24224", "fluentd.connect was not set, and localhost:24224 by default"
	}
	var servers []string
	for address := range strings.SplitSeq(text, ",") {
		address = strings.TrimSpace(address)
		if _, _, err := net.SplitHostPort(address); err != nil {
			c.problem("%s: expected HOST:PORT, found %q", shown("fluentd.connect", text), address)
		}
		servers = append(servers, address)
	}
	if c.o.To == ToElasticsearch {
		c.none = append(c.none, line{text: comment, comment: "fluentd is not used any more"})
		c.elasticsearch()
		return
	}
	c.sink = append(c.sink, line{"", "type: forward"})
	if len(servers) == 1 {
		c.sink = append(c.sink, line{comment, "servers: " + list(servers)})
	} else {
		c.sink = append(c.sink, line{comment + "; the first that can be reached has them all, as before", "servers:"}, line{"", "  - " + quoted(servers[0])})
		for _, address := range servers[1:] {
			c.sink = append(c.sink, line{"", "  - {address: " + quoted(address) + ", standby: true}"})
		}
	}
	c.sink = append(c.sink, line{"the old program always asked for acknowledgements, and did not wait for them before it committed", "ack: true"})
	if n, text, found := c.size("fluentd.client.buffer.chunk.retention.bytes"); found {
		c.sink = append(c.sink, line{shown("fluentd.client.buffer.chunk.retention.bytes", text), "max-chunk-size: " + strconv.FormatInt(min(max(n, 64<<10), 256<<20), 10)})
	}
}

func (c *kafkaFluentd) elasticsearch() {
	c.without("fluentd.client.buffer.chunk.retention.bytes", "belongs to fluentd's protocol")
	if c.fluentdSearch() {
		return
	}
	hosts, comment := c.o.Hosts, "from --hosts"
	if len(hosts) == 0 {
		hosts, comment = []string{"http://127.0.0.1:9200"}, "not in the old file"
		c.warn("hosts: http://127.0.0.1:9200 is a guess, the old file knows fluentd alone; name nodes with --hosts URL,…")
	}
	index, from := c.o.Index, "from --index"
	if index == "" {
		index, from = "logs-%Y.%m.%d", "was in fluentd's configuration: index_name, or logstash_prefix and logstash_dateformat"
	}
	c.sink = append(c.sink, line{"", "type: elasticsearch"}, line{comment, "hosts: " + list(hosts)}, line{from, "index: " + quoted(index)},
		line{"made of topic, partition and offset, so that what is read again changes nothing", "id: origin"})
	c.warn("what fluentd did between (filters, index names, templates) is not in the old file; compare its <match> with the sink search, or give its file with --fluentd")
}

// buffer converts what is held between.
func (c *kafkaFluentd) buffer() {
	n, text, found := c.size("fluentd.client.buffer.max.bytes")
	comment, limit := shown("fluentd.client.buffer.max.bytes", text)+"; here it bounds all that is held", strconv.FormatInt(n, 10)
	if !found {
		n, comment, limit = 64<<20, "fluentd.client.buffer.max.bytes was not set, and 128 MiB by default; this is enough, and bounds all that is held", "64m"
	}
	// A route holds records up to three sixteenths of its buffer.
	if enough := (c.record/3*16)>>20 + 1; n < enough<<20 {
		comment, limit = comment+"; a record of fetch.message.max.bytes needs so much", strconv.FormatInt(enough, 10)+"m"
	}
	c.route = append(c.route, line{comment, "max-buffer-size: " + limit})
	if dir, found := c.get("fluentd.consumer.backup.dir"); found {
		c.none = append(c.none, line{text: shown("fluentd.consumer.backup.dir", dir),
			comment: "not needed: what is not delivered is not committed, and is read again; mode: spill keeps it on the disk all the same"})
		c.warn("fluentd.consumer.backup.dir=%s: what the old program left there is not read; start it once more with fluentd up, and stop it when the directory is empty", oneLine(dir))
	}
}

// size reads a number of bytes. The old program passed over one that is none.
func (c *kafkaFluentd) size(name string) (n int64, text string, found bool) {
	text, found = c.get(name)
	if !found {
		return 0, "", false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil || n <= 0 {
		c.none = append(c.none, line{text: shown(name, text), comment: "no number; the old program passed over it, too"})
		c.warn("%s is no number of bytes and was left out", shown(name, text))
		return 0, text, false
	}
	return n, text, true
}

// yaml puts the parts together.
func (c *kafkaFluentd) yaml() string {
	var b strings.Builder
	b.WriteString("# Made by \"spillway convert kafka-fluentd-consumer\" from " + oneLine(c.o.File) + ". Each comment says what the line\n" +
		"# below it comes from. Try it with \"spillway check\", run it with \"spillway run\".\n\n")
	b.WriteString("sources:\n  kafka:\n    type: kafka\n")
	write(&b, "    ", c.source)
	sink := "fluentd"
	if c.o.To == ToElasticsearch {
		sink = "search"
	}
	b.WriteString("\nsinks:\n  " + sink + ":\n")
	write(&b, "    ", c.sink)
	b.WriteString("\nroutes:\n  - match: '**'\n    to: " + sink + "\n")
	write(&b, "    ", c.route)
	b.WriteString(`
# What is not as the format says went to the tag "failed", as {"message": TEXT}, and was lost where nothing matched that.
# It is kept now, with its bytes, topic, partition, offset, key and the reason: see "spillway deadletter list". For what
# watches that tag, this sends a copy there as well, with error, reason, topic, partition, offset and key:
#compat: {failed-tag: failed}
`)
	if len(c.none) > 0 {
		b.WriteString("\n# Without a counterpart:\n")
		for _, one := range c.none {
			b.WriteString("#   " + one.text + "\n#       " + one.comment + "\n")
		}
	}
	b.WriteString(c.moveOffsets())
	return b.String()
}

func write(b *strings.Builder, indent string, lines []line) {
	for _, one := range lines {
		if one.comment != "" {
			b.WriteString(indent + "# " + one.comment + "\n")
		}
		b.WriteString(indent + one.text + "\n")
	}
}

// plain are texts that YAML reads as they stand and takes for nothing else.
var plain = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9._/-]*$`)

// quoted is a text as YAML reads it.
func quoted(text string) string {
	switch lower := strings.ToLower(text); {
	case plain.MatchString(text) && lower != "true" && lower != "false" && lower != "null" && lower != "yes" && lower != "no" && lower != "on" && lower != "off" &&
		lower != "y" && lower != "n":
		return text
	case oneLine(text) == text:
		return "'" + strings.ReplaceAll(text, "'", "''") + "'"
	}
	b, err := json.Marshal(text) // YAML has JSON's strings.
	if err != nil {
		panic("BUG: marshalling a string: " + err.Error())
	}
	return string(b)
}

func list(texts []string) string {
	quotedTexts := make([]string, len(texts))
	for i, text := range texts {
		quotedTexts[i] = quoted(text)
	}
	return "[" + strings.Join(quotedTexts, ", ") + "]"
}
