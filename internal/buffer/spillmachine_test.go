package buffer_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/diskbuffer"
	"github.com/spillway/spillway/internal/diskbuffer/disktest"
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink"
)

// ordeal is a buffer in mode spill to which everything happens at once: a small
// disk, a disk that fails, a destination that rejects, several streams, processes
// that end in any way.
type ordeal struct {
	tb
	disk         *disktest.Disk
	options      diskbuffer.Options
	level        buffer.Durability
	full         buffer.WhenFull
	limit        int64
	sink         sink.Limits
	random       *rand.Rand
	faulty       bool // the disk may fail
	fails, after atomic.Int64
	failure      error

	buf     *buffer.Buffer
	streams []*record.Stream
	flight  []*buffer.Request
	stop    func()

	handed    []string
	delivered map[string]int
	rejected  map[string]bool
	possible  int64
	dropped   int64
	told      int64
	recovered int64
	untidy    bool // a process was killed, or left copies behind
	parcels   []*parcel
	// identities are those of what came in chunks, over the lives of all processes.
	identities map[string]record.Identity
}

// flaky is a directory of which the next calls that write fail.
type flaky struct {
	diskbuffer.FS
	fails, after *atomic.Int64
	err          error
}

func (f flaky) fault() error {
	if f.after.Add(-1) >= 0 || f.fails.Add(-1) < 0 {
		return nil
	}
	return f.err
}

func (f flaky) RemoveDir() error { return nil }

func (f flaky) Create(name string) (diskbuffer.File, error) {
	if err := f.fault(); err != nil {
		return nil, err
	}
	file, err := f.FS.Create(name)
	return flakyFile{file, f}, err
}

func (f flaky) Open(name string, write bool) (diskbuffer.File, error) {
	if write {
		if err := f.fault(); err != nil {
			return nil, err
		}
	}
	file, err := f.FS.Open(name, write)
	if err != nil {
		return nil, err
	}
	return flakyFile{file, f}, err
}

func (f flaky) Remove(name string) error {
	if err := f.fault(); err != nil {
		return err
	}
	return f.FS.Remove(name)
}

func (f flaky) Sync() error {
	if err := f.fault(); err != nil {
		return err
	}
	return f.FS.Sync()
}

func (f flaky) Space() (int64, int64, error) {
	if err := f.fault(); err != nil {
		return 0, 0, err
	}
	return f.FS.Space()
}

type flakyFile struct {
	diskbuffer.File
	dir flaky
}

func (f flakyFile) WriteAt(off int64, pieces ...[]byte) error {
	if err := f.dir.fault(); err != nil {
		if bad := f.File.WriteAt(off, pieces[0]); bad != nil {
			return bad
		}
		return err
	}
	return f.File.WriteAt(off, pieces...)
}

