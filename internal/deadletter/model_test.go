package deadletter

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/spillway/spillway/internal/record"
)

// model is a store that is a list in memory.
type model struct {
	next    int64
	entries []Entry
}

func (m *model) put(l record.Letter) {
	for i := range m.entries {
		e := &m.entries[i]
		if e.Destination != l.Destination || e.Origin != l.Origin || e.Encoding != l.Encoding || !bytes.Equal(e.Body, l.Body) {
			continue
		}
		old := e.Letter
		e.Revision++
		e.Letter = l
		if l.First == old.First {
			e.Attempts = max(l.Attempts, old.Attempts)
		} else {
			e.Attempts = l.Attempts + old.Attempts
		}
		e.First, e.Last = min(l.First, old.First), max(l.Last, old.Last)
		return
	}
	m.next++
	m.entries = append(m.entries, Entry{ID: m.next, Revision: 1, Size: int64(len(l.Body)), Letter: l})
}

func (m *model) remove(ref Ref) int64 {
	before := len(m.entries)
	m.entries = slices.DeleteFunc(m.entries, func(e Entry) bool { return e.ID == ref.ID && e.Revision == ref.Revision })
	return int64(before - len(m.entries))
}

// TestAgainstTheModel does random operations on a store and on a list. Some of the
// ids that are the store's own are not predicted: a letter that is put twice takes
// one, maybe.
func TestAgainstTheModel(t *testing.T) {
	dir := memoryDir(t)
	runs := 0
	rapid.Check(t, func(rt *rapid.T) {
		runs++
		s, err := Open(filepath.Join(dir, fmt.Sprint(runs)), Options{})
		if err != nil {
			rt.Fatal(err)
		}
		defer func() {
			if err := s.Close(); err != nil {
				rt.Error(err)
			}
		}()
		m := &model{}
		rt.Repeat(map[string]func(*rapid.T){
			"put": func(rt *rapid.T) {
				letters := rapid.SliceOfN(someLetter(), 1, 5).Draw(rt, "letters")
				if err := s.Put(t.Context(), letters); err != nil {
					rt.Fatal(err)
				}
				for _, l := range letters {
					m.put(l)
				}
			},
			"remove": func(rt *rapid.T) {
				check(rt, t, s, m, Query{}) // The ids are the store's.
				var refs []Ref
				want := int64(0)
				for _, e := range m.entries {
					if !rapid.Bool().Draw(rt, "this one") {
						continue
					}
					ref := e.Ref()
					if rapid.IntRange(0, 3).Draw(rt, "stale") == 0 {
						ref.Revision--
					}
					refs = append(refs, ref)
				}
				for _, ref := range refs {
					want += m.remove(ref)
				}
				if got, err := s.Remove(t.Context(), refs); got != want || err != nil {
					rt.Fatalf("%d of %d removed, want %d: %v", got, len(refs), want, err)
				}
			},
			"compact": func(rt *rapid.T) {
				if err := s.Compact(t.Context()); err != nil {
					rt.Fatal(err)
				}
			},
			"open again": func(rt *rapid.T) {
				if err := s.Close(); err != nil {
					rt.Fatal(err)
				}
			},
			"list": func(rt *rapid.T) {
				q := Query{}
				if rapid.Bool().Draw(rt, "by destination") {
					q.Destination = "relay"
				}
				if rapid.Bool().Draw(rt, "by time") {
					q.Since = time.Unix(0, rapid.Int64Range(0, 20).Draw(rt, "since"))
				}
				check(rt, t, s, m, q)
			},
			"list all": func(rt *rapid.T) { check(rt, t, s, m, Query{}) },
		})
		check(rt, t, s, m, Query{})
	})
}

// check holds the store to the model.
func check(rt *rapid.T, t *testing.T, s *Store, m *model, q Query) {
	rt.Helper()
	var got []Entry
	report, err := s.List(t.Context(), q, func(e *Entry) error {
		got = append(got, *e)
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) && len(m.entries) == 0 {
		return
	}
	if err != nil || len(report.Damage) > 0 {
		rt.Fatalf("%v, %+v", err, report)
	}
	var want []Entry
	total := int64(0)
	for i := range m.entries {
		total += m.entries[i].Size
		if q.match(&m.entries[i]) {
			want = append(want, m.entries[i])
		}
	}
	if len(got) != len(want) {
		rt.Fatalf("%d entries, want %d", len(got), len(want))
	}
	for i := range want {
		if err := same(&got[i], &want[i].Letter); err != nil || got[i].Revision != want[i].Revision {
			rt.Fatalf("entry %d, revision %d, want %d: %v", i, got[i].Revision, want[i].Revision, err)
		}
	}
	// The ids are the store's: they grow, and the model takes them over.
	n := 0
	for i := range m.entries {
		if !q.match(&m.entries[i]) {
			continue
		}
		if n > 0 && got[n].ID <= got[n-1].ID {
			rt.Fatalf("id %d stands behind %d", got[n].ID, got[n-1].ID)
		}
		m.entries[i].ID = got[n].ID
		n++
	}
	sum, err := s.Summary(t.Context())
	if err != nil || sum.Letters != int64(len(m.entries)) || sum.Bytes != total {
		rt.Fatalf("the summary is %+v, want %d letters of %d bytes: %v", sum, len(m.entries), total, err)
	}
}

// someLetter has few origins and bodies, so that letters meet.
func someLetter() *rapid.Generator[record.Letter] {
	return rapid.Custom(func(t *rapid.T) record.Letter {
		small := func(name string) string {
			return rapid.SampledFrom([]string{"", "a", "\x00", "caf\xe9", "relay"}).Draw(t, name)
		}
		l := record.Letter{
			Destination: rapid.SampledFrom([]string{"relay", "search"}).Draw(t, "destination"), Source: small("source"), Tag: small("tag"),
			Origin: rapid.SampledFrom([]string{"1", "2", "3"}).Draw(t, "origin"), Seq: rapid.Uint64().Draw(t, "seq"), Time: rapid.Int64().Draw(t, "time"),
			Encoding: record.Encoding(rapid.IntRange(0, 1).Draw(t, "encoding")), Status: rapid.IntRange(-1, 600).Draw(t, "status"),
			Reason: small("reason"), Detail: small("detail"), Attempts: rapid.IntRange(0, 9).Draw(t, "attempts"),
			First: rapid.Int64Range(0, 20).Draw(t, "first"), Last: rapid.Int64Range(0, 20).Draw(t, "last"),
		}
		size := rapid.SampledFrom([]int{0, 1, 2, 50, 100, 100, 100, 200, headBytes + 1, headBytes + partBytes + 7}).Draw(t, "size")
		l.Body = bytes.Repeat([]byte{rapid.SampledFrom([]byte{0, 'x'}).Draw(t, "fill")}, size)
		return l
	})
}
