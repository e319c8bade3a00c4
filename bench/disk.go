package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/spillway/spillway/internal/diskbuffer"
	"github.com/spillway/spillway/internal/record"
)

// diskWork measures the disk buffer beside a bare file in the same folder, and returns how long each took for volume
// bytes in payloads of size bytes.
type diskWork func(d *disk, size int, volume int64) (ours, theirs time.Duration, err error)

// diskRows are the rows without a logger. All is done in this process, ours and the bare file's in turn.
func diskRows(s scale) (rows []row) {
	for _, kind := range []struct {
		name, title string
		work        diskWork
		share       int64 // of the volume of a drain
		bar         bar
	}{
		{"disk-kernel", "append in the kernel's hands", appendKernel, 1, atLeast(1000)},
		{"disk-power", "append and sync each", appendPower, 5, timesBare(0.6)},
		{"disk-cold", "read back, nothing in the page cache", readCold, 1, timesBare(0.8)},
	} {
		for _, size := range []int{64 << 10, 1 << 20} {
			rows = append(rows, row{
				name:  fmt.Sprintf("%s-%dk", kind.name, size>>10),
				title: fmt.Sprintf("disk buffer: %s, payloads of %d KiB", kind.title, size>>10),
				other: bare, disk: kind.work, payload: size, volume: s.volume / kind.share,
				figures: []figure{rate(kind.bar)},
			})
		}
	}
	return rows
}

// runDisk is one run of both peers of a disk row.
func (b *bench) runDisk(ctx context.Context, r row, run int) (all []measurement, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	path, err := os.MkdirTemp(b.dir, "disk-")
	if err != nil {
		return nil, fmt.Errorf("make a folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(path)) }()
	// What earlier runs left for the kernel to write is not to be paid by this one.
	unix.Sync()
	ours, theirs, err := r.disk(&disk{path: path}, r.payload, r.volume)
	if err != nil {
		return nil, err
	}
	for _, one := range []struct {
		p    peer
		took time.Duration
	}{{spillway, ours}, {bare, theirs}} {
		m := measurement{Peer: one.p, Run: run, Seconds: one.took.Seconds(), MBPerSecond: float64(r.volume) / 1e6 / one.took.Seconds()}
		m.print(b.progress, r)
		all = append(all, m)
	}
	return all, nil
}

// disk is where one run of a disk row works.
type disk struct {
	path  string
	store *diskbuffer.Store
	bare  *os.File
}

const diskLimit = 64 << 30 // far above what a run writes

// create makes an empty buffer and an empty file.
func (d *disk) create() error {
	dir, err := diskbuffer.OpenDir(d.buffer(), diskbuffer.Owner{UID: -1, GID: -1})
	if err != nil {
		return err
	}
	if d.store, err = diskbuffer.Create(dir, diskbuffer.Meta{Identity: "bench"}, diskbuffer.Options{Max: diskLimit}); err != nil {
		return err
	}
	if err := d.store.AddStream(diskbuffer.Stream{Name: "stdout"}); err != nil {
		return err
	}
	d.bare, err = os.Create(d.file())
	return err
}

func (d *disk) buffer() string { return filepath.Join(d.path, "buffer") }
func (d *disk) file() string   { return filepath.Join(d.path, "bare") }

func (d *disk) close() error { return errors.Join(d.store.Close(true), d.bare.Close()) }

// appendKernel writes as far as the page cache, so that nothing is said of the disk.
func appendKernel(d *disk, size int, volume int64) (ours, theirs time.Duration, err error) {
	payload := payloadOf(size)
	err = d.create()
	for n := int64(0); n < volume && err == nil; n += int64(len(payload)) {
		start := time.Now()
		_, err = d.store.Append(payload)
		ours += time.Since(start)
		if err == nil {
			start = time.Now()
			_, err = d.bare.Write(payload)
			theirs += time.Since(start)
		}
	}
	return ours, theirs, errors.Join(err, d.close())
}

// appendPower syncs every payload; a buffer in use syncs several at once.
func appendPower(d *disk, size int, volume int64) (ours, theirs time.Duration, err error) {
	payload := payloadOf(size)
	err = d.create()
	for n := int64(0); n < volume && err == nil; n += int64(len(payload)) {
		start := time.Now()
		if _, err = d.store.Append(payload); err == nil {
			_, err = d.store.Sync()
		}
		ours += time.Since(start)
		if err == nil {
			start = time.Now()
			if _, err = d.bare.Write(payload); err == nil {
				err = unix.Fdatasync(int(d.bare.Fd()))
			}
			theirs += time.Since(start)
		}
	}
	return ours, theirs, errors.Join(err, d.close())
}

// coldTurns is how often each is read. A virtual disk is several times faster at one moment than at another, so medians
// count.
const coldTurns = 5

// readCold opens a buffer that another process might have left, and reads all of it.
func readCold(d *disk, size int, volume int64) (ours, theirs time.Duration, err error) {
	if _, _, err := appendKernel(d, size, volume); err != nil {
		return 0, 0, err
	}
	took := map[peer][]time.Duration{}
	for turn := range coldTurns {
		for _, p := range [][]peer{{spillway, bare}, {bare, spillway}}[turn%2] {
			read, path := readBuffer, d.buffer()
			if p == bare {
				read, path = readBare, d.file()
			}
			if err := d.cool(); err != nil {
				return 0, 0, err
			}
			start := time.Now()
			n, done, err := read(path, make([]byte, 1<<20))
			took[p] = append(took[p], done.Sub(start))
			if err == nil && n < volume {
				err = fmt.Errorf("%d bytes came back of %d", n, volume)
			}
			if err != nil {
				return 0, 0, fmt.Errorf("read %s: %w", path, err)
			}
		}
	}
	slices.Sort(took[spillway])
	slices.Sort(took[bare])
	return took[spillway][coldTurns/2], took[bare][coldTurns/2], nil
}

// cool takes all files out of the page cache.
func (d *disk) cool() error {
	files, err := filepath.Glob(filepath.Join(d.buffer(), "*"))
	if err != nil {
		return err
	}
	for _, path := range append(files, d.file()) {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		if err := errors.Join(f.Sync(), unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED), f.Close()); err != nil {
			return fmt.Errorf("take %s out of the page cache: %w", path, err)
		}
	}
	return nil
}

// readBare and readBuffer read everything into dst, piece by piece, and say how many bytes that was and when they were
// done, before anything is closed.
func readBare(path string, dst []byte) (total int64, done time.Time, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, done, err
	}
	for err == nil {
		var n int
		n, err = f.Read(dst)
		total += int64(n)
	}
	done = time.Now()
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return total, done, errors.Join(err, f.Close())
}

