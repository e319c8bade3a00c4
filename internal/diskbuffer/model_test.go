package diskbuffer_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/spillway/spillway/internal/diskbuffer"
	"github.com/spillway/spillway/internal/diskbuffer/disktest"
	"github.com/spillway/spillway/internal/record"
)

// machine is a store beside its model, for a property test.
type machine struct {
	*model
	disk    *disktest.Disk
	options diskbuffer.Options
	store   *diskbuffer.Store
	out     outcome
	settled diskbuffer.Position
	offered uint64
	added   int // streams
}

// TestModel does anything in any order, and compares what the store says and
// what is on its disk to the model.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		m := &machine{model: newModel(seed), disk: disktest.New(seed), out: outcome{read: map[int]bool{}}}
		m.options = diskbuffer.Options{
			Max: rapid.Int64Range(8000, 40_000).Draw(t, "max"), Segment: rapid.Int64Range(1, 6000).Draw(t, "segment"),
			Compression: rapid.SampledFrom([]diskbuffer.Compression{diskbuffer.None, diskbuffer.S2, diskbuffer.Zstd}).Draw(t, "compression"),
		}
		var err error
		if m.store, err = diskbuffer.Create(m.disk.Open(), testMeta, m.options); err != nil {
			t.Fatal(err)
		}
		m.stream(t)
		t.Repeat(map[string]func(*rapid.T){
			"append": m.append, "append again": m.append, "stream": m.stream, "sync": m.sync, "read": m.read,
			"settle": m.settle, "offer": m.offer, "withdraw": m.withdraw, "tidy": m.tidy, "reopen": m.reopen, "": m.bound,
		})
	})
}

func (m *machine) stream(t *rapid.T) {
	if m.added >= 4 {
		t.Skip("enough streams")
	}
	m.added++
	if err := m.store.AddStream(m.newStream()); err != nil {
		t.Fatal(err)
	}
}

func (m *machine) append(t *rapid.T) {
	seqs := slices.Clone(m.seqs)
	payload := m.payload(rapid.SampledFrom([]int{20, 300, 2000}).Draw(t, "bodies"))
	write, again := m.store.Append, rapid.IntRange(0, 3).Draw(t, "again") == 3
	if again {
		write = m.store.AppendAgain
	}
	place, err := write(payload)
	if errors.Is(err, diskbuffer.ErrFull) {
		m.seqs = seqs
		return
	}
	if err != nil || place.Position != m.end {
		t.Fatalf("append at %+v: %+v, %v", m.end, place, err)
	}
	m.appended(payload, place)
	m.frames[len(m.frames)-1].again = again
}

func (m *machine) sync(t *rapid.T) {
	if p, err := m.store.Sync(); err != nil || p != m.end {
		t.Fatalf("sync: %+v, %v; want %+v", p, err, m.end)
	}
}

func (m *machine) read(t *rapid.T) {
	if err := m.readOn(m.store, &m.out); err != nil || m.out.end != m.end || m.out.lost != 0 {
		t.Fatalf("read: %v, ended at %+v with %d lost; want %+v", err, m.out.end, m.out.lost, m.end)
	}
}

// settle settles some of what was read, and the first half of a frame, too.
func (m *machine) settle(t *rapid.T) {
	to := m.position(rapid.Uint64Range(m.settled.Events, max(m.out.end.Events, m.settled.Events)).Draw(t, "to"))
	m.settled = to
	if err := m.store.Settle(to); err != nil {
		t.Fatal(err)
	}
}

func (m *machine) offer(t *rapid.T) {
	m.offered = max(m.offered, rapid.Uint64Range(0, m.end.Events).Draw(t, "events"))
	if err := m.store.Offer(m.offered); err != nil {
		t.Fatal(err)
	}
}

func (m *machine) withdraw(t *rapid.T) {
	to := rapid.Uint64Range(0, m.end.Events).Draw(t, "events")
	m.offered = min(m.offered, to)
	if err := m.store.Withdraw(to); err != nil {
		t.Fatalf("withdraw what is behind %d events: %v", to, err)
	}
}

