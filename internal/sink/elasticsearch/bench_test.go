package elasticsearch

import (
	"bytes"
	"fmt"
	"io"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink"
	"github.com/spillway/spillway/internal/sink/sinktest"
)

// held is a request that costs nothing to read.
type held struct {
	batches [][]byte
	events  int
	stream  record.Stream
}

func (h *held) Events() int                  { return h.events }
func (h *held) Repeated() []sink.Span        { return nil }
func (h *held) Stream(uint32) *record.Stream { return &h.stream }

func (h *held) Batches() iter.Seq2[int, *record.Batch] {
	return func(yield func(int, *record.Batch) bool) {
		var b record.Batch
		index := 0
		for _, mem := range h.batches {
			record.Parse(mem, &b)
			if !yield(index, &b) {
				return
			}
			index += b.Count
		}
	}
}

const benchEvents = 4000

// requests are some of about a megabyte, by the form of their records.
func requests() map[string]*held {
	text := strings.Repeat(`203.0.113.195 GET /shop/articles/4711 200 18231 `, 5)[:180]
	at := time.Unix(1_700_000_000, 123_456_789)
	packed := []byte(sinktest.Packed(at, text))
	packed = append([]byte{}, packed...)
	value := []byte(fmt.Sprintf(`{"level":"info","service":"checkout","status":200,"message":"%s"}`, text))
	of := func(encoding record.Encoding, body []byte) *held {
		h := &held{events: benchEvents, stream: record.Stream{Name: "app.web", Incarnation: [12]byte{1}}}
		for range benchEvents / 500 {
			b := record.Batch{Kind: record.KindRecords, Encoding: encoding, Count: 500, Time: at.UnixNano(), FirstSeq: 1}
			var frames []byte
			for i := range 500 {
				switch encoding {
				case record.EncodingText:
					frames, _ = record.AppendBody(frames, body)
				case record.EncodingMessage:
					frames = record.AppendMessage(frames, &record.Message{Time: at.UnixNano(), Offset: int64(i), Form: record.FormJSON, Value: body})
				default:
					frames = append(frames, body...)
				}
			}
			b.Frames, b.Bytes = frames, len(body)*500
			h.batches = append(h.batches, record.AppendBatch(nil, &b))
		}
		return h
	}
	return map[string]*held{
		"entries": of(record.EncodingEntry, packed), "lines": of(record.EncodingText, []byte(text)), "json": of(record.EncodingMessage, value),
	}
}

func BenchmarkBody(b *testing.B) {
	for form, req := range requests() {
		b.Run(form, func(b *testing.B) {
			s := sinkTo(b, newServer(b), func(o *Options) { o.Index = name(b, "logs-%Y.%m.%d") })
			size := 0
			for _, mem := range req.batches {
				size += len(mem)
			}
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				a := s.begin(req)
				r, err := a.body()
				if err != nil {
					b.Fatal(err)
				}
				if _, err := r.(io.WriterTo).WriteTo(io.Discard); err != nil || a.sent != benchEvents {
					b.Fatal(err, a.sent, a.rejected)
				}
				a.end()
			}
		})
	}
}

func BenchmarkKeys(b *testing.B) {
	for form, req := range requests() {
		b.Run(form, func(b *testing.B) {
			field := map[string]string{"entries": "log", "json": "service", "lines": "message"}[form]
			s := sinkTo(b, newServer(b), func(o *Options) { o.ID, o.IDFieldName = IDField, field })
			size := 0
			for _, mem := range req.batches {
				size += len(mem)
			}
			b.SetBytes(int64(size))
			b.ReportAllocs()
			var keys []uint64
			for b.Loop() {
				if keys = s.Keys(keys[:0], req); len(keys) != benchEvents {
					b.Fatal(len(keys))
				}
			}
		})
	}
}

func BenchmarkReply(b *testing.B) {
	s := sinkTo(b, newServer(b), nil)
	req := requests()["entries"]
	a := s.begin(req)
	defer a.end()
	var text bytes.Buffer
	text.WriteString(`{"errors":false,"items":[`)
	a.sent, a.marks = benchEvents, nil
	for i := range benchEvents {
		if i > 0 {
			text.WriteByte(',')
		}
		id := fmt.Sprintf("%032d", i)
		a.marks = append(a.marks, mark([]byte(id)))
		fmt.Fprintf(&text, `{"create":{"_id":"%s","status":201}}`, id)
	}
	text.WriteString(`]}`)
	r := newReply()
	b.SetBytes(int64(text.Len()))
	b.ReportAllocs()
	for b.Loop() {
		v := a.verdicts()
		v.withIDs = true
		if err := r.read(bytes.NewReader(text.Bytes()), v.item); err != nil || v.at != benchEvents {
			b.Fatal(err, v.at)
		}
	}
}

var _ sink.Request = (*held)(nil)
