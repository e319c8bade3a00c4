package diskbuffer_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/spillway/spillway/internal/diskbuffer"
	"github.com/spillway/spillway/internal/record"
)

// frame is one payload that was appended, and what is known of it.
type frame struct {
	at, end diskbuffer.Position
	place   diskbuffer.Place
	payload []byte
	again   bool // it was in requests
	// gone says that the frame was told to be lost, or may be since a sync
	// failed; then nothing has to come back, but what does is checked.
	gone bool
}

// model is what must be in a store: the appended payloads, and the totals.
type model struct {
	random  *rand.Rand
	frames  []frame
	end     diskbuffer.Position
	streams []diskbuffer.Stream
	seqs    []uint64
	clock   int64
}

func newModel(seed uint64) *model {
	return &model{random: rand.New(rand.NewPCG(seed, 1)), clock: 1_800_000_000_000_000_000}
}

// newStream opens one more stream.
func (m *model) newStream() diskbuffer.Stream {
	i := uint32(len(m.streams))
	s := diskbuffer.Stream{Index: i, Name: fmt.Sprintf("stream%d", i)}
	m.streams = append(m.streams, s)
	if len(m.seqs) < len(m.streams) {
		m.seqs = append(m.seqs, 0)
	}
	return s
}

// payload draws one payload of batches of the streams that there are. Nothing of
// it counts before appended.
func (m *model) payload(bodies int) []byte {
	var p []byte
	for range 1 + m.random.IntN(3) {
		stream := uint32(m.random.IntN(len(m.streams)))
		m.clock += m.random.Int64N(1e9)
		if m.random.IntN(6) == 0 {
			p = record.AppendLoss(p, record.Loss{
				Stream: stream, Lost: 1 + m.random.Int64N(9), Bytes: m.random.Int64N(999), FirstSeq: m.seqs[stream] + 1,
				LastSeq: m.seqs[stream] + 1, FirstTime: m.clock, LastTime: m.clock, Reason: "overflow-newest",
			})
			m.seqs[stream]++
			continue
		}
		b := record.Batch{Stream: stream, Kind: record.KindRecords, Time: m.clock, FirstSeq: m.seqs[stream] + 1}
		var frames []byte
		for range 1 + m.random.IntN(5) {
			body := make([]byte, m.random.IntN(bodies))
			for i := range body {
				body[i] = byte(m.random.Uint32())
				if m.random.IntN(2) == 0 {
					body[i] = 'a'
				}
			}
			f, added := record.AppendBody(nil, body)
			frames = append(frames, f...)
			b.Count++
			b.Bytes += added.Bytes
			b.Repair += added.Repair
		}
		switch m.random.IntN(4) {
		case 0:
			frames = bytes.Repeat([]byte{0x92, 1, 0x81, 0xa1, 'k', 0xa1, 'v'}, b.Count)
			b.Encoding, b.Bytes, b.Repair = record.EncodingEntry, len(frames), 0
		case 1:
			one := record.Message{Offset: int64(m.random.Uint32()), Form: record.FormMap, Key: []byte("k"), Value: []byte{0x80}}
			frames = bytes.Repeat(record.AppendMessage(nil, &one), b.Count)
			b.Encoding, b.Bytes, b.Repair = record.EncodingMessage, len(frames)-b.Count*record.FrameSize, 0
			partition := record.Partition{Topic: "orders", Number: m.random.Uint32()}
			b.Partition = partition.Append(nil)
		}
		if m.random.IntN(4) == 0 {
			b.Original = record.Identity{Key: [16]byte{2}, Number: m.random.Uint64()}
		}
		if m.random.IntN(4) == 0 {
			b.Refusal = []byte("\x09tombstone")
		}
		if m.random.IntN(2) == 0 {
			b.Origin = record.Origin{Key: [16]byte{byte(m.random.Uint32()), 1}, Position: m.random.Uint32(), Count: m.random.Uint32()}
		}
		m.seqs[stream] += uint64(b.Count)
		b.Frames = frames
		p = record.AppendBatch(p, &b)
	}
	return p
}