// tidy must leave no segment behind that is settled, but for the last.
func (m *machine) tidy(t *rapid.T) {
	if err := m.store.Tidy(); err != nil {
		t.Fatal(err)
	}
	needed := map[uint64]bool{}
	for _, f := range m.frames {
		if f.end.Events > m.settled.Events {
			needed[f.place.Segment] = true
		}
	}
	if n := m.store.Usage().Segments; n > len(needed)+1 {
		t.Fatalf("%d segments are left, %d have something that is not settled", n, len(needed))
	}
}

func (m *machine) reopen(t *rapid.T) {
	clean := rapid.Bool().Draw(t, "clean")
	left, err := m.store.Left()
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range m.pending() {
		if got := left[uint32(i)]; got != want {
			t.Fatalf("%+v of stream %d is said to be left, want %+v", got, i, want)
		}
	}
	if err := m.store.Close(clean); err != nil {
		t.Fatal(err)
	}
	s, found, err := diskbuffer.Open(m.disk.Open(), m.options)
	if err != nil {
		t.Fatal(err)
	}
	m.store = s
	if found.Settled != m.settled || found.End != m.end || found.Offered != m.offered || len(found.Notes) > 0 || clean && !found.Clean {
		t.Fatalf("closed, clean %t, at %+v, settled %+v, offered %d: found %+v", clean, m.end, m.settled, m.offered, found)
	}
	// Where there is no room for it, a stream without records is not told of.
	known := m.streams
	for len(known) > len(found.Streams) && known[len(known)-1].LastSeq == 0 {
		known = known[:len(known)-1]
	}
	if diff := cmp.Diff(known, found.Streams, cmpopts.EquateEmpty()); diff != "" && clean {
		t.Fatalf("streams (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(m.pending()[:len(found.Pending)], found.Pending); diff != "" {
		t.Fatalf("pending between %+v and %+v (-want +got):\n%s", m.settled, m.end, diff)
	}
	// One that was never written to is not known to a killed store.
	for _, st := range m.streams {
		if err := s.AddStream(diskbuffer.Stream{Index: st.Index, Name: st.Name}); err != nil {
			t.Fatal(err)
		}
	}
	m.out = outcome{read: map[int]bool{}, end: m.settled}
}

// pending counts what is not settled, by stream.
func (m *machine) pending() []diskbuffer.Count {
	all := make([]diskbuffer.Count, len(m.streams))
	for _, f := range m.frames {
		at := f.at.Events
		measure(f.payload, func(b *record.Batch) {
			skip := min(uint64(b.Count), m.settled.Events-min(m.settled.Events, at))
			at += uint64(b.Count)
			if b.Kind != record.KindRecords || skip == uint64(b.Count) {
				return
			}
			b.Slice(int(skip), b.Count-int(skip))
			all[b.Stream].Records += uint64(b.Count)
			all[b.Stream].Bytes += uint64(b.Bytes)
		})
	}
	return all
}

// bound holds the sizes of the files to what the store says and may use.
func (m *machine) bound(t *rapid.T) {
	used := int64(0)
	for _, name := range m.disk.Names() {
		used += int64(m.disk.Size(name))
	}
	u := m.store.Usage()
	pending := diskbuffer.Position{Events: m.end.Events - m.settled.Events, Records: m.end.Records - m.settled.Records}
	if used > m.options.Max || u.Bytes != used || u.Max != m.options.Max || u.Pending != pending {
		t.Fatalf("the files have %d of at most %d bytes, %+v is pending; usage is %+v", used, m.options.Max, pending, u)
	}
}

// TestAppendTakesNoMemory: what happens for every 64 KiB must not feed the
// garbage collector.
func TestAppendTakesNoMemory(t *testing.T) {
	dir, err := diskbuffer.OpenDir(t.TempDir(), diskbuffer.Owner{UID: -1, GID: -1})
	if err != nil {
		t.Fatal(err)
	}
	s, err := diskbuffer.Create(dir, testMeta, diskbuffer.Options{Max: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.AddStream(diskbuffer.Stream{Name: "stdout"}); err != nil {
		t.Fatal(err)
	}
	payload := lines(4 << 10)
	add := func() {
		if _, err := s.Append(payload); err != nil {
			t.Fatal(err)
		}
	}
	add()
	if n := testing.AllocsPerRun(100, add); n > 0 {
		t.Errorf("an append takes new memory %v times", n)
	}
	if err := s.Close(false); err != nil {
		t.Fatal(err)
	}
}
