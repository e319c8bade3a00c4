package jsonfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/spillway/spillway/internal/sink/appendfile"
)

const gzipped = ".gz"

// closePatience is how long closing waits for a compression under way. Then it
// is given up, and the file stays uncompressed.
const closePatience = 3 * time.Second

// gzipLevel makes files a tenth larger than zlib's default, in a seventh of the
// time: the processor belongs to the application.
const gzipLevel = 2

// packing is a compression in the background. A nil one has ended.
type packing struct {
	cancel context.CancelFunc
	done   chan struct{}
	err    error // valid after done
}

// startPacking compresses all older files that are not compressed yet, also
// those of which an earlier compression failed.
func (r *rotated) startPacking() *packing {
	ctx, cancel := context.WithCancel(context.Background())
	p := &packing{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		defer cancel()
		for n := 1; n < r.maxFile; n++ {
			found, err := r.disk.pack(ctx, r.name(n))
			p.err = errors.Join(p.err, err)
			if !found {
				return
			}
		}
	}()
	return p
}

// wait returns when the compression has ended, or with the error of ctx. How it
// ended is of no consequence for what is written next: a file that could not be
// compressed is rotated as it is, and tried again after that.
func (p *packing) wait(ctx context.Context) error {
	if p == nil {
		return nil
	}
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// end waits for the compression, but not for ever, and tells how it ended.
func (p *packing) end() error {
	if p == nil {
		return nil
	}
	patience := time.AfterFunc(closePatience, p.cancel)
	<-p.done
	patience.Stop()
	return p.err
}

// pack turns path into path.gz. It tells whether there is either.
func (osDisk) pack(ctx context.Context, path string) (bool, error) {
	in, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		_, err = os.Lstat(path + gzipped)
		return err == nil, ignoreMissing(err)
	}
	if err == nil {
		err = errors.Join(packInto(ctx, path+gzipped, in), in.Close())
	}
	if err == nil {
		err = os.Remove(path)
	}
	if err != nil {
		return true, fmt.Errorf("compress a rotated log file, which stays as it is: %w", err)
	}
	return true, nil
}

// packInto writes a compressed file under its name only when it is complete.
func packInto(ctx context.Context, path string, in io.Reader) (err error) {
	unfinished := path + ".tmp"
	out, err := os.OpenFile(unfinished, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, fileMode)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(unfinished))
		}
	}()
	err = errors.Join(out.Chmod(fileMode), compress(ctx, out, in), out.Close())
	if err != nil {
		return err
	}
	return os.Rename(unfinished, path)
}

func compress(ctx context.Context, out io.Writer, in io.Reader) error {
	z, err := gzip.NewWriterLevel(out, gzipLevel)
	if err != nil {
		return err
	}
	return appendfile.Compress(ctx, z, in)
}
