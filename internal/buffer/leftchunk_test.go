package buffer_test

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/diskbuffer"
	"github.com/spillway/spillway/internal/diskbuffer/disktest"
	"github.com/spillway/spillway/internal/record"
)

// leave leaves pieces of chunks on a disk, each a frame of its own, as a process
// does that is killed, with the first settled ones.
func leave(t *testing.T, disk *disktest.Disk, settled uint64, pieces ...piece) {
	t.Helper()
	s, err := diskbuffer.Create(disk.Open(), diskbuffer.Meta{Identity: "a"}, diskbuffer.Options{Max: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.AddStream(diskbuffer.Stream{Name: "app", Incarnation: [12]byte{7}}); err != nil {
		t.Fatal(err)
	}
	for _, p := range pieces {
		frames := []byte{}
		for range p.records {
			frames = append(frames, entry("x")...)
		}
		_, err := s.Append(record.AppendBatch(nil, &record.Batch{
			Kind: record.KindRecords, Encoding: record.EncodingEntry, Count: p.records, FirstSeq: p.seq, Bytes: len(frames), Frames: frames,
			Origin: record.Origin{Key: [16]byte{p.chunk}, Position: uint32(p.position), Count: uint32(p.of)},
		}))
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Settle(diskbuffer.Position{Events: settled, Records: settled}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(false); err != nil {
		t.Fatal(err)
	}
}

// piece is a stretch of a chunk of so many records.
type piece struct {
	chunk                 byte
	seq                   uint64
	position, records, of int
}

// TestChunksLeftBehind: a chunk that is on the disk as a whole, but for what is
// settled, is known when it is sent again, and its source is told when the last of
// it is settled. One of which the end is missing is not known.
func TestChunksLeftBehind(t *testing.T) {
	for name, c := range map[string]struct {
		settled uint64
		pieces  []piece
		known   bool
		// told is how many of the pending records must be settled first.
		told int
		// possible is how many are delivered as possible duplicates, where there are any.
		possible int64
	}{
		"whole":                  {0, []piece{{1, 1, 0, 3, 3}}, true, 3, 0},
		"in pieces":              {0, []piece{{1, 1, 0, 2, 5}, {2, 6, 0, 1, 1}, {1, 3, 2, 3, 5}}, true, 6, 0},
		"the end is missing":     {0, []piece{{1, 1, 0, 2, 5}}, false, 0, 2},
		"the beginning is done":  {2, []piece{{1, 1, 0, 2, 5}, {1, 3, 2, 3, 5}}, true, 3, 0},
		"half of it is done":     {1, []piece{{1, 1, 0, 3, 3}}, true, 2, 0},
		"all of it is done":      {3, []piece{{1, 1, 0, 3, 3}, {2, 4, 0, 1, 1}}, false, 0, 0},
		"moved, and there twice": {0, []piece{{1, 1, 0, 3, 3}, {1, 1, 0, 3, 3}}, true, 6, 0},
		// What came between is of neither.
		"admitted twice":                {0, []piece{{1, 1, 0, 3, 3}, {2, 4, 0, 2, 2}, {1, 6, 0, 3, 3}}, true, 8, 0},
		"whole when it was sent again":  {0, []piece{{1, 1, 0, 2, 3}, {2, 3, 0, 1, 1}, {1, 4, 0, 3, 3}}, true, 6, 2},
		"whole the first time":          {0, []piece{{1, 1, 0, 3, 3}, {2, 4, 0, 1, 1}, {1, 5, 0, 2, 3}}, true, 3, 2},
		"its parts are of two attempts": {0, []piece{{1, 1, 0, 2, 4}, {1, 3, 0, 3, 4}}, false, 0, 5},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &levels{T: t, disk: disktest.New(1)}
				leave(t, l.disk, c.settled, c.pieces...)
				l.begin(buffer.Kernel)
				var answers []bool
				known := l.buf.Attach(record.Origin{Key: [16]byte{1}}, record.LevelDelivered, func(ok bool) { answers = append(answers, ok) })
				if known != c.known {
					t.Fatalf("it is known: %t", known)
				}
				r := l.buf.Take(true)
				for settled := 0; r != nil; settled++ {
					if settled < c.told && len(answers) > 0 {
						t.Fatalf("it is told when %d of %d are settled", settled, c.told)
					}
					first := r
					if r.Events() > 1 {
						first, r = r.Split(1)
					} else {
						r = nil
					}
					l.buf.Settle(first, buffer.Fate{})
				}
				if b := l.buf.Balance(); b.PossibleDuplicates != c.possible || b.Unaccounted != 0 {
					t.Errorf("%d possible duplicates, want %d: %+v", b.PossibleDuplicates, c.possible, b.Sheet)
				}
				want := []bool(nil)
				if c.known {
					want = yes
				}
				if diff := cmp.Diff(want, answers); diff != "" {
					t.Errorf("answers (-want +got):\n%s", diff)
				}
				l.end(true)
			})
		})
	}
}

