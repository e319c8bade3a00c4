package pipeline

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/config"
	"github.com/spillway/spillway/internal/diskbuffer"
	"github.com/spillway/spillway/internal/statedir"
)

// Spill says which disk buffer a pipeline in mode spill has.
type Spill struct {
	// StateDir is the state directory in which it is.
	StateDir string
	// Identity tells whose records are in it. A buffer that a dead process of the
	// same identity has left behind is taken over.
	Identity string
	// About is what the buffer remembers of where its records go; no secret.
	About json.RawMessage
	// Owner gets the files.
	Owner diskbuffer.Owner
}

// siblings is how many processes of one identity may each have a buffer.
const siblings = 1000

// OpenSpill opens the disk buffer of an identity, or makes one: what dead
// processes left behind comes first, and what a live one has is left alone. The
// disk is then the buffer's, which closes it.
func OpenSpill(s Spill, o config.Buffer, log *slog.Logger) (*buffer.Disk, error) {
	if err := os.Mkdir(filepath.Join(s.StateDir, statedir.Buffers), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("make the directory of disk buffers: %w", err)
	}
	all, err := statedir.ListBuffers(s.StateDir)
	if err != nil {
		return nil, err
	}
	hash := statedir.Hash(s.Identity)
	broken := map[int]bool{}
	for _, left := range all {
		if left.Hash != hash {
			continue
		}
		disk, err := OpenLeft(left.Path, s.Owner, o, log)
		switch {
		case err == nil:
			return disk, nil
		case errors.Is(err, diskbuffer.ErrLocked), errors.Is(err, fs.ErrNotExist):
		default:
			// It must not keep a container from starting.
			broken[left.Sibling] = true
			log.Error("a disk buffer cannot be opened; it stays as it is, and another one is made beside it",
				"directory", left.Path, "error", err)
		}
	}
	for n := 1; n <= siblings; n++ {
		if broken[n] {
			continue
		}
		store, err := create(s, n, o)
		if errors.Is(err, diskbuffer.ErrLocked) || errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return disk(store, nil, o), nil
	}
	return nil, fmt.Errorf("make a disk buffer in %s: %d processes have one for %s", s.StateDir, siblings, s.Identity)
}

// OpenLeft opens the disk buffer in a directory, which must not be in use:
// diskbuffer.ErrLocked.
func OpenLeft(path string, owner diskbuffer.Owner, o config.Buffer, log *slog.Logger) (*buffer.Disk, error) {
	dir, err := diskbuffer.OpenDir(path, owner)
	if err != nil {
		return nil, err
	}
	options, err := bounds(dir, o)
	if err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	store, found, err := diskbuffer.Open(dir, options)
	if err != nil {
		return nil, err
	}
	for _, note := range found.Notes {
		log.Warn("a disk buffer was not whole", "directory", path, "found", note)
	}
	if n := found.End.Records - found.Settled.Records; n > 0 {
		log.Info("records of an earlier process are taken over", "directory", path, "records", n)
	}
	return disk(store, found, o), nil
}

func create(s Spill, n int, o config.Buffer) (*diskbuffer.Store, error) {
	dir, err := diskbuffer.OpenDir(filepath.Join(s.StateDir, statedir.Buffers, statedir.BufferName(s.Identity, n)), s.Owner)
	if err != nil {
		return nil, err
	}
	options, err := bounds(dir, o)
	if err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	return diskbuffer.Create(dir, diskbuffer.Meta{
		Identity: s.Identity, Made: time.Now().UTC(), Limit: o.Limit, About: s.About,
	}, options)
}

// The floor of free space where none is configured: a share of the file system,
// and bytes.
const (
	freeShare = 20
	freeBytes = 256 << 20
)

// compressions are what the configuration calls those of the store.
var compressions = map[config.DiskCompression]diskbuffer.Compression{
	config.DiskCompressionNone: diskbuffer.None,
	config.DiskCompressionS2:   diskbuffer.S2,
	config.DiskCompressionZstd: diskbuffer.Zstd,
}

// bounds are the options of a store on that file system.
func bounds(on interface {
	Space() (free, total int64, err error)
}, o config.Buffer) (diskbuffer.Options, error) {
	options := diskbuffer.Options{Max: o.MaxDisk, MinFree: o.MinFreeDisk, Compression: compressions[o.Compression]}
	if options.MinFree == 0 {
		_, total, err := on.Space()
		if err != nil {
			return options, fmt.Errorf("see how large the disk is: %w", err)
		}
		options.MinFree = max(total/freeShare, freeBytes)
	}
	return options, nil
}

func disk(store *diskbuffer.Store, found *diskbuffer.Found, o config.Buffer) *buffer.Disk {
	return &buffer.Disk{
		Store: store, Found: found,
		Durability: buffer.Durability(o.Durability), WhenFull: buffer.WhenFull(o.WhenFull),
	}
}

const (
	// silence is how long a destination may say nothing, at the end, before what is
	// held goes to the disk, and lastAnswers is for what is under way then. Together
	// they leave the process some time within its second.
	silence     = 700 * time.Millisecond
	lastAnswers = 100 * time.Millisecond
	lookEvery   = 20 * time.Millisecond
)

// leaveToDisk hands over to the disk when the destination has failed or been
// silent since the stop, or shortly before the deadline.
func (p *Pipeline) leaveToDisk(stopped, deadline time.Time) {
	var look func()
	look = func() {
		select {
		case <-p.done:
			return
		default:
		}
		last := p.deliver.LastAnswer()
		if last.Before(stopped) {
			last = stopped
		}
		late := time.Until(deadline) < lastAnswers+2*stopMargin
		if p.deliver.Health().Up && time.Since(last) < silence && !late || !p.buffer.HandOver() {
			time.AfterFunc(lookEvery, look)
			return
		}
		p.deliver.Abandon()
		time.AfterFunc(lastAnswers, p.cancel)
	}
	look()
}