func readBuffer(path string, dst []byte) (total int64, done time.Time, err error) {
	dir, err := diskbuffer.OpenDir(path, diskbuffer.Owner{UID: -1, GID: -1})
	if err != nil {
		return 0, done, err
	}
	store, _, err := diskbuffer.Open(dir, diskbuffer.Options{Max: diskLimit})
	if err != nil {
		return 0, done, err
	}
	for err == nil {
		var chunk diskbuffer.Chunk
		chunk, err = store.Read(dst)
		total += int64(chunk.N)
	}
	done = time.Now()
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return total, done, errors.Join(err, store.Close(true))
}

// payloadOf makes a batch of 250-byte lines of a log, as many as fit in size bytes.
func payloadOf(size int) []byte {
	line := `{"time":"2026-11-20T18:03:15Z","level":"info","status":200,"path":"/v1/things/4711","agent":"` + strings.Repeat("Mozilla/5.0 ", 13) + `"}` + "\n"
	text := []byte(strings.Repeat(line, size/len(line)+1))
	payload, _, added := record.AppendLines(make([]byte, record.HeaderSize, size), text, true, record.Room{Count: 1 << 30, Cost: 1 << 40})
	record.PutHeader(payload, &record.Batch{
		Kind: record.KindRecords, Count: added.Count, FirstSeq: 1, Bytes: added.Bytes,
	}, len(payload)-record.HeaderSize)
	return payload
}
