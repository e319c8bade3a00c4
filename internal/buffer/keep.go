package buffer

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/spillway/spillway/internal/diskbuffer"
	"github.com/spillway/spillway/internal/ledger"
	"github.com/spillway/spillway/internal/record"
)

// syncEvery is how far apart syncs are, at least, while no source waits for one.
const syncEvery = 100 * time.Millisecond

// tidyEvery is how long the store's page cache and cursor are left alone, since
// looking after them costs syncs.
const tidyEvery = 5 * time.Second

// retryEvery is how long a disk that failed, or is full because of others, is
// left alone.
const retryEvery = time.Second

// Keep does what the disk needs and nobody should wait for: it syncs, deletes
// segments that are settled, and looks whether a disk that failed takes records
// again. It returns when ctx ends, and at once where there is no disk.
func (b *Buffer) Keep(ctx context.Context) {
	if b.disk == nil {
		return
	}
	timer := time.NewTimer(retryEvery)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.disk.chores:
		case <-timer.C:
		}
		pause := time.Hour
		if b.keep() {
			pause = retryEvery
		}
		timer.Reset(pause)
		select {
		case <-ctx.Done():
			return
		case <-b.disk.urgent:
		case <-time.After(syncEvery):
		}
	}
}

// keep does the chores, and reports whether to look again though nothing moves.
func (b *Buffer) keep() bool {
	d := b.disk
	b.mu.Lock()
	wanted := d.wanted > d.durable.Events
	b.mu.Unlock()
	if d.Durability == Power || wanted {
		b.sync()
	}
	var err error
	if now := time.Now(); d.Store.Reclaimable() || now.Sub(d.tidied) >= tidyEvery {
		d.tidied = now
		err = d.Store.Tidy()
	}
	b.mu.Lock()
	defer b.unlock()
	if err != nil {
		b.doubtSync(err)
		b.fault = err
	}
	again := err != nil || d.trouble != nil || b.fault != nil && d.backlog
	b.changed.Broadcast()
	if d.backlog {
		b.poke()
	}
	return again
}

// sync makes what is written durable, and offers it. Where that fails nothing
// but the destination can save the records, so they are offered all the same.
func (b *Buffer) sync() {
	d := b.disk
	b.mu.Lock()
	marks := make(map[*block]int, len(b.waiting))
	for _, blk := range b.waiting {
		if blk.sure < blk.used {
			marks[blk] = blk.used
		}
	}
	dirty := d.durable.Events < d.Store.End().Events
	b.mu.Unlock()
	if !dirty && len(marks) == 0 {
		return
	}
	to, err := d.Store.Sync()
	b.mu.Lock()
	defer b.unlock()
	var failed *diskbuffer.SyncError
	if errors.As(err, &failed) {
		to = failed.To
	}
	if err != nil {
		b.fault = err
	}
	d.durable = to
	if failed != nil {
		b.notSynced(failed.From.Events)
	} else if err == nil {
		b.synced(to.Events)
	}
	for blk, used := range marks {
		blk.sure = used
	}
	b.poke()
}

// HandOver leaves everything that is not delivered to the disk: what is held is
// written, what arrives is written too, and no request is taken any more. It
// reports whether that is so; where the disk does not take what is held,
// delivery goes on.
func (b *Buffer) HandOver() bool {
	b.mu.Lock()
	defer b.unlock()
	return b.handOver(false)
}

func (b *Buffer) handOver(anyway bool) bool {
	d := b.disk
	if d == nil {
		return false
	}
	for d.loading {
		b.changed.Wait()
	}
	if d.handedOver {
		return true
	}
	if !b.writeAll() && !anyway {
		return false
	}
	d.writing, d.handedOver = true, true
	b.unload()
	if !d.backlog {
		d.backlog, d.from = true, d.Store.End()
		d.Store.Seek(diskbuffer.Place{Position: d.from})
	}
	b.leaveTail()
	b.changed.Broadcast()
	b.poke()
	return true
}

// Close ends the buffer's use of the disk, after Keep has ended and everything
// taken is settled: the losses that no marker has told yet are written behind
// everything else. A store of which all is settled is removed.
func (b *Buffer) Close() error {
	b.mu.Lock()
	defer b.unlock()
	d := b.disk
	defer b.disappoint()
	if d == nil {
		return nil
	}
	err := errors.Join(b.closeGaps(), d.Store.Settle(b.settled()))
	if err == nil {
		err = b.withdraw()
	}
	err = errors.Join(err, b.writeMarkers(), b.takeBack())
	if d.Store.Usage().Pending.Events == 0 {
		return errors.Join(err, d.Store.Remove())
	}
	end := d.Store.End().Events
	if err = errors.Join(err, d.Store.Close(true)); err == nil {
		b.synced(end)
	}
	return err
}

// withdraw tells the store how far what is left behind may be delivered already: all
// that was in requests, but for what no attempt can have brought to the destination.
// Where something is left behind that is settled here, what was offered stays so.
func (b *Buffer) withdraw() error {
	d, held := b.disk, int64(0)
	for _, st := range b.streams.sorted() {
		held += st.held.Records
	}
	if int64(d.Store.Usage().Pending.Records) != held {
		return nil
	}
	return d.Store.Withdraw(max(d.offered, d.doubtful))
}

// writeMarkers writes the markers of all losses that are not told.
func (b *Buffer) writeMarkers() error {
	if b.cfg.NoLossMarkers {
		return nil
	}
	if err := b.announce(); err != nil {
		return err
	}
	for _, st := range b.streams.tellers() {
		losses := slices.Concat(st.again, st.rejected, []record.Loss{st.evicted, st.lost})
		for _, loss := range losses {
			if loss.Lost == 0 || loss.Reason == string(ledger.Shutdown) {
				continue
			}
			if _, err := b.disk.Store.AppendSpare(record.AppendLoss(nil, loss)); err != nil {
				return err
			}
			st.marked(1)
		}
		st.again, st.rejected, st.evicted, st.lost = nil, nil, record.Loss{}, record.Loss{}
	}
	return nil
}

// chore wakes the keeper.
func (b *Buffer) chore() {
	select {
	case b.disk.chores <- struct{}{}:
	default:
	}
}

// hurry wakes the keeper though it has just looked.
func (b *Buffer) hurry() {
	b.chore()
	select {
	case b.disk.urgent <- struct{}{}:
	default:
	}
}
