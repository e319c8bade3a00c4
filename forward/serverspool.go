package forward

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
)

// Spool keeps messages that are too large for memory while they are received
// and handed over. It is called by several goroutines at once.
type Spool interface {
	// Create makes an empty file.
	Create() (SpoolFile, error)
}

// SpoolFile is one file of a Spool, used by one goroutine.
type SpoolFile interface {
	io.Writer
	io.ReaderAt
	// Close also removes it.
	Close() error
}

// DirSpool is a Spool in a directory. Its files have no name there, so a
// process that dies leaves none.
type DirSpool struct {
	dir   string
	limit int64
	used  atomic.Int64
}

// NewDirSpool makes a spool in a directory that exists, for at most limit bytes
// in all files together; 0 means 2 GiB.
func NewDirSpool(dir string, limit int64) *DirSpool {
	return &DirSpool{dir: dir, limit: orDefault(limit, 2<<30)}
}

// Used is how many bytes are in use now.
func (d *DirSpool) Used() int64 { return d.used.Load() }

// Create implements Spool.
func (d *DirSpool) Create() (SpoolFile, error) {
	f, err := os.CreateTemp(d.dir, "message-*")
	if err != nil {
		return nil, fmt.Errorf("put a message aside: %w", err)
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(fmt.Errorf("put a message aside: %w", err), f.Close())
	}
	return &dirSpoolFile{File: f, d: d}, nil
}

type dirSpoolFile struct {
	*os.File
	d    *DirSpool
	size int64
}

// Write implements io.Writer.
func (f *dirSpoolFile) Write(b []byte) (int, error) {
	n := int64(len(b))
	if used := f.d.used.Add(n); used > f.d.limit {
		f.d.used.Add(-n)
		return 0, &LimitError{What: "messages that are put aside", Bytes: used, Limit: f.d.limit}
	}
	f.size += n
	return f.File.Write(b)
}

// Close implements SpoolFile.
func (f *dirSpoolFile) Close() error {
	f.d.used.Add(-f.size)
	f.size = 0
	return f.File.Close()
}

// Spooled is a payload in a Spool, valid until Receive returns.
type Spooled struct {
	// Size is that of the payload, in bytes: the entries, or where the message is
	// Refused what was received.
	Size int64

	c    *serverConn
	file io.ReaderAt
	from int64
}

// Reader reads the payload.
func (s *Spooled) Reader() io.Reader { return io.NewSectionReader(s.file, s.from, s.Size) }

// pieceSize is how much of a spooled payload is in memory at once, if no entry is
// larger.
const pieceSize = 1 << 20

// Each calls f for the entries of the message, in their order, and stops at the
// first error, which it returns. It calls once with the message itself where
// that is in memory; else for one piece after another, as a Message with all
// but Entries, Count, Invalid, InvalidCount and InvalidErr the same. It may be
// called again as long as Receive has not returned. An entry that is larger than
// a quarter of the server's memory is a *LimitError.
func (r *Received) Each(f func(m *Message) error) error {
	if r.Spooled == nil {
		return f(&r.Message)
	}
	s := r.Spooled
	c := s.c
	block, ok := c.wait(min(pieceSize, c.s.inMemory()))
	if !ok {
		return errStopped
	}
	defer func() { c.s.pool.put(block) }()
	m := r.Message
	have, broken := 0, false
	for at := int64(0); at < s.Size || have > 0; {
		n := int(min(int64(len(block)-have), s.Size-at))
		if _, err := s.file.ReadAt(block[have:have+n], s.from+at); err != nil {
			return fmt.Errorf("read back a message that was put aside: %w", err)
		}
		at, have = at+int64(n), have+n
		whole, fault := wholeValues(block[:have])
		if at == s.Size || fault == faultSyntax || broken {
			whole = have // what is left is broken, and stays so
		}
		if whole == 0 {
			if int64(len(block)) >= c.s.inMemory() {
				return &LimitError{What: "entry", Bytes: int64(have) + 1, Limit: c.s.inMemory()}
			}
			larger, ok := c.wait(2 * int64(len(block)))
			if !ok {
				return errStopped
			}
			copy(larger, block[:have])
			c.s.pool.put(block)
			block = larger
			continue
		}
		if broken {
			m.checked(Checked{Invalid: block[:whole]})
		} else {
			m.checked(CheckEntries(block[:whole]))
		}
		broken = broken || fault == faultSyntax
		if err := f(&m); err != nil {
			return err
		}
		have = copy(block, block[whole:have])
	}
	return nil
}

// wholeValues returns where the last value of b ends that is whole, and what is
// wrong with the next.
func wholeValues(b []byte) (end, fault int) {
	for end < len(b) {
		next := skipFlat(b, end)
		if next < 0 {
			return end, next
		}
		end = next
	}
	return end, 0
}
