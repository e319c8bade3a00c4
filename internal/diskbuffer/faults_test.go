package diskbuffer_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/spillway/spillway/internal/diskbuffer"
	"github.com/spillway/spillway/internal/diskbuffer/disktest"
)

// TestFaults lets each call (every fourth where there is little time) of a store's life fail in each way, once, for a while
// and until the end, and holds what comes out to what the store said meanwhile.
func TestFaults(t *testing.T) {
	faults := map[string]disktest.Fault{
		"ENOSPC":             {Err: syscall.ENOSPC},
		"EIO":                {Err: syscall.EIO},
		"short ENOSPC":       {Err: syscall.ENOSPC, Short: true},
		"short EIO":          {Err: syscall.EIO, Short: true},
		"ENOSPC, 4 times":    {Err: syscall.ENOSPC, Short: true, Times: 4},
		"EIO, 12 times":      {Err: syscall.EIO, Times: 12},
		"ENOSPC, to the end": {Err: syscall.ENOSPC, Times: -1},
		"EIO, to the end":    {Err: syscall.EIO, Short: true, Times: -1},
	}
	seeds, step := 1, 4
	switch {
	case os.Getenv("SPILLWAY_LONG") != "":
		seeds, step = 40, 1
	case os.Getenv("SPILLWAY_CI") != "":
		seeds, step = 4, 1
	case testing.Short():
		step = 13
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			runs := 0
			for seed := range uint64(seeds) {
				for n, reached := 1, true; reached; n += step {
					what := fmt.Sprintf("seed %d, %s at call %d", seed, name, n)
					watched(t, what, func() {
						var err error
						if reached, err = fail(seed, n, fault, false); err != nil {
							t.Errorf("%s: %v", what, err)
						}
					})
					if t.Failed() {
						return
					}
					runs++
				}
			}
			t.Logf("%d runs", runs)
		})
	}
}

// fail lives one life with a fault in the n-th call, and says whether there is
// one. An error has its story.
func fail(seed uint64, n int, fault disktest.Fault, told bool) (reached bool, err error) {
	w := newWorld(seed)
	w.options.Segment = 2000
	w.tell(told)
	w.disk.Fail(n, fault)
	err = w.faulty()
	reached = w.disk.Failed()
	if err == nil {
		err = w.afterwards()
	}
	if err != nil && !told {
		_, err = fail(seed, n, fault, true)
	} else if err != nil {
		err = fmt.Errorf("%w%s", err, w.story())
	}
	return reached, err
}

// faulty does all that a store can do, whatever fails meanwhile. What fails is
// tried once more, so that one fault leaves no step out.
func (w *world) faulty() error {
	script := "o k o aaa s aaa p f t r n a s aaa c o r aaa p r k o ra t s n aa s a f r c o r aa"
	for _, step := range strings.ReplaceAll(script, " ", "") {
		for range 2 {
			err := w.step(step)
			if errors.Is(err, errWrong) {
				return err
			}
			if w.store != nil {
				if err := w.bounded(); err != nil {
					return err
				}
			}
			if err == nil {
				break
			}
			w.note("%c failed: %v", step, err)
		}
	}
	return nil
}

// bounded fails where the files have more bytes than the store says.
func (w *world) bounded() error {
	bytes := int64(0)
	for _, name := range w.disk.Names() {
		bytes += int64(w.disk.Size(name))
	}
	if u := w.store.Usage(); u.Bytes < bytes || u.Bytes > w.options.Max {
		return wrong("usage is %+v, the files have %d bytes: %v", u, bytes, w.disk)
	}
	return nil
}

// step does one thing, and opens the store before if it is not open.
func (w *world) step(what rune) error {
	if w.store == nil {
		if err := w.begin(); err != nil || what == 'o' {
			return err
		}
	}
	switch what {
	case 'a':
		return w.append()
	case 's':
		return w.sync()
	case 'p':
		return w.settle()
	case 'f':
		return w.store.Offer(w.end.Events)
	case 't':
		return w.store.Tidy()
	case 'r':
		return w.readOn(w.store, &w.out)
	case 'n':
		return w.addStream()
	case 'c', 'k':
		store := w.store
		w.store = nil
		err := store.Close(what == 'c')
		w.unsure(err)
		return err
	}
	return nil
}

// afterwards, when nothing fails any more, the store goes on: it writes, syncs
// and reads back, survives a power cut with what it synced, and can be removed.
func (w *world) afterwards() error {
	w.note("no more faults")
	w.disk.Fail(0, disktest.Fault{})
	for _, step := range "oanas" {
		if err := w.step(step); err != nil {
			return fmt.Errorf("%c afterwards: %w", step, err)
		}
	}
	w.note("read all, from %+v", w.out.end)
	if err := w.readOn(w.store, &w.out); err != nil {
		return err
	}
	if w.out.end != w.end {
		return wrong("reading ended at %+v, written is up to %+v", w.out.end, w.end)
	}
	w.note("power cut")
	w.store = nil
	w.disk.Restart()
	if err := w.survivors(false); err != nil {
		return err
	}
	if err := w.begin(); err != nil {
		return fmt.Errorf("open at last: %w", err)
	}
	if err := w.store.Settle(w.end); err != nil {
		return err
	}
	if err := w.store.Remove(); err != nil {
		return err
	}
	if names := w.disk.Names(); len(names) > 0 {
		return wrong("%v is left after remove", names)
	}
	return nil
}

// TestRemoveFails fails each call of Remove; a second one, of the same store or
// of one that is opened again, must finish.
func TestRemoveFails(t *testing.T) {
	for n := 1; ; n++ {
		w := newWorld(uint64(n))
		for _, step := range "oaaas" {
			if err := w.step(step); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.store.Settle(w.end); err != nil {
			t.Fatal(err)
		}
		w.disk.Fail(n, disktest.Fault{Err: syscall.EIO})
		err := w.store.Remove()
		if !w.disk.Failed() {
			if err != nil {
				t.Fatalf("remove: %v", err)
			}
			t.Logf("remove makes %d calls", n-1)
			return
		}
		w.disk.Kill()
		if len(w.disk.Names()) == 0 {
			continue
		}
		store, found, err := diskbuffer.Open(w.disk.Open(), w.options)
		if errors.Is(err, fs.ErrNotExist) && !strings.Contains(w.disk.String(), ".seg") {
			continue // There is no buffer any more; Create replaces what is left.
		}
		if err != nil {
			t.Fatalf("open after a failed remove at call %d: %v; %v", n, err, w.disk)
		}
		if found.Settled != w.end || found.End != w.end {
			t.Fatalf("after a failed remove at call %d: %+v; %v", n, found, w.disk)
		}
		if err := store.Remove(); err != nil {
			t.Fatalf("remove again after call %d: %v", n, err)
		}
	}
}
