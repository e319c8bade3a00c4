package diskbuffer

import (
	"fmt"
	"testing"
)

// TestTableOfStreams: what the streams take in a table is counted as they come and go,
// since there may be a thousand of them at each append, and is right when some are
// forgotten and when the buffer is opened again.
func TestTableOfStreams(t *testing.T) {
	path := t.TempDir()
	s, err := Create(openDir(t, path), goldenMeta, Options{Max: 1 << 20})
	must(t, err)
	check := func(when string, n int) {
		t.Helper()
		s.mu.Lock()
		defer s.mu.Unlock()
		want := segmentHeaderSize + streamsSize(s.allStreams())
		if got := s.reserve(); got != want || len(s.streams) != n {
			t.Errorf("%s: %d streams of %d; a new segment takes %d bytes, counted are %d", when, len(s.streams), n, want, got)
		}
	}
	for i := range uint32(20) {
		must(t, s.AddStream(Stream{Index: i, Name: fmt.Sprint("stream ", i*i)}))
	}
	check("added", 20)
	_, err = s.Append(one(7, 1, "a line"))
	must(t, err)
	for i := range uint32(10) {
		if forgotten := s.Forget(i); forgotten == (i == 7) {
			t.Errorf("stream %d is forgotten: %v", i, forgotten)
		}
	}
	s.Forget(3)
	check("forgotten", 11)
	must(t, s.Close(true))
	s, _, err = Open(openDir(t, path), Options{Max: 1 << 20})
	must(t, err)
	check("opened again", 20) // The disk hears of it with the next segment.
	must(t, s.Close(true))
}
