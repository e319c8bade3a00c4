package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/spillway/spillway/internal/diskbuffer"
	"github.com/spillway/spillway/internal/entry"
	"github.com/spillway/spillway/internal/record"
)

func bufferExportCommand() *cobra.Command {
	var settled bool
	var stateDir string
	cmd := &cobra.Command{
		Use:   "export [DIR]",
		Short: "Print the records of disk buffers as JSON Lines",
		Long: `Print the records that wait in a disk buffer, an object a line, in the order in which
they were received: {"stream":…,"seq":…,"time":…,"message":…}. A message that is not UTF-8
is message_base64 instead. An entry of the forward protocol has its own time, and record in the
place of message; one that JSON cannot hold to the byte is entry_base64, the msgpack as it came.
A message of Kafka has its own time, too, and topic, partition, offset, key and headers beside its
value, which is record where it is JSON, else message or message_base64; null is a value that is none.
A part of a long line has part, and last where it is the last one. A loss marker has the object
loss. With several buffers each object says which it is from.

Nothing is written to the buffer, and one that a process uses may be exported as well; what it
delivers meanwhile may be in the output or not.

Exit codes: 0 all of it, 3 all that damage has left, 1 something could not be read.`,
		Example: `  spillway buffer export > left.jsonl
  spillway buffer export --all /var/lib/spillway/buffers/0123456789abcdef`,
		Args: oneDir,
		RunE: func(_ *cobra.Command, args []string) error {
			paths, err := buffersOf(stateDir, args)
			if err != nil {
				return err
			}
			err = exportBuffers(os.Stdout, paths, settled)
			if errors.Is(err, unix.EPIPE) {
				return nil
			}
			return err
		},
	}
	bindStateDir(cmd, &stateDir)
	cmd.Flags().BoolVar(&settled, "all", false, "also print what is delivered or dropped already, as far as it is still on the disk")
	return cmd
}

// exported is one line.
type exported struct {
	Buffer  string          `json:"buffer,omitempty"`
	Stream  string          `json:"stream"`
	Seq     uint64          `json:"seq,omitempty"`
	Time    time.Time       `json:"time"`
	Message *string         `json:"message,omitempty"`
	Base64  *string         `json:"message_base64,omitempty"`
	Record  json.RawMessage `json:"record,omitempty"`
	Entry   []byte          `json:"entry_base64,omitempty"`
	*messageJSON
	Part uint32          `json:"part,omitempty"`
	Last bool            `json:"last,omitempty"`
	Loss json.RawMessage `json:"loss,omitempty"`
}

func exportBuffers(to io.Writer, paths []string, settled bool) (err error) {
	out := bufio.NewWriterSize(to, 256<<10)
	defer func() { err = errors.Join(err, out.Flush()) }()
	lines := json.NewEncoder(out)
	lines.SetEscapeHTML(false)
	whole := true
	var errs []error
	for _, path := range paths {
		e := exporter{lines: lines, settled: settled}
		if len(paths) > 1 {
			e.buffer = filepath.Base(path)
		}
		report, err := inspect(path, e.frame)
		if errors.Is(err, unix.EPIPE) {
			return err
		}
		errs = append(errs, err)
		if !report.Whole() {
			whole = false
			fmt.Fprintf(os.Stderr, "spillway: %s: %s damaged, %s lost; \"spillway buffer check\" tells more\n",
				path, many(report.DamagedBytes, "byte"), many(report.Lost, "record"))
		}
	}
	return outcome(whole, errors.Join(errs...))
}

// exporter prints one buffer.
type exporter struct {
	lines   *json.Encoder
	buffer  string
	settled bool
}

// frame prints the events of a frame.
func (e *exporter) frame(f diskbuffer.Frame) error {
	skip := f.Settled
	if e.settled {
		skip = 0
	}
	for rest := f.Payload; len(rest) > 0; {
		var b record.Batch
		rest = rest[record.Parse(rest, &b):]
		if skip >= b.Count {
			skip -= b.Count
			continue
		}
		b.Slice(skip, b.Count-skip)
		skip = 0
		if err := e.batch(&b, f.StreamName(b.Stream)); err != nil {
			return err
		}
	}
	return nil
}

func (e *exporter) batch(b *record.Batch, stream string) error {
	line := exported{Buffer: e.buffer, Stream: stream, Time: time.Unix(0, b.Time).UTC()}
	if b.Kind == record.KindLoss {
		line.Loss = b.Loss().AppendJSON(nil)
		return e.lines.Encode(line)
	}
	switch b.Encoding {
	case record.EncodingEntry:
		return e.entries(b, line)
	case record.EncodingMessage:
		return e.messages(b, line)
	}
	line.Seq, line.Part, line.Last = b.FirstSeq, b.Part.Ordinal, b.Part.Last
	for frames := b.Frames; len(frames) > 0; line.Seq++ {
		body, _, rest := record.Next(frames)
		frames = rest
		line.Message, line.Base64 = textOr64(body)
		if err := e.lines.Encode(line); err != nil {
			return err
		}
	}
	return nil
}

// entries prints a batch of entries of the forward protocol.
func (e *exporter) entries(b *record.Batch, line exported) error {
	line.Seq = b.FirstSeq
	for frames := b.Frames; len(frames) > 0; line.Seq++ {
		var body []byte
		body, _, frames = b.Next(frames)
		line.Time = time.Unix(0, entry.Time(body, b.Time)).UTC()
		line.Record, line.Entry = nil, body
		if _, object, err := entry.Split(body); err == nil {
			if text, replaced, err := entry.AppendJSON(nil, object); err == nil && replaced == 0 {
				line.Record, line.Entry = text, nil
			}
		}
		if err := e.lines.Encode(line); err != nil {
			return err
		}
	}
	return nil
}

// messages prints a batch of messages.
func (e *exporter) messages(b *record.Batch, line exported) error {
	partition := record.ParsePartition(b.Partition)
	line.Seq = b.FirstSeq
	for frames := b.Frames; len(frames) > 0; line.Seq++ {
		var body []byte
		body, _, frames = b.Next(frames)
		var m record.Message
		record.ParseMessage(body, &m)
		line.Time, line.messageJSON = time.Unix(0, m.Time).UTC(), messageOf(&m, partition)
		line.Record, line.Message, line.Base64 = nil, nil, nil
		switch object, whole := objectOf(&m); {
		case m.Null:
		case whole:
			line.Record = object
		case m.Form == record.FormMap:
			line.Base64 = encoded(m.Value)
		default:
			line.Message, line.Base64 = textOr64(m.Value)
		}
		if err := e.lines.Encode(line); err != nil {
			return err
		}
	}
	return nil
}
