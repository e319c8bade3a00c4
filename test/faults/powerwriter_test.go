package faults

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/spillway/spillway/internal/diskbuffer"
	"github.com/spillway/spillway/internal/record"
)

// powerOptions make small segments, so that cuts often fall where one ends and the next begins.
var powerOptions = diskbuffer.Options{Max: 96 << 20, Segment: 1 << 20}

// powerWriter fills a disk buffer at level power as the buffer in memory does: batches are appended, synced beside that,
// acknowledged, settled a while later, and what is settled is deleted. What it knows is outside of the image.
type powerWriter struct {
	path    string
	syncing sync.Mutex // held while something is synced, settled and deleted

	mu           sync.Mutex
	acknowledged diskbuffer.Position // synced
	settled      diskbuffer.Position // no longer needed
	failed       error

	store *diskbuffer.Store
	quit  chan struct{}
	moved chan struct{} // gets something after each sync
	work  sync.WaitGroup
}

// progress is what a writer had been told at a moment.
type progress struct{ acknowledged, settled diskbuffer.Position }

func startWriter(t *testing.T, path string) *powerWriter {
	t.Helper()
	w := &powerWriter{path: path}
	store, err := diskbuffer.Create(openBuffer(t, path), diskbuffer.Meta{Identity: "power", Limit: 1 << 20}, powerOptions)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.AddStream(diskbuffer.Stream{Name: "stdout"}); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Sync(); err != nil {
		t.Fatal(err)
	}
	w.run(store)
	return w
}

func openBuffer(t *testing.T, path string) diskbuffer.FS {
	t.Helper()
	dir, err := diskbuffer.OpenDir(path, diskbuffer.Owner{UID: -1, GID: -1})
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func (w *powerWriter) run(store *diskbuffer.Store) {
	w.store, w.quit, w.moved = store, make(chan struct{}), make(chan struct{}, 1)
	w.work.Go(func() { w.until(w.append()) })
	w.work.Go(func() { w.until(w.sync) })
}

// until repeats a step until the writer ends or the step fails.
func (w *powerWriter) until(step func() error) {
	for {
		select {
		case <-w.quit:
			return
		default:
		}
		if err := step(); err != nil {
			w.mu.Lock()
			w.failed = errors.Join(w.failed, err)
			w.mu.Unlock()
			return
		}
	}
}

// append appends a batch of up to 64 KiB; a full buffer is left to sync and settle.
func (w *powerWriter) append() func() error {
	random := rand.New(rand.NewPCG(1, w.store.End().Events))
	payload := make([]byte, 0, 128<<10)
	return func() error {
		payload = numbered(payload[:0], w.store.End().Records, 1+random.IntN(1+random.IntN(512)))
		_, err := w.store.Append(payload)
		if errors.Is(err, diskbuffer.ErrFull) {
			select {
			case <-w.moved:
			case <-w.quit:
			}
			return nil
		}
		return err
	}
}

// sync acknowledges what is durable, settles all but the last few MiB of it, and deletes what is settled.
func (w *powerWriter) sync() error {
	const kept = 20_000
	w.syncing.Lock()
	defer w.syncing.Unlock()
	to, err := w.store.Sync()
	if err != nil {
		return err
	}
	w.mu.Lock()
	w.acknowledged = to
	settle := to.Events > w.settled.Events+2*kept
	if settle {
		// Said before it is done: once it is, nobody needs those records.
		w.settled = diskbuffer.Position{Events: to.Events - kept, Records: to.Records - kept}
	}
	settled := w.settled
	w.mu.Unlock()
	if settle {
		if err := errors.Join(w.store.Settle(settled), w.store.Tidy()); err != nil {
			return err
		}
	}
	select {
	case w.moved <- struct{}{}:
	default:
	}
	return nil
}

// goOn returns when so many more records are acknowledged.
func (w *powerWriter) goOn(t *testing.T, records uint64) {
	t.Helper()
	began := w.state().acknowledged.Records
	waitFor(t, "the next acknowledged records", time.Minute, func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.acknowledged.Records >= began+records || w.failed != nil
	})
}

func (w *powerWriter) state() progress {
	w.mu.Lock()
	defer w.mu.Unlock()
	return progress{w.acknowledged, w.settled}
}

