package diskbuffer_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/spillway/spillway/internal/diskbuffer"
	"github.com/spillway/spillway/internal/diskbuffer/disktest"
)

// world is a machine with one store on it, through several powers.
type world struct {
	*model
	disk    *disktest.Disk
	options diskbuffer.Options
	store   *diskbuffer.Store
	// out is what was read since the store was opened.
	out outcome
	// synced is up to where all is durable, settled the highest position that was
	// settled, written the one that no kill takes back and kept the one that no
	// power cut does, offered likewise what no kill takes back; all as events.
	synced, settled, written, kept, offered uint64
	// made says that a Create returned without an error.
	made bool
	told bool
	log  []string
	cuts int
}

// TestPowerCut runs random work on a disk that loses power at a random call, and
// opens what is left, several times one after the other.
func TestPowerCut(t *testing.T) {
	cuts := 300
	switch {
	case os.Getenv("SPILLWAY_LONG") != "":
		cuts = 100_000
	case os.Getenv("SPILLWAY_CI") != "":
		cuts = 5_000
	}
	if text := os.Getenv("SPILLWAY_SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		w := newWorld(seed)
		if err := w.run(true); err != nil {
			t.Error(err)
		}
		t.Log(w.story())
		return
	}
	var done, seeds atomic.Int64
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for done.Load() < int64(cuts) && !t.Failed() {
				seed := uint64(seeds.Add(1))
				w := newWorld(seed)
				watched(t, fmt.Sprintf("SPILLWAY_SEED=%d", seed), func() {
					if err := w.run(false); err != nil {
						again := newWorld(seed)
						t.Errorf("SPILLWAY_SEED=%d: %v; once more: %v%s", seed, err, again.run(true), again.story())
					}
				})
				done.Add(int64(w.cuts))
			}
		})
	}
	workers.Wait()
	t.Logf("%d power cuts", done.Load())
}

func newWorld(seed uint64) *world {
	w := &world{model: newModel(seed), disk: disktest.New(seed)}
	w.options = diskbuffer.Options{
		Max: 1 << 20, Segment: []int64{600, 2000, 5000, 20_000}[w.random.IntN(4)],
		Compression: []diskbuffer.Compression{diskbuffer.None, diskbuffer.S2, diskbuffer.Zstd}[w.random.IntN(3)],
	}
	return w
}

// note keeps what happened. It costs more than what it tells of, so that a world
// that fails is made once more for its log.
func (w *world) note(format string, args ...any) {
	if !w.told {
		return
	}
	w.log = append(w.log, fmt.Sprintf(format, args...))
}

// run is the whole life of the machine; told says that it keeps a log.
func (w *world) run(told bool) error {
	w.tell(told)
	w.note("options %+v, tears %t", w.options, w.disk.Tears())
	for range 4 {
		if err := w.power(); err != nil {
			return err
		}
	}
	return nil
}

// tell makes the world keep a log of what it does and of each call.
func (w *world) tell(told bool) {
	if w.told = told; told {
		w.disk.Watch = func(call string) { w.note("      %s", call) }
	}
}

// story is the log, and what files there are.
func (w *world) story() string {
	return "\n  " + strings.Join(w.log, "\n  ") + "\n  " + w.disk.String()
}

// power is the time between two power cuts, or kills.
func (w *world) power() error {
	w.disk.CutAt(1 + w.random.IntN(150))
	err := w.begin()
	for range 60 {
		if err != nil || w.disk.Off() {
			break
		}
		err = w.act()
	}
	if err != nil && !w.disk.Off() {
		return err
	}
	if errors.Is(err, errWrong) {
		return err
	}
	w.store = nil
	if w.random.IntN(8) == 0 {
		w.note("kill")
		w.disk.Kill()
		return w.survivors(true)
	}
	w.note("power cut")
	w.cuts++
	w.disk.Restart()
	return w.survivors(false)
}

