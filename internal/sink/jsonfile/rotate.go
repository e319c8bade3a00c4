package jsonfile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"

	"github.com/spillway/spillway/internal/sink/appendfile"
)

// rotated is a log file and its older ones: PATH, PATH.1, PATH.2 and so on, the
// older ones with .gz behind it where they are compressed.
type rotated struct {
	appendfile.Writer
	path     string
	maxSize  int64
	maxFile  int
	compress bool
	disk     disk

	// left counts down the steps of a rotation that has begun. It outlives an
	// attempt, since a rotation begun anew would delete one file too many.
	left int
	// loose: files were rotated that no compression has been started for.
	loose   bool
	packing *packing
}

// open opens the file if it is not open yet.
func (r *rotated) open() error {
	if r.HasFile() {
		return nil
	}
	f, size, err := r.disk.open(r.path)
	if err != nil {
		return fmt.Errorf("open the log file: %w", err)
	}
	r.Use(f, size, 0)
	return nil
}

// rotateIfFull rotates where the next entry belongs into a new file.
func (r *rotated) rotateIfFull(ctx context.Context) error {
	if r.left == 0 {
		if r.maxSize == NoMaxSize || r.Size() < r.maxSize {
			return nil
		}
		r.left = r.maxFile + 1
	}
	if err := r.Flush(); err != nil {
		return err
	}
	if err := r.packing.wait(ctx); err != nil {
		return fmt.Errorf("rotate %s while its last rotation is being compressed: %w", r.path, err)
	}
	for ; r.left > 0; r.left-- {
		if err := r.step(r.left); err != nil {
			return fmt.Errorf("rotate %s: %w", r.path, err)
		}
	}
	r.loose = true
	return nil
}

// step does one step of a rotation, which may be done again if it fails: delete
// the oldest file, rename the others from the oldest to the newest, open a new
// one.
func (r *rotated) step(n int) error {
	older := n - 1 // the number of the file that this step makes, or deletes
	switch {
	case n == 1:
		f, size, err := r.disk.open(r.path)
		if err == nil {
			r.Use(f, size, r.maxFile-1)
		}
		return err
	case r.maxFile == 1:
		return ignoreMissing(r.disk.remove(r.path))
	case older == r.maxFile:
		return r.eachForm(func(ext string) error { return r.disk.remove(r.name(older-1) + ext) })
	case older == 1:
		return ignoreMissing(r.disk.rename(r.path, r.name(1)))
	}
	return r.eachForm(func(ext string) error { return r.disk.rename(r.name(older-1)+ext, r.name(older)+ext) })
}

// eachForm does something to a rotated file, of which any form may be missing.
func (r *rotated) eachForm(do func(ext string) error) error {
	err := ignoreMissing(do(""))
	if err == nil && r.compress {
		err = ignoreMissing(do(gzipped))
	}
	return err
}

// name is the path of the older file of that number.
func (r *rotated) name(n int) string { return r.path + "." + strconv.Itoa(n) }

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// commit ends an attempt that has succeeded. Only now may files be compressed
// that the attempt has written, since nothing will be taken back from them.
func (r *rotated) commit() error {
	err := r.Commit()
	if r.loose && r.compress {
		r.packing = r.startPacking()
	}
	r.loose = false
	return err
}

func (r *rotated) close() error {
	return errors.Join(r.packing.end(), r.Close())
}