// stop ends the writer as a kill would, and returns how much it had acknowledged.
func (w *powerWriter) stop(t *testing.T) uint64 {
	t.Helper()
	if w.store == nil {
		return w.acknowledged.Records
	}
	close(w.quit)
	w.work.Wait()
	if err := errors.Join(w.failed, w.store.Close(false)); err != nil {
		t.Errorf("write the buffer: %v", err)
	}
	w.store = nil
	return w.acknowledged.Records
}

// restart ends the writer, and goes on with a new one as a successor would.
func (w *powerWriter) restart(t *testing.T) {
	t.Helper()
	w.stop(t)
	store, found, err := diskbuffer.Open(openBuffer(t, w.path), powerOptions)
	if err != nil {
		t.Fatal(err)
	}
	if found.End.Records < w.acknowledged.Records || len(found.Notes) > 0 {
		t.Errorf("reopened at %d records, %d were acknowledged: %q", found.End.Records, w.acknowledged.Records, found.Notes)
	}
	w.run(store)
}

// numbered appends a batch of count records behind the first ones. Each holds its number.
func numbered(dst []byte, first uint64, count int) []byte {
	b := record.Batch{Kind: record.KindRecords, Count: count, FirstSeq: first + 1, Time: int64(first)}
	dst = append(dst, make([]byte, record.HeaderSize)...)
	for n := range uint64(count) {
		var body [120]byte
		for at := range len(body) / 8 {
			binary.LittleEndian.PutUint64(body[8*at:], (first+1+n)*uint64(2*at+1))
		}
		var added record.Added
		dst, added = record.AppendBody(dst, body[:])
		b.Bytes += added.Bytes
		b.Repair += added.Repair
	}
	record.PutHeader(dst, &b, len(dst)-record.HeaderSize)
	return dst
}

// recoverFrom opens what a power cut left of a buffer and reads all of it. Every record that was acknowledged before
// the cut and not settled after it must be there. Of what nobody was told there may be any part.
func recoverFrom(t *testing.T, path string, before, after progress) cut {
	t.Helper()
	store, found, err := diskbuffer.Open(openBuffer(t, path), powerOptions)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := store.Close(true); err != nil {
			t.Error(err)
		}
	}()
	c := cut{acknowledged: before.acknowledged.Records}
	if over := found.Settled.Records - min(found.Settled.Records, after.settled.Records); over > 0 {
		t.Errorf("the image has %d records as settled, which was said of %d", found.Settled.Records, after.settled.Records)
		c.lost += over
	}
	end, err := c.read(store, found.Settled.Records)
	c.missing(end, c.acknowledged)
	if err != nil || c.lost > 0 {
		t.Errorf("%d of %d acknowledged records are lost, %v: %q", c.lost, c.acknowledged, err, found.Notes)
	}
	return c
}

// cut is what one power cut left.
type cut struct {
	acknowledged uint64 // when it began
	records      uint64 // looked at
	lost         uint64 // acknowledged and missing
	beyond       uint64 // looked at, and not acknowledged when it began
}

// missing notes that the records behind the one are missing, up to the other.
func (c *cut) missing(from, to uint64) {
	if to = min(to, c.acknowledged); from < to {
		c.lost += to - from
	}
}

// read reads all records behind those that are settled, and returns the number of the last.
func (c *cut) read(store *diskbuffer.Store, settled uint64) (uint64, error) {
	last, began := settled, false
	dst := make([]byte, 256<<10)
	for {
		chunk, err := store.Read(dst)
		if len(chunk.Lost) > 0 {
			c.missing(last, chunk.First.Records)
			last = chunk.First.Records
		} else if chunk.N > 0 && !began {
			last = chunk.First.Records // The first frame may begin before what is settled.
		}
		began = true
		if err == io.EOF {
			return last, nil
		}
		if err == nil {
			last, err = c.look(dst[:chunk.N], last)
		}
		if err != nil {
			return last, err
		}
	}
}

// look holds batches against those that were written behind the given record.
func (c *cut) look(payload []byte, last uint64) (uint64, error) {
	var b record.Batch
	var again []byte
	for len(payload) > 0 {
		size := record.Parse(payload, &b)
		if again = numbered(again[:0], last, b.Count); !bytes.Equal(again, payload[:size]) {
			return last, fmt.Errorf("behind record %d are %d records from %d on, not what was written", last, b.Count, b.FirstSeq)
		}
		last += uint64(b.Count)
		c.records += uint64(b.Count)
		if last > c.acknowledged {
			c.beyond += min(last-c.acknowledged, uint64(b.Count))
		}
		payload = payload[size:]
	}
	return last, nil
}