// survivors opens a copy of what is left and makes the model what it says. A
// killed process loses nothing that it wrote, but nothing of it is durable.
func (w *world) survivors(killed bool) error {
	disk := w.disk.Clone(w.random.Uint64())
	store, found, err := diskbuffer.Open(disk.Open(), w.options)
	if errors.Is(err, fs.ErrNotExist) && !w.made && w.synced == 0 {
		// Its Create was cut short, so that only a Sync made it durable.
		w.cut(diskbuffer.Position{})
		w.settled, w.written, w.offered = 0, 0, 0
		return nil
	}
	if err != nil {
		return wrong("open after a cut: %v", err)
	}
	w.note("is from %+v to %+v, synced %d, settled %d, kept %d", found.Settled, found.End, w.synced, w.settled, w.kept)
	safe := w.synced
	if killed {
		safe = w.sure()
	}
	if found.End.Events < safe || found.End.Events > w.end.Events {
		return wrong("the end is %+v, appended was up to %+v, safe is %d", found.End, w.end, safe)
	}
	if found.Settled.Events > w.settled || killed && found.Settled.Events < w.written || found.Settled.Events < w.kept && !w.disk.Tears() {
		return wrong("settled is %+v, told was %d and made durable %d", found.Settled, w.settled, w.kept)
	}
	if killed && found.Offered < w.offered {
		return wrong("offered are %d events, told were %d", found.Offered, w.offered)
	}
	w.cut(found.End)
	out, err := w.readAll(store, found.Settled)
	if err == nil {
		err = w.whole(out, found.Settled, diskbuffer.Position{Events: min(safe, w.end.Events)})
	}
	if err == nil {
		err = counts(found, out)
	}
	if err == nil {
		err = w.named(found, out)
	}
	if err != nil {
		return err
	}
	if err := store.Close(false); err != nil {
		return wrong("close: %v", err)
	}
	w.settled, w.written, w.offered = found.Settled.Events, found.Settled.Events, found.Offered
	for i := range w.frames {
		w.frames[i].gone = !out.read[i] && (!killed || w.frames[i].gone)
	}
	if !killed {
		w.synced, w.kept = found.End.Events, found.Settled.Events
	}
	return nil
}

// sure is up to where the payloads are whose Append said that they are written.
func (w *world) sure() uint64 {
	for n := len(w.frames) - 1; n >= 0; n-- {
		if !w.frames[n].gone {
			return w.frames[n].end.Events
		}
	}
	return 0
}

// named fails where a batch came back whose stream Open does not know.
func (w *world) named(found *diskbuffer.Found, out outcome) error {
	for i := range out.read {
		for s := range streamsOf(w.frames[i].payload) {
			if i := indexOf(found.Streams, s); i < 0 || found.Streams[i].Name != w.streams[s].Name {
				return wrong("records of stream %d came back, the streams are said to be %+v", s, found.Streams)
			}
		}
	}
	return nil
}

// indexOf is where a stream stands in a list, or -1.
func indexOf(streams []diskbuffer.Stream, index uint32) int {
	return slices.IndexFunc(streams, func(s diskbuffer.Stream) bool { return s.Index == index })
}