// measure counts a payload.
func measure(payload []byte, each func(b *record.Batch)) (p diskbuffer.Position) {
	for rest := payload; len(rest) > 0; {
		var b record.Batch
		rest = rest[record.Parse(rest, &b):]
		p.Events += uint64(b.Count)
		if b.Kind == record.KindRecords {
			p.Records += uint64(b.Count)
		}
		if each != nil {
			each(&b)
		}
	}
	return p
}

// appended makes a payload count.
func (m *model) appended(payload []byte, place diskbuffer.Place) {
	f := frame{at: m.end, place: place, payload: slices.Clone(payload)}
	size := measure(payload, func(b *record.Batch) {
		s := &m.streams[b.Stream]
		if b.Kind == record.KindRecords {
			s.Records += uint64(b.Count)
			s.Bytes += uint64(b.Bytes)
			s.LastSeq, s.LastTime = b.FirstSeq+uint64(b.Count)-1, b.Time
		} else {
			l := b.Loss()
			s.LastSeq, s.LastTime = max(s.LastSeq, l.LastSeq), max(s.LastTime, l.LastTime)
		}
	})
	m.end.Events += size.Events
	m.end.Records += size.Records
	f.end = m.end
	m.frames = append(m.frames, f)
}

// position is that of an event: all before it counted.
func (m *model) position(events uint64) diskbuffer.Position {
	for _, f := range m.frames {
		if events >= f.end.Events {
			continue
		}
		p := f.at
		measure(f.payload, func(b *record.Batch) {
			n := min(uint64(b.Count), events-p.Events)
			p.Events += n
			if b.Kind == record.KindRecords {
				p.Records += n
			}
		})
		return p
	}
	return m.end
}

// streamsOf yields the streams of a payload's batches.
func streamsOf(payload []byte) map[uint32]bool {
	all := map[uint32]bool{}
	measure(payload, func(b *record.Batch) { all[b.Stream] = true })
	return all
}

// cut makes end the end: what was behind it never was.
func (m *model) cut(end diskbuffer.Position) {
	m.frames = slices.DeleteFunc(m.frames, func(f frame) bool { return f.at.Events >= end.Events })
	if n := len(m.frames); n > 0 && m.frames[n-1].end.Events > end.Events {
		m.frames[n-1].end, m.frames[n-1].gone = end, true
	}
	m.end = end
}

// find is the index of the frame that begins at a position, -1 where none does.
func (m *model) find(at diskbuffer.Position) int {
	return slices.IndexFunc(m.frames, func(f frame) bool { return f.at == at })
}

// outcome is what reading to the end brought.
type outcome struct {
	read map[int]bool
	lost uint64
	end  diskbuffer.Position
}

// readAll reads from a position to the end and holds all that comes to the
// model: places, bytes and counts. What it misses is for the caller to judge.
// Errors of reading other than the end are returned with what came before.
func (m *model) readAll(s *diskbuffer.Store, from diskbuffer.Position) (outcome, error) {
	out := outcome{read: map[int]bool{}, end: from}
	err := m.readOn(s, &out)
	return out, err
}

var errWrong = errors.New("the store is wrong")

func wrong(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errWrong, fmt.Sprintf(format, args...))
}

// readOn goes on reading where out ends.
func (m *model) readOn(s *diskbuffer.Store, out *outcome) error {
	least := 0
	for calls := 0; ; calls++ {
		if calls > 10*len(m.frames)+100 {
			return wrong("%d calls of Read and no end", calls)
		}
		dst := make([]byte, max(least, []int{1, 100, 600, 4 << 10, 64 << 10}[m.random.IntN(5)]))
		c, err := s.Read(dst)
		if errors.Is(err, io.ErrShortBuffer) {
			// What the frame was may turn out to be damaged, and the one behind it
			// to be larger.
			if least, err = s.Next(); err != nil {
				return err
			}
			if least <= len(dst) {
				return wrong("a frame of %d bytes is said not to fit into %d", least, len(dst))
			}
			continue
		}
		if err != nil && err != io.EOF {
			if c.N != 0 || len(c.Lost) != 0 {
				return wrong("a chunk %+v beside the error %v", c, err)
			}
			return err
		}
		if e := m.chunk(c, dst, out); e != nil {
			return e
		}
		if err == io.EOF {
			return nil
		}
	}
}