// TestDamageToChunks: where the disk has lost records of a stream, nobody is told
// that a chunk of it was delivered.
func TestDamageToChunks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &levels{T: t, disk: disktest.New(1)}
		leave(t, l.disk, 0, piece{1, 1, 0, 3, 3}, piece{2, 4, 0, 3, 3}, piece{3, 7, 0, 3, 3})
		l.begin(buffer.Kernel)
		answers := map[byte][]bool{}
		for key := range byte(3) {
			key++
			if !l.buf.Attach(record.Origin{Key: [16]byte{key}}, record.LevelDelivered, func(ok bool) { answers[key] = append(answers[key], ok) }) {
				t.Fatalf("chunk %d is not known", key)
			}
		}
		f, err := l.disk.Open().Open("0000000000000001.seg", true)
		if err != nil {
			t.Fatal(err)
		}
		at := int64(128 + 64 + 8 + 52 + 3 + 64 + 72 + 3*len(entry("x")) + 64 + 80) // In the second chunk.
		if err := f.WriteAt(at, []byte("damage")); err != nil {
			t.Fatal(err)
		}
		for r := l.buf.Take(true); r != nil; r = l.buf.Take(true) {
			l.buf.Settle(r, buffer.Fate{})
		}
		if b := l.buf.Balance(); b.Dropped != 3 || b.Delivered != 6 || b.Unaccounted != 0 {
			t.Fatalf("the balance is %+v", b.Sheet)
		}
		for key, got := range answers {
			if len(got) != 1 || key == 2 && got[0] {
				t.Errorf("chunk %d is told %v", key, got)
			}
		}
		if len(answers) != 3 {
			t.Errorf("answers %v", answers)
		}
		l.end(true)
	})
}

// TestLeftBehindCountsAgainstTheLimit: what is known of very many chunks takes memory,
// until they are settled.
func TestLeftBehindCountsAgainstTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const chunks, free, cost = 6000, 4096, 192
		l := &lives{
			tb: t, disk: disktest.New(1), level: buffer.Kernel, delivered: map[string]int{}, random: rand.New(rand.NewPCG(1, 1)),
			options: diskbuffer.Options{Max: 1 << 30}, limit: 4 << 20,
		}
		l.begin()
		one := []byte(entry("x"))
		for n := range chunks {
			l.buf.Admit(nil, &record.Chunk{
				Tag: "app", Encoding: record.EncodingEntry, Bodies: one, Count: 1, Level: record.LevelKernel,
				Origin: record.Origin{Key: [16]byte{1, byte(n), byte(n >> 8)}}, Done: func(bool) {},
			})
		}
		l.kill()
		l.begin()
		if held, want := l.buf.State().Held, int64(chunks-free)*cost; held < want {
			t.Errorf("%d bytes are held, want at least %d", held, want)
		}
		l.drain()
		if held := l.buf.State().Held; held > 100<<10 {
			t.Errorf("%d bytes are held though nothing waits", held)
		}
		l.finish()
	})
}
