package catalog

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	protocol "github.com/spillway/spillway/forward"
	"github.com/spillway/spillway/internal/config"
	"github.com/spillway/spillway/internal/entry"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink/forward"
	"github.com/spillway/spillway/internal/tag"
)

// fluentdSendBuffer caps what the kernel holds for a server that does not read,
// which is memory beside the limit.
const fluentdSendBuffer = 256 << 10

// fluentdMaxChunk bounds a message, which is made of lines in the heap.
const fluentdMaxChunk = 1 << 20

// openFluentd makes the destination of Docker's fluentd driver: its records, to
// one server, in order.
func openFluentd(r *config.Resolved, s Surroundings) (*Destination, error) {
	o := r.Fluentd()
	made, warnings, err := fluentdRecord(o, r.Container(), s.Run)
	if err != nil {
		return nil, err
	}
	dial := protocol.DialOptions{
		Network: o.Network, Address: o.Address, WriteTimeout: o.WriteTimeout, AckTimeout: o.ReadTimeout, SendBuffer: fluentdSendBuffer,
	}
	if o.Network == "tls" {
		dial.Network, dial.TLS = "tcp", &tls.Config{MinVersion: tls.VersionTLS12}
	}
	lines := fluentdLines(made.Fields, o.WholeSeconds)
	to, err := forward.New(forward.Options{
		Servers: []forward.Server{{Dial: dial, Weight: 1}}, NoAck: !o.Ack, MaxConnectionAge: o.Reconnect,
		// With one request under way records stay in order, as they do with Docker.
		InFlight:     1,
		MaxChunk:     fluentdMaxChunk,
		Tag:          func(*record.Stream) string { return made.Tag },
		Lines:        lines.of,
		LineOverhead: lines.overhead,
	})
	if err != nil {
		return nil, err
	}
	return &Destination{
		Name: "fluentd " + o.Address + " " + made.Tag, Sink: to, Warnings: warnings, record: made,
		AttemptTimeout: cmp.Or(o.WriteTimeout, protocol.DefaultWriteTimeout) + cmp.Or(o.ReadTimeout, protocol.DefaultAckTimeout) + time.Second,
	}, nil
}

// sourceLines are the forms of lines by their stream: the fields of the
// container, and the stream as source.
type sourceLines struct {
	fields   []entry.Field
	whole    bool
	forms    [len(outputs)]*entry.Lines
	overhead int
}

// outputs are the streams of a container and of a command.
var outputs = [...]string{"stdout", "stderr"}

func fluentdLines(fields map[string]string, whole bool) *sourceLines {
	l := &sourceLines{whole: whole}
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		l.fields = append(l.fields, entry.Field{Key: key, Value: fields[key]})
	}
	l.overhead = l.form("a stream of a name that is longer than most").Overhead()
	for i, name := range outputs {
		l.forms[i] = l.form(name)
	}
	return l
}

func (l *sourceLines) form(stream string) *entry.Lines {
	return entry.NewLines("log", l.whole, append(slices.Clone(l.fields), entry.Field{Key: "source", Value: stream})...)
}

// of is the form of a stream's lines. Another stream is of a damaged disk.
func (l *sourceLines) of(s *record.Stream) *entry.Lines {
	if i := slices.Index(outputs[:], s.Name); i >= 0 {
		return l.forms[i]
	}
	return l.form(s.Name)
}

// fluentdRecord is what all records of the container have in common. Of a logger
// that is gone it is what was made then.
func fluentdRecord(o config.Fluentd, c config.Container, command string) (*config.FluentdRecord, []string, error) {
	if o.Made != nil {
		return o.Made, nil, nil
	}
	c, warnings := withEnvironment(o.Env, o.EnvRegex, c)
	info := containerInfo(c)
	fields, err := tag.Extra(info, tag.Selection{
		Labels: strings.Join(o.Labels, ","), LabelsRegex: o.LabelsRegex, Env: strings.Join(o.Env, ","), EnvRegex: o.EnvRegex,
	})
	if err != nil {
		return nil, nil, err
	}
	// As with Docker, a label of such a name does not hide what the container is.
	delete(fields, "log")
	delete(fields, "source")
	name := command
	if c.ID != "" {
		fields["container_id"], fields["container_name"] = c.ID, c.Name
		name = info.ID()
	}
	made := &config.FluentdRecord{Tag: cmp.Or(name, "spillway"), Fields: fields}
	if o.Tag == "" {
		return made, warnings, nil
	}
	if made.Tag, err = tag.Render(o.Tag, info); err != nil {
		return nil, nil, fmt.Errorf("tag records by %q: %w", o.Tag, err)
	}
	if made.Tag == "" {
		return nil, nil, fmt.Errorf("tag records by %q: it gives nothing, and every record needs a tag; change the tag", o.Tag)
	}
	return made, warnings, nil
}