// chunk holds one chunk to the model.
func (m *model) chunk(c diskbuffer.Chunk, dst []byte, out *outcome) error {
	var lost uint64
	for _, l := range c.Lost {
		lost += l.Records
	}
	out.lost += lost
	if c.N == 0 {
		if c.Events != 0 || c.Records != 0 {
			return wrong("a chunk without bytes has %d events", c.Events)
		}
		// Where markers alone are missing there is nothing to report.
		if c.First.Events > out.end.Events || lost > 0 {
			if c.First.Records-out.end.Records != lost || c.First.Events < out.end.Events {
				return wrong("%d records lost before %+v, behind %+v", lost, c.First, out.end)
			}
			out.end = c.First
		}
		return nil
	}
	at := m.find(c.First)
	if at < 0 {
		return wrong("a chunk begins at %+v, where nothing was appended", c.First)
	}
	if c.First.Events > out.end.Events {
		if c.First.Records-out.end.Records != lost {
			return wrong("%d records lost between %+v and %+v", lost, out.end, c.First)
		}
	} else if lost != 0 || c.First.Events < out.end.Events && (len(out.read) > 0 || m.frames[at].end.Events <= out.end.Events) {
		return wrong("a chunk at %+v with %d lost, behind %+v", c.First, lost, out.end)
	}
	got := dst[:c.N]
	for rest := got; len(rest) > 0; at++ {
		if at == len(m.frames) {
			return wrong("%d bytes behind all that was appended", len(rest))
		}
		f := m.frames[at]
		if f.again != c.Again {
			return wrong("the payload at %+v was in requests: %t, and the chunk says %t", f.at, f.again, c.Again)
		}
		if !bytes.HasPrefix(rest, f.payload) || len(f.payload) == 0 {
			return wrong("the payload at %+v is not what was appended: %.60q, want %.60q", f.at, rest, f.payload)
		}
		rest = rest[len(f.payload):]
		out.read[at], out.end = true, f.end
	}
	if size := measure(got, nil); size.Events != uint64(c.Events) || size.Records != uint64(c.Records) {
		return wrong("a chunk of %+v says that it has %d events and %d records", size, c.Events, c.Records)
	}
	return nil
}

// whole fails unless all frames between two positions were read but those that
// are gone.
func (m *model) whole(out outcome, from, to diskbuffer.Position) error {
	for i, f := range m.frames {
		if f.end.Events > from.Events && f.end.Events <= to.Events && !f.gone && !out.read[i] {
			return wrong("the frame %+v to %+v was not read", f.at, f.end)
		}
	}
	return nil
}

// counts holds what Open says of the backlog to itself and to what was read.
func counts(found *diskbuffer.Found, out outcome) error {
	var pending uint64
	for _, c := range found.Pending {
		pending += c.Records
	}
	if want := found.End.Records - found.Settled.Records; pending != want {
		return wrong("%d records are said to be pending between %+v and %+v", pending, found.Settled, found.End)
	}
	if out.end != found.End {
		return wrong("reading ended at %+v, the end is said to be %+v", out.end, found.End)
	}
	return nil
}

var testMeta = diskbuffer.Meta{
	Identity: "exec/test", Made: time.Date(2026, 11, 20, 18, 3, 15, 0, time.UTC), Incarnation: [12]byte{1, 2, 3}, Limit: 1 << 20,
	About: []byte(`{"sink":"test"}`),
}

// watched fails the whole test binary when one case takes minutes: a hang.
func watched(t testing.TB, what string, run func()) {
	t.Helper()
	timer := time.AfterFunc(5*time.Minute, func() { panic("hangs: " + what) })
	defer timer.Stop()
	run()
}