func (f flakyFile) Truncate(size int64) error {
	if err := f.dir.fault(); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

func (f flakyFile) Sync() error {
	if err := f.dir.fault(); err != nil {
		return err
	}
	return f.File.Sync()
}

func (o *ordeal) begin() {
	o.Helper()
	o.fails.Store(0)
	dir := func() diskbuffer.FS { return flaky{o.disk.Open(), &o.fails, &o.after, o.failure} }
	store, found := openStore(o, dir, o.limit, o.options)
	disk := &buffer.Disk{Store: store, Found: found, Durability: o.level, WhenFull: o.full}
	o.buf = buffer.New(buffer.Config{Limit: o.limit, Mode: buffer.Spill, Disk: disk, Sink: o.sink}, ledger.New())
	o.streams, o.flight, o.recovered = nil, nil, o.buf.Balance().Recovered
	for _, name := range []string{"stdout", "stderr"} {
		o.streams = append(o.streams, o.buf.Open(name))
	}
	o.stop = keeping(o.buf)
}

// hand hands over lines of up to most bytes. A source that waits is no error
// where the disk may be full; then the destination comes back.
func (o *ordeal) hand(n, most int) {
	o.Helper()
	var all []byte
	for range n {
		text := fmt.Sprintf("%d ", len(o.handed))
		text += unlike(len(o.handed), o.random.IntN(max(most-len(text), 1)))
		o.handed = append(o.handed, text)
		all = append(append(all, text...), '\n')
	}
	s := o.streams[o.random.IntN(2)]
	done := make(chan struct{})
	go func() {
		defer close(done)
		for len(all) > 0 {
			end := min(len(all), 32<<10)
			if i := bytes.LastIndexByte(all[:end], '\n'); i >= 0 {
				end = i + 1
			} else {
				end = bytes.IndexByte(all, '\n') + 1
			}
			o.buf.Lines(s, time.Now().UnixNano(), all[:end], true)
			all = all[end:]
		}
	}()
	o.wait(done)
	o.check()
}

func (o *ordeal) wait(done chan struct{}) {
	o.Helper()
	for tries := 0; ; tries++ {
		synctest.Wait()
		select {
		case <-done:
			return
		default:
		}
		if tries == 0 && (o.full != buffer.Block && !o.faulty) {
			o.Fatalf("the source waits: %+v %+v", o.buf.State(), o.buf.State().Disk)
		}
		if tries > 1000 {
			o.Fatalf("the source waits for ever: %+v %+v", o.buf.State(), o.buf.State().Disk)
		}
		for o.take() {
		}
		if len(o.flight) > 0 && tries > 1 {
			o.settle(o.random.IntN(len(o.flight)), buffer.Fate{})
		}
		time.Sleep(300 * time.Millisecond)
	}
}

func (o *ordeal) take() bool {
	r := o.buf.Take(true)
	if r != nil {
		o.flight = append(o.flight, r)
	}
	return r != nil
}

func (o *ordeal) split(i int) {
	r := o.flight[i]
	if r.Events() < 2 {
		return
	}
	a, b := r.Split(1 + o.random.IntN(r.Events()-1))
	o.flight[i] = a
	o.flight = append(o.flight, b)
}

func (o *ordeal) settle(i int, fate buffer.Fate) {
	o.Helper()
	r := o.flight[i]
	o.flight = append(o.flight[:i], o.flight[i+1:]...)
	bad := func(at int) bool {
		for _, x := range fate.Rejected {
			if x.First <= at && at < x.End {
				return true
			}
		}
		return fate.Dropped != ""
	}
	for first, b := range r.Batches() {
		if b.Kind == record.KindLoss {
			if !bad(first) {
				o.told += b.Loss().Lost
			}
			continue
		}
		at := first
		for frames := b.Frames; len(frames) > 0; at++ {
			var body []byte
			body, _, frames = b.Next(frames)
			if want, ok := o.identities[string(body)]; ok {
				key, number := b.Identity(r.Stream(b.Stream))
				if got := (record.Identity{Key: key, Number: b.Number(number, at-first, body)}); got != want {
					o.Fatalf("a record of a chunk has the identity %v, want %v", got, want)
				}
			}
			if bad(at) {
				o.rejected[string(body)] = o.rejected[string(body)] || fate.Dropped != ledger.Shutdown
			} else {
				o.delivered[string(body)]++
			}
		}
	}
	for _, loss := range o.buf.Settle(r, fate) {
		o.told += loss.Lost
	}
	o.check()
}

func (o *ordeal) check() {
	o.Helper()
	b := o.buf.Balance()
	if b.Unaccounted != 0 || b.Bytes.Unaccounted != 0 || b.Pending < 0 || b.Bytes.Pending < 0 || b.Markers.Pending < 0 || b.ByReason[ledger.DiskDamage] > 0 {
		o.Fatalf("the balance is %+v", b.Sheet)
	}
	if s := o.buf.State(); s.Held > s.Limit || s.Fault != "" && !o.faulty && o.full != buffer.DropOldestFull || s.Disk.Used > s.Disk.Limit {
		o.Fatalf("the state is %+v, %+v", s, s.Disk)
	}
}

func (o *ordeal) drain() {
	o.Helper()
	drainAll(o, o.buf, o.take, func() {
		for len(o.flight) > 0 {
			o.settle(0, buffer.Fate{})
		}
	})
}

// past takes what a process counted into the sums.
func (o *ordeal) past() {
	b := o.buf.Balance()
	o.possible += b.PossibleDuplicates
	o.dropped += b.Dropped
}

func (o *ordeal) kill() {
	o.disk.Kill()
	o.past()
	o.stop()
	o.untidy = true
}

// end ends the process as it should be ended, with Abandon or without.
func (o *ordeal) end(abandon bool) {
	o.Helper()
	handed := o.buf.HandOver()
	if abandon {
		o.buf.Abandon()
	} else if !handed {
		return
	}
	more := func() {
		if o.full != buffer.Block || abandon {
			o.hand(5+o.random.IntN(2)*o.random.IntN(3000), 1000)
		}
	}
	more()
	for i := 0; len(o.flight) > 0; i++ {
		if i == 1 {
			more()
		}
		o.settle(o.random.IntN(len(o.flight)), []buffer.Fate{{}, {Dropped: ledger.Shutdown}}[o.random.IntN(2)])
	}
	if !o.buf.Idle() {
		o.Fatalf("it is not idle: %+v", o.buf.State())
	}
	o.stop()
	closing := o.buf.Close()
	left := o.buf.Balance()
	o.past()
	if closing != nil && !o.faulty {
		o.Fatalf("close: %v", closing)
	}
	if closing != nil || left.Recovered > o.recovered {
		o.untidy = true // It left copies behind.
	}
	o.begin()
	defer o.resend(closing == nil)
	got := o.buf.Balance()
	if got.Recovered != left.Pending || got.Bytes.Recovered != left.Bytes.Pending {
		o.Fatalf("%d records, %d bytes were left behind; %d, %d were recovered (%v)", left.Pending, left.Bytes.Pending,
			got.Recovered, got.Bytes.Recovered, closing)
	}
}

func (o *ordeal) finish() {
	o.Helper()
	o.fails.Store(0)
	time.Sleep(3 * time.Second)
	o.drain()
	o.stop()
	b := o.buf.Balance()
	o.past()
	if err := o.buf.Close(); err != nil {
		o.Fatalf("close: %v", err)
	}
	if names := o.disk.Names(); len(names) > 0 || b.Pending != 0 || b.Markers.Pending != 0 {
		o.Fatalf("%q are left of an empty buffer, %+v", names, b.Sheet)
	}
	o.checkParcels()
	twice, missing := int64(0), int64(0)
	for _, text := range o.handed {
		switch n := o.delivered[text]; n {
		case 0:
			missing++
		default:
			twice += int64(n - 1)
		}
	}
	if twice > o.possible {
		o.Fatalf("%d lines came twice, and %d were said to be possible duplicates", twice, o.possible)
	}
	if missing > o.dropped || !o.untidy && missing != o.dropped {
		o.Fatalf("%d of %d lines are missing, %d are counted", missing, len(o.handed), o.dropped)
	}
}

// TestSpillOrdeal: whatever goes wrong, nothing is lost that is not counted, what a
// process says it leaves behind is what the next one finds, and no more comes twice
// than was said to be possible.
func TestSpillOrdeal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rapid.SyncTest(t, func(t *rapid.T) {
			seed := rapid.Uint64().Draw(t, "seed")
			o := &ordeal{
				tb: t, disk: disktest.New(seed), delivered: map[string]int{}, rejected: map[string]bool{}, identities: map[string]record.Identity{},
				random: rand.New(rand.NewPCG(seed, 1)),
				level:  rapid.SampledFrom([]buffer.Durability{buffer.Memory, buffer.Kernel, buffer.Power}).Draw(t, "level"),
				full:   rapid.SampledFrom([]buffer.WhenFull{buffer.Block, buffer.DropNewestFull, buffer.DropOldestFull}).Draw(t, "full"),
				limit:  rapid.SampledFrom([]int64{buffer.MinLimit, 1 << 20}).Draw(t, "limit"),
				faulty: rapid.Bool().Draw(t, "faulty"),
				sink:   cloud, failure: []error{unix.EIO, unix.ENOSPC}[seed%2],
			}
			o.options = diskbuffer.Options{
				Max:         rapid.SampledFrom([]int64{1 << 20, 3 << 20, 1 << 30}).Draw(t, "max"),
				Compression: rapid.SampledFrom([]diskbuffer.Compression{diskbuffer.None, diskbuffer.S2}).Draw(t, "compression"),
			}
			o.sink.InFlight = rapid.SampledFrom([]int{1, 16}).Draw(t, "in flight")
			o.begin()
			t.Cleanup(func() { o.stop() })
			any := func(t *rapid.T) int {
				if len(o.flight) == 0 {
					t.Skip()
				}
				return o.random.IntN(len(o.flight))
			}
			t.Repeat(map[string]func(*rapid.T){
				"hand":  func(*rapid.T) { o.hand(1+o.random.IntN(20), 1000) },
				"burst": func(*rapid.T) { o.hand(1+o.random.IntN(500), 1000) },
				"flood": func(*rapid.T) { o.hand(500+o.random.IntN(4000), 1000) },
				"long":  func(*rapid.T) { o.hand(1+o.random.IntN(5), o.buf.MaxBody()) },
				"tiny":  func(*rapid.T) { o.hand(1+o.random.IntN(5000), 1) },
				"take":  func(*rapid.T) { o.take() },
				"settle": func(t *rapid.T) {
					i := any(t)
					if r := o.flight[i]; o.random.IntN(2) == 0 {
						r.Repeat([]sink.Span{{End: r.Events()}})
					}
					o.settle(i, buffer.Fate{})
				},
				"settle all": func(t *rapid.T) {
					for len(o.flight) > 0 {
						o.settle(o.random.IntN(len(o.flight)), buffer.Fate{})
					}
				},
				"drain": func(t *rapid.T) {
					if !o.faulty {
						o.drain()
					}
				},
				"reject": func(t *rapid.T) {
					i := any(t)
					n := o.flight[i].Events()
					from := o.random.IntN(n)
					o.settle(i, buffer.Fate{Rejected: []sink.Rejection{{First: from, End: from + 1 + o.random.IntN(n-from), Reason: "rejected-too-old"}}})
				},
				"refuse":    func(t *rapid.T) { o.settle(any(t), buffer.Fate{Dropped: ledger.RejectedInvalid}) },
				"split":     func(t *rapid.T) { o.split(any(t)) },
				"tick":      func(*rapid.T) { time.Sleep(150 * time.Millisecond) },
				"long tick": func(*rapid.T) { time.Sleep(6 * time.Second) },
				"fault": func(t *rapid.T) {
					if !o.faulty {
						t.Skip()
					}
					o.fails.Store(0)
					o.after.Store(int64(o.random.IntN(20)))
					o.fails.Store(1 + int64(o.random.IntN(8)))
				},
				"end":     func(*rapid.T) { o.end(false) },
				"abandon": func(*rapid.T) { o.end(true) },
				"kill": func(t *rapid.T) {
					if o.level == buffer.Memory {
						t.Skip()
					}
					o.kill()
					o.begin()
					o.resend(true)
				},
				"chunk": func(*rapid.T) { o.chunk(1+o.random.IntN(20), 1000, record.Level(o.random.IntN(4))) },
				"chunks": func(*rapid.T) {
					for range 50 {
						o.chunk(1+o.random.IntN(20), 1000, record.Level(o.random.IntN(4)))
					}
				},
				"large chunk": func(*rapid.T) { o.chunk(1+o.random.IntN(200), 1000, record.Level(o.random.IntN(4))) },
				"tiny chunks": func(*rapid.T) {
					for range 50 {
						o.chunk(1, 20, record.Level(o.random.IntN(4)))
					}
				},
			})
			o.finish()
		})
	})
}
