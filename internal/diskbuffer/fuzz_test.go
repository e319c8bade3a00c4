package diskbuffer_test

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"testing"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"

	"github.com/spillway/spillway/internal/diskbuffer"
	"github.com/spillway/spillway/internal/diskbuffer/disktest"
	"github.com/spillway/spillway/internal/record"
)

// The sizes of the layout, as docs/disk-format.md gives them.
const (
	segmentHeader = 128
	frameHeader   = 64
	slotStride    = 4096
	slotSize      = 64
)

// seal writes the CRC32C of all before into the last four bytes of a header.
func seal(header []byte) {
	n := len(header) - 4
	binary.LittleEndian.PutUint32(header[n:], crc32.Checksum(header[:n], crc32.MakeTable(crc32.Castagnoli)))
}

// foreign opens a disk of foreign bytes, reads it to its end, appends, and does
// so again. Nothing may fail, panic or hang. The counts must agree unless honest
// is false: positions that are sealed by a good checksum and contradict those of
// the frames cannot come from damage, and then no number is the right one.
func foreign(t *testing.T, disk *disktest.Disk, honest bool) {
	t.Helper()
	options := diskbuffer.Options{Max: 256 << 20, Segment: 4096}
	for range 2 {
		s, found, err := diskbuffer.Open(disk.Open(), options)
		if err != nil {
			t.Fatalf("open: %v", err)
		}
		var pending uint64
		for _, c := range found.Pending {
			pending += c.Records
		}
		if honest && (pending != found.End.Records-found.Settled.Records || found.End.Events < found.Settled.Events) {
			t.Fatalf("%d records pending in %+v", pending, found)
		}
		s.Origins(100, func(diskbuffer.Origin) {})
		readForeign(t, s, found, honest)
		next := uint32(0)
		for _, st := range found.Streams {
			next = max(next, st.Index+1)
		}
		if next > 0 {
			next--
		} else if err := s.AddStream(diskbuffer.Stream{Name: "s"}); err != nil {
			t.Fatalf("add a stream: %v", err)
		}
		payload := record.AppendLoss(nil, record.Loss{Stream: next, Lost: 1, Reason: "r"})
		if _, err := s.Append(payload); err != nil {
			t.Fatalf("append: %v", err)
		}
		if c, err := s.Read(make([]byte, len(payload))); honest && c.N != len(payload) || err != nil && err != io.EOF {
			t.Fatalf("read what was appended: %+v, %v", c, err)
		}
		if err := s.Tidy(); err != nil {
			t.Fatalf("tidy: %v", err)
		}
		if err := s.Close(true); err != nil {
			t.Fatalf("close: %v", err)
		}
	}
}

// readForeign reads to the end of what Open found.
func readForeign(t *testing.T, s *diskbuffer.Store, found *diskbuffer.Found, honest bool) {
	t.Helper()
	at, first := found.Settled, true
	dst := make([]byte, 1<<10)
	for calls := 0; ; calls++ {
		if calls > 10_000 {
			t.Fatal("no end")
		}
		c, err := s.Read(dst)
		if errors.Is(err, io.ErrShortBuffer) {
			n, err := s.Next()
			if err != nil || n <= len(dst) {
				t.Fatalf("the next frame takes %d bytes, more than %d: %v", n, len(dst), err)
			}
			dst = make([]byte, n)
			continue
		}
		if err != nil && err != io.EOF {
			t.Fatalf("read: %v", err)
		}
		if size := measure(dst[:c.N], nil); size != (diskbuffer.Position{Events: uint64(c.Events), Records: uint64(c.Records)}) {
			t.Fatalf("%+v in a chunk of %+v", size, c)
		}
		var lost uint64
		for _, l := range c.Lost {
			lost += l.Records
		}
		if c.N > 0 || len(c.Lost) > 0 {
			overlaps := first && c.First.Events <= at.Events && lost == 0
			if honest && !overlaps && (c.First.Events < at.Events || c.First.Records-at.Records != lost) {
				t.Fatalf("%+v behind %+v", c, at)
			}
			at = diskbuffer.Position{Events: c.First.Events + uint64(c.Events), Records: c.First.Records + uint64(c.Records)}
			first = false
		}
		if err == io.EOF {
			break
		}
	}
	if honest && at != found.End {
		t.Fatalf("the end is at %+v, said was %+v", at, found.End)
	}
}

// FuzzSegment puts foreign bytes in the place of the oldest segment.
func FuzzSegment(f *testing.F) {
	w := newWhole(f, true)
	for _, name := range w.segments() {
		f.Add(w.disk.Bytes(name))
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		disk := w.disk.Clone(1)
		disk.Put(w.segments()[0], data)
		foreign(t, disk, true)
	})
}

