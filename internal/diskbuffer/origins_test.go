package diskbuffer

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/spillway/spillway/internal/record"
)

// keyed is the origin of the n-th chunk.
func keyed(n int) record.Origin {
	o := record.Origin{Position: uint32(n), Count: uint32(n + 2)}
	binary.LittleEndian.PutUint64(o.Key[:], uint64(n)+1)
	return o
}

// origins lists what a store knows, and sorts it by position.
func origins(s *Store, most int) (list []Origin, all bool) {
	all = s.Origins(most, func(o Origin) { list = append(list, o) })
	slices.SortFunc(list, func(a, b Origin) int { return int(int64(a.At) - int64(b.At)) })
	return list, all
}

// manyChunks makes a buffer of several segments with a chunk of two records in each
// frame, and returns what is to be known of them.
func manyChunks(t *testing.T, path string, chunks int) (want []Origin) {
	t.Helper()
	s, err := Create(openDir(t, path), goldenMeta, Options{Max: 1 << 20, Segment: 2000})
	must(t, err)
	must(t, s.AddStream(Stream{Index: 0, Name: "app"}))
	for n := range chunks {
		at := s.End()
		_, err := s.Append(chunk(0, at.Records+1, keyed(n)))
		must(t, err)
		want = append(want, Origin{Origin: keyed(n), Records: 2, Stream: 0, FirstSeq: at.Records + 1, At: at.Events})
		_, err = s.Append(one(0, at.Records+3, "between"))
		must(t, err)
	}
	must(t, s.Close(false))
	return want
}

// TestOrigins: whoever finds a buffer knows the chunks in it without reading it.
func TestOrigins(t *testing.T) {
	path := filepath.Join(t.TempDir(), "buffer")
	want := manyChunks(t, path, 50)
	for round := range 3 {
		s, _, err := Open(openDir(t, path), Options{Max: 1 << 20, Segment: 2000})
		must(t, err)
		if s.Usage().Segments < 5 {
			t.Fatalf("there are %d segments", s.Usage().Segments)
		}
		got, all := origins(s, 1000)
		if !slices.Equal(want, got) || !all {
			t.Fatalf("round %d: %d origins, all: %t; want %d", round, len(got), all, len(want))
		}
		for _, most := range []int{1, 2, 3, 10} {
			// Its sender sends again what it sent last.
			if got, all := origins(s, most); !slices.Equal(want[len(want)-most:], got) || all {
				t.Fatalf("round %d: the newest %d are %v, all: %t; want %v", round, most, got, all, want[len(want)-most:])
			}
		}
		if got, all := origins(s, 7); len(got) != 7 || all || got[6] != want[len(want)-1] {
			t.Errorf("round %d: of 7 there are %d, all: %t", round, len(got), all)
		}
		// The middle of a chunk is settled; what is appended next is listed, too.
		must(t, s.Settle(Position{uint64(16 + 30*round), uint64(16 + 30*round)}))
		must(t, s.Tidy())
		want = slices.DeleteFunc(want, func(o Origin) bool { return o.At+2 <= uint64(16+30*round) })
		end := s.End()
		for n := range 20 {
			at := s.End()
			_, err = s.Append(chunk(0, at.Records+1, keyed(100+n)))
			must(t, err)
			want = append(want, Origin{Origin: keyed(100 + n), Records: 2, FirstSeq: at.Records + 1, At: at.Events})
		}
		if s.End().Events != end.Events+40 {
			t.Fatal("not all is appended")
		}
		must(t, s.Close(round == 1))
	}
}

// TestOriginsInDamage: what damage hides is said to be not all.
func TestOriginsInDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "buffer")
	want := manyChunks(t, path, 50)
	for _, at := range []int64{130, 300, 400} {
		copied := filepath.Join(t.TempDir(), "copy")
		must(t, os.CopyFS(copied, os.DirFS(path)))
		f, err := os.OpenFile(filepath.Join(copied, segmentName(3)), os.O_RDWR, 0)
		must(t, err)
		_, err = f.WriteAt([]byte{0xff, 0xfe, 0xfd}, at)
		must(t, err)
		must(t, f.Close())
		s, _, err := Open(openDir(t, copied), Options{Max: 1 << 20, Segment: 2000})
		must(t, err)
		got, all := origins(s, 1000)
		if all || len(got) >= len(want) || len(got) == 0 {
			t.Errorf("damage at %d: %d of %d origins, all: %t", at, len(got), len(want), all)
		}
		for _, o := range got {
			if !slices.Contains(want, o) {
				t.Errorf("damage at %d: the origin %+v", at, o)
			}
		}
		must(t, s.Close(false))
	}
}

// TestForget: a stream of which nothing is on the disk any more is gone from the
// next segment's table; one of which something may be there stays.
func TestForget(t *testing.T) {
	path := filepath.Join(t.TempDir(), "buffer")
	s, err := Create(openDir(t, path), goldenMeta, Options{Max: 1 << 20, Segment: 600})
	must(t, err)
	for i := range uint32(30) {
		must(t, s.AddStream(Stream{Index: i, Name: fmt.Sprint("tag", i)}))
		_, err := s.Append(one(i, 1, "a line of this tag"))
		must(t, err)
	}
	for i := range uint32(30) {
		if s.Forget(i) {
			t.Fatalf("stream %d is forgotten though it is on the disk", i)
		}
	}
	must(t, s.Settle(s.End()))
	must(t, s.Tidy())
	kept := []uint32{}
	for i := range uint32(30) {
		if !s.Forget(i) {
			kept = append(kept, i)
		}
	}
	if len(kept) > 6 {
		t.Errorf("%v are kept", kept)
	}
	must(t, s.AddStream(Stream{Index: 30, Name: "new"}))
	for n := range 10 {
		_, err := s.Append(one(30, uint64(n)+1, "more"))
		must(t, err)
	}
	must(t, s.Settle(Position{30, 30}))
	must(t, s.Close(false))
	s, found, err := Open(openDir(t, path), Options{Max: 1 << 20})
	must(t, err)
	if n := len(found.Streams); n > len(kept)+1 || found.Streams[n-1].Name != "new" || found.Pending[n-1].Records != 10 {
		t.Errorf("found %+v, pending %+v", found.Streams, found.Pending)
	}
	must(t, s.Close(false))
}

// TestIncarnationOutlivesAKill: also where the stream was announced in the segment
// that the kill left open.
func TestIncarnationOutlivesAKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "buffer")
	s, err := Create(openDir(t, path), goldenMeta, Options{Max: 1 << 20})
	must(t, err)
	for i := range uint32(3) {
		must(t, s.AddStream(Stream{Index: i, Name: fmt.Sprint("stream ", i), Incarnation: [12]byte{0: 0xc0, 11: byte(i)}}))
		_, err := s.Append(one(i, 1, "record"))
		must(t, err)
	}
	must(t, s.Close(false)) // As a kill leaves it.
	s, found, err := Open(openDir(t, path), Options{Max: 1 << 20})
	must(t, err)
	for _, st := range found.Streams {
		if want := [12]byte{0: 0xc0, 11: byte(st.Index)}; st.Incarnation != want {
			t.Errorf("stream %d has the incarnation %x, want %x", st.Index, st.Incarnation, want)
		}
	}
	must(t, s.Close(false))
}
