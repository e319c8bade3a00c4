package diskbuffer

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// small makes a store with segments of a few frames, and n frames in it.
func small(t *testing.T, path string, n int) (*Store, []Place) {
	t.Helper()
	s, err := Create(openDir(t, path), goldenMeta, Options{Max: 1 << 20, Segment: 4000})
	must(t, err)
	must(t, s.AddStream(Stream{Name: "stdout"}))
	return s, fill(t, s, n)
}

func fill(t *testing.T, s *Store, n int) []Place {
	t.Helper()
	var places []Place
	for range n {
		p, err := s.Append(one(0, s.End().Records+1, strings.Repeat("x", 500)))
		must(t, err)
		places = append(places, p)
	}
	return places
}

// TestFarSegmentsLeaveMemory: what is far before the reader is synced, and takes
// neither page cache nor a descriptor.
func TestFarSegmentsLeaveMemory(t *testing.T) {
	s, places := small(t, filepath.Join(t.TempDir(), "buffer"), 40)
	must(t, s.Tidy())
	for _, seg := range s.segments {
		if seg.file == nil || seg.syncedTo != 0 {
			t.Fatalf("%s is near, and was synced", seg.name)
		}
	}
	s.warm = 10_000
	must(t, s.Tidy())
	ahead := int64(0)
	for i, seg := range s.segments {
		far := ahead >= s.warm && i < len(s.segments)-1
		if closed := seg.file == nil; closed != far || seg.cooled != far || far && seg.syncedTo != seg.written {
			t.Errorf("%s, %d bytes before the reader: closed %t, cooled %t, synced %d of %d", seg.name, ahead, closed, seg.cooled, seg.syncedTo, seg.written)
		}
		ahead += seg.written
	}
	if lost, read := allLost(t, s); len(lost) > 0 || read != uint64(len(places)) {
		t.Errorf("%d records were read, lost %v", read, lost)
	}
	must(t, s.Close(true))
}

// TestSpaceComesBack: once all is settled, the last segment goes, too, if it is
// large, and what it said of the streams stays.
func TestSpaceComesBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "buffer")
	s, _ := small(t, path, 26)
	before := s.Usage()
	must(t, s.Settle(s.End()))
	must(t, s.Tidy())
	after := s.Usage()
	if after.Segments != 1 || after.Bytes > cursorSize+1000 || before.Segments < 3 {
		t.Errorf("settled: %+v, before %+v", after, before)
	}
	end := s.End()
	must(t, s.Close(false))
	s, found, err := Open(openDir(t, path), Options{Max: 1 << 20})
	must(t, err)
	if found.End != end || found.Settled != end || len(found.Streams) != 1 || found.Streams[0].LastSeq != 26 {
		t.Errorf("found %+v", found)
	}
	fill(t, s, 1)
	if lost, read := allLost(t, s); len(lost) > 0 || read != 1 {
		t.Errorf("%d records were read, lost %v", read, lost)
	}
	must(t, s.Close(true))
}

// TestCursorFirst: a segment is deleted only after the cursor is durable. A
// cursor that cannot be written keeps all.
func TestCursorFirst(t *testing.T) {
	path := filepath.Join(t.TempDir(), "buffer")
	s, places := small(t, path, 20)
	must(t, s.Settle(places[15].Position))
	must(t, s.cursor.file.Close())
	if err := s.Tidy(); err != nil {
		t.Log(err)
	} else {
		t.Error("tidy without a cursor")
	}
	if _, err := os.Stat(filepath.Join(path, segmentName(1))); err != nil {
		t.Error(err)
	}
	if err := s.Close(false); !errors.Is(err, os.ErrClosed) {
		t.Errorf("close: %v", err)
	}
}

// TestReaderIsOvertaken: what is settled and deleted before the reader is not
// missing to it.
func TestReaderIsOvertaken(t *testing.T) {
	s, places := small(t, filepath.Join(t.TempDir(), "buffer"), 30)
	dst := make([]byte, 700)
	_, err := s.Read(dst)
	must(t, err)
	must(t, s.Settle(places[20].Position))
	must(t, s.Tidy())
	next := uint64(0)
	for {
		c, err := s.Read(dst)
		if len(c.Lost) > 0 {
			t.Fatalf("lost %v", c.Lost)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		must(t, err)
		next = c.First.Events + uint64(c.Events)
	}
	if next != 30 {
		t.Errorf("read up to %d", next)
	}
	s.Seek(places[25])
	if c, err := s.Read(dst); err != nil || c.First != places[25].Position {
		t.Errorf("sought %+v, got %+v, %v", places[25], c, err)
	}
	must(t, s.Close(true))
}
