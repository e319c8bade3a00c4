package diskbuffer

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// damaged makes a buffer of 30 frames, in turns of two streams, 2 records of
// stdout and 1 of stderr, all in one segment. It overwrites some of the frames
// and opens it.
func damaged(t *testing.T, clean bool, frames ...int) (*Store, *Found) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "buffer")
	s, err := Create(openDir(t, path), goldenMeta, Options{Max: 1 << 20})
	must(t, err)
	must(t, s.AddStream(Stream{Index: 0, Name: "stdout"}))
	must(t, s.AddStream(Stream{Index: 1, Name: "stderr"}))
	var places []Place
	seqs := [2]uint64{1, 1}
	for i := range 30 {
		payload := one(0, seqs[0], "some", fmt.Sprint("output ", i))
		if i%2 == 1 {
			payload = one(1, seqs[1], "an error")
		}
		seqs[i%2] += uint64(2 - i%2)
		p, err := s.Append(payload)
		must(t, err)
		places = append(places, p)
	}
	must(t, s.Close(clean))
	f, err := os.OpenFile(filepath.Join(path, segmentName(1)), os.O_WRONLY, 0)
	must(t, err)
	for _, i := range frames {
		_, err := f.WriteAt([]byte(strings.Repeat("x", 80)), places[i].Offset)
		must(t, err)
	}
	must(t, f.Close())
	s, found, err := Open(openDir(t, path), Options{Max: 1 << 20})
	must(t, err)
	t.Cleanup(func() { must(t, s.Close(false)) })
	return s, found
}

// allLost reads to the end and returns what was missing.
func allLost(t *testing.T, s *Store) (all []Lost, read uint64) {
	t.Helper()
	dst := make([]byte, 64<<10)
	for {
		c, err := s.Read(dst)
		all = append(all, c.Lost...)
		read += uint64(c.Records)
		if errors.Is(err, io.EOF) {
			return all, read
		}
		must(t, err)
	}
}

// TestWhoseRecordsAreLost: the totals of the streams, and sequence numbers, say
// whose the lost records are.
func TestWhoseRecordsAreLost(t *testing.T) {
	for _, c := range []struct {
		name    string
		clean   bool
		frames  []int
		pending []Count // at Open, records
		want    []Lost
	}{
		{
			"one of one stream", true, []int{4}, []Count{{30, 190}, {15, 120}},
			[]Lost{{Stream: 0, Records: 2, Bytes: 12, FirstSeq: 5, LastSeq: 6}},
		},
		{
			"a run of both", true, []int{5, 6, 7}, []Count{{30, 190}, {15, 120}},
			[]Lost{
				{Stream: 0, Records: 2, Bytes: 12, FirstSeq: 7, LastSeq: 8},
				{Stream: 1, Records: 2, Bytes: 16, FirstSeq: 3, LastSeq: 4},
			},
		},
		{
			"two places", true, []int{4, 21}, []Count{{30, 190}, {15, 120}},
			[]Lost{
				{Stream: 0, Records: 2, Bytes: -1, FirstSeq: 5, LastSeq: 6},
				{Stream: 1, Records: 1, Bytes: -1, FirstSeq: 11, LastSeq: 11},
			},
		},
		{
			"after a kill", false, []int{4, 21}, []Count{{30, 178}, {15, 112}},
			[]Lost{
				{Stream: 0, Records: 2, Bytes: -1, FirstSeq: 5, LastSeq: 6},
				{Stream: 1, Records: 1, Bytes: -1, FirstSeq: 11, LastSeq: 11},
			},
		},
		{
			"the end of a stream", true, []int{28}, []Count{{30, 190}, {15, 120}},
			[]Lost{{Stream: 0, Records: 2, Bytes: 13, FirstSeq: 29, LastSeq: 30}},
		},
		{
			"the end of all", true, []int{28, 29}, []Count{{30, 190}, {15, 120}},
			[]Lost{
				{Stream: 0, Records: 2, Bytes: 13, FirstSeq: 29, LastSeq: 30},
				{Stream: 1, Records: 1, Bytes: 8, FirstSeq: 15, LastSeq: 15},
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, found := damaged(t, c.clean, c.frames...)
			if diff := cmp.Diff(c.pending, found.Pending); diff != "" {
				t.Errorf("pending (-want +got):\n%s", diff)
			}
			lost, read := allLost(t, s)
			if diff := cmp.Diff(c.want, lost, cmpopts.IgnoreFields(Lost{}, "Notes")); diff != "" {
				t.Errorf("lost (-want +got):\n%s", diff)
			}
			for _, l := range lost {
				read += l.Records
			}
			if read != found.End.Records {
				t.Errorf("%d records were read or lost, want %d", read, found.End.Records)
			}
		})
	}
}