// begin opens the store, or makes it where there is none yet.
func (w *world) begin() error {
	store, found, err := diskbuffer.Open(w.disk.Open(), w.options)
	if errors.Is(err, fs.ErrNotExist) {
		if w.made {
			return wrong("the store is gone: %v", err)
		}
		w.note("create")
		store, err = diskbuffer.Create(w.disk.Open(), testMeta, w.options)
		if err != nil {
			return err
		}
		w.made, found = true, &diskbuffer.Found{Meta: testMeta}
		w.kept = 0
	}
	if err != nil {
		return err
	}
	w.note("open: settled %+v, end %+v, clean %t, notes %q", found.Settled, found.End, found.Clean, found.Notes)
	if found.End.Events < w.sure() || found.End.Events > w.end.Events {
		return wrong("opened with the end at %+v, it is %+v", found.End, w.end)
	}
	w.cut(found.End)
	w.store, w.out = store, outcome{read: map[int]bool{}, end: found.Settled}
	w.settled, w.written, w.offered = found.Settled.Events, found.Settled.Events, found.Offered
	w.model.streams = nil
	for len(w.model.streams) < 2 || len(w.model.streams) < len(w.seqs) {
		if i := indexOf(found.Streams, uint32(len(w.model.streams))); i >= 0 {
			w.model.streams = append(w.model.streams, found.Streams[i])
		} else if err := w.addStream(); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) addStream() error {
	s := w.newStream()
	w.note("stream %d", s.Index)
	err := w.store.AddStream(s)
	if err != nil {
		w.streams = w.streams[:s.Index]
	}
	return err
}

// act does one thing at random.
func (w *world) act() error {
	switch n := w.random.IntN(100); {
	case n < 45:
		return w.append()
	case n < 55:
		return w.sync()
	case n < 65:
		return w.settle()
	case n < 71:
		to := w.random.Uint64N(w.end.Events + 1)
		w.note("offer %d", to)
		err := w.store.Offer(to)
		if err == nil {
			w.offered = max(w.offered, to)
		}
		return err
	case n < 80:
		w.note("tidy with %d settled", w.settled)
		err := w.store.Tidy()
		if err == nil {
			w.kept = w.settled
		}
		return err
	case n < 90:
		w.note("read from %+v", w.out.end)
		err := w.readOn(w.store, &w.out)
		if err == nil && w.out.end != w.end {
			return wrong("reading ended at %+v, written is up to %+v", w.out.end, w.end)
		}
		return err
	case n < 93:
		if len(w.streams) < 5 {
			return w.addStream()
		}
		return nil
	case n < 96:
		return w.usage()
	default:
		return w.reopen()
	}
}

func (w *world) append() error {
	bodies := 120
	if w.random.IntN(10) == 0 {
		bodies = 3000
	}
	payload := w.payload(bodies)
	place, err := w.store.Append(payload)
	w.note("append %d bytes at %+v: %+v, %v", len(payload), w.end, place, err)
	if errors.Is(err, diskbuffer.ErrFull) {
		return nil
	}
	if err != nil && !w.disk.Off() {
		return err
	}
	if err == nil && place.Position != w.end {
		return wrong("appended at %+v, that is %+v", place, w.end)
	}
	w.appended(payload, place)
	// What was written when the power went may be there.
	w.frames[len(w.frames)-1].gone = err != nil
	return err
}

func (w *world) sync() error {
	p, err := w.store.Sync()
	w.note("sync: %+v, %v", p, err)
	if err != nil {
		w.unsure(err)
		return err
	}
	if p != w.end {
		return wrong("synced up to %+v, written was up to %+v", p, w.end)
	}
	w.synced = p.Events
	return nil
}

// unsure takes from the model what a failed sync may have lost.
func (w *world) unsure(err error) {
	var failed *diskbuffer.SyncError
	if !errors.As(err, &failed) {
		return
	}
	for i, f := range w.frames {
		if f.end.Events > failed.From.Events && f.at.Events < failed.To.Events {
			w.frames[i].gone = true
		}
	}
}

// settle moves the settled prefix, and the reader where it would be overtaken.
func (w *world) settle() error {
	to := w.position(w.settled + w.random.Uint64N(w.end.Events-w.settled+1))
	for _, f := range w.frames {
		if w.out.end.Events >= to.Events {
			break
		}
		if f.at.Events <= to.Events && to.Events < f.end.Events {
			if f.gone || f.place.Segment == 0 {
				return nil
			}
			w.note("seek %+v", f.place)
			w.store.Seek(f.place)
			w.out = outcome{read: map[int]bool{}, end: to}
		}
	}
	if to.Events > w.out.end.Events {
		return nil
	}
	w.note("settle %+v", to)
	w.settled = to.Events
	err := w.store.Settle(to)
	if err == nil {
		w.written = to.Events
	}
	return err
}

func (w *world) usage() error {
	u, bytes := w.store.Usage(), int64(0)
	for _, name := range w.disk.Names() {
		bytes += int64(w.disk.Size(name))
	}
	if u.Bytes != bytes || u.Bytes > w.options.Max {
		return wrong("usage is %+v, the files have %d bytes: %v", u, bytes, w.disk)
	}
	return nil
}

// reopen closes the store, cleanly or not, and opens it again.
func (w *world) reopen() error {
	clean := w.random.IntN(3) > 0
	w.note("close, clean %t", clean)
	streams, settled, offered := w.streams, w.settled, w.offered
	if err := w.store.Close(clean); err != nil {
		return err
	}
	if err := w.begin(); err != nil {
		return err
	}
	if w.settled != settled || w.offered < offered {
		return wrong("closed with %d settled and %d offered, opened with %d and %d", settled, offered, w.settled, w.offered)
	}
	if diff := cmp.Diff(streams, w.streams); diff != "" && clean {
		return wrong("streams after a clean close (-want +got):\n%s", diff)
	}
	return nil
}