// FuzzFrame puts a frame that looks right in its checksums and its tag, and in
// nothing else, behind a good header.
func FuzzFrame(f *testing.F) {
	w := newWhole(f, true)
	name := w.segments()[0]
	good := w.disk.Bytes(name)
	payload := w.frames[len(w.frames)-1].payload
	f.Add(uint8(1), uint8(0), uint32(len(payload)), uint64(0), uint64(0), uint32(1), uint32(1), uint64(1), payload)
	f.Add(uint8(1), uint8(1), uint32(len(payload)), uint64(0), uint64(0), uint32(1), uint32(1), uint64(1), s2.Encode(nil, payload))
	z, err := zstd.NewWriter(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint8(1), uint8(2), uint32(len(payload)), uint64(0), uint64(0), uint32(1), uint32(1), uint64(1), z.EncodeAll(payload, nil))
	f.Add(uint8(2), uint8(0), uint32(16), uint64(1)<<63, uint64(9), uint32(0), uint32(0), uint64(0), make([]byte, 16))
	f.Fuzz(func(t *testing.T, kind, compression uint8, raw uint32, events, records uint64, count, recordCount uint32, size uint64, payload []byte) {
		if raw > 1<<20 {
			raw %= 1 << 20 // Memory of that size is justified, and makes the search slow.
		}
		head := make([]byte, frameHeader)
		le := binary.LittleEndian
		copy(head, good[segmentHeader:segmentHeader+4])
		head[4], head[5] = kind, compression
		le.PutUint32(head[8:], uint32(len(payload)))
		le.PutUint32(head[12:], raw)
		le.PutUint64(head[16:], events)
		le.PutUint64(head[24:], records)
		le.PutUint32(head[32:], count)
		le.PutUint32(head[36:], recordCount)
		le.PutUint64(head[40:], size)
		copy(head[48:56], good[48:56])
		le.PutUint32(head[56:], crc32.Checksum(payload, crc32.MakeTable(crc32.Castagnoli)))
		seal(head)
		data := append(append(append([]byte(nil), good[:segmentHeader]...), head...), payload...)
		disk := w.disk.Clone(1)
		disk.Put(name, append(data, good[segmentHeader:]...))
		foreign(t, disk, false)
	})
}

// FuzzStreams puts a foreign streams frame, whose checksums are good, in front of
// the frames of the oldest segment.
func FuzzStreams(f *testing.F) {
	w := newWhole(f, true)
	name := w.segments()[0]
	good := w.disk.Bytes(name)
	end := segmentHeader + frameHeader + int(binary.LittleEndian.Uint32(good[segmentHeader+8:]))
	f.Add(good[segmentHeader+frameHeader : end])
	f.Add([]byte("\x01\x00\x00\x00\x03\x00\x00\x00"))
	f.Add([]byte("\xff\xff\xff\xff\x01\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, payload []byte) {
		head := append([]byte(nil), good[segmentHeader:segmentHeader+frameHeader]...)
		binary.LittleEndian.PutUint32(head[8:], uint32(len(payload)))
		binary.LittleEndian.PutUint32(head[12:], uint32(len(payload)))
		binary.LittleEndian.PutUint32(head[56:], crc32.Checksum(payload, crc32.MakeTable(crc32.Castagnoli)))
		seal(head)
		data := append(append(append([]byte(nil), good[:segmentHeader]...), head...), payload...)
		disk := w.disk.Clone(1)
		disk.Put(name, append(data, good[end:]...))
		foreign(t, disk, false)
	})
}

// FuzzSegmentHeader gives a segment a foreign header with a good checksum.
func FuzzSegmentHeader(f *testing.F) {
	w := newWhole(f, true)
	for i, name := range w.segments() {
		f.Add(uint8(i), w.disk.Bytes(name)[:segmentHeader])
	}
	f.Fuzz(func(t *testing.T, which uint8, header []byte) {
		disk, name := w.disk.Clone(1), w.segments()[int(which)%len(w.segments())]
		data := disk.Bytes(name)
		copy(data[:segmentHeader], header)
		seal(data[:segmentHeader])
		disk.Put(name, data)
		foreign(t, disk, false)
	})
}

// FuzzCursor writes foreign slots, with good checksums or without.
func FuzzCursor(f *testing.F) {
	w := newWhole(f, true)
	good := w.disk.Bytes("cursor")
	f.Add(good[:slotSize], good[slotStride:slotStride+slotSize], true)
	f.Add([]byte{}, good[slotStride:], false)
	f.Fuzz(func(t *testing.T, a, b []byte, sealed bool) {
		data := append([]byte(nil), good...)
		for i, slot := range [][]byte{a, b} {
			to := data[i*slotStride : i*slotStride+slotSize]
			copy(to, slot)
			if sealed {
				seal(to)
			}
		}
		disk := w.disk.Clone(1)
		disk.Put("cursor", data)
		foreign(t, disk, !sealed)
	})
}

// FuzzMeta writes a foreign buffer.json.
func FuzzMeta(f *testing.F) {
	w := newWhole(f, true)
	f.Add(w.disk.Bytes("buffer.json"))
	f.Add([]byte(`{"version":2}`))
	f.Add([]byte(`{"version":1,"incarnation":"00"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		disk := w.disk.Clone(1)
		disk.Put("buffer.json", data)
		foreign(t, disk, true)
	})
}
