package seen

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"syscall"
)

const (
	magic     = "spillway chunks\n"
	entrySize = 20
	// slack is how many keys the file may have beyond twice the limit before it is
	// written anew.
	slack = 1024
	// pieceSize is how much of it is in memory while it is read or written anew.
	pieceSize = 64 << 10
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrLocked is the error of Open while another process has the file.
var ErrLocked = errors.New("another process answers for this source; end it, or give another --state-dir")

// openFile opens or makes the file, locks it, and makes the keys in it known.
func (c *Chunks) openFile(path string) (note string, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return "", err
	}
	c.path, c.file = path, f
	if err := lock(f); err != nil {
		return "", errors.Join(err, f.Close())
	}
	if note, err = c.readFile(); err != nil {
		return "", errors.Join(err, f.Close())
	}
	return note, nil
}

func lock(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = ErrLocked
	}
	if err != nil {
		return fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	return nil
}

func (c *Chunks) readFile() (note string, err error) {
	entries, bad, err := c.readEntries(bufio.NewReaderSize(c.file, pieceSize))
	if err != nil {
		return "", err
	}
	info, err := c.file.Stat()
	if err != nil {
		return "", err
	}
	end := int64(len(magic) + entries*entrySize)
	if size := info.Size(); bad > 0 || size > 0 && end != size {
		note = fmt.Sprintf("%s is damaged: %d of %d chunks and what stands behind byte %d are forgotten, and may be delivered twice if they are sent again",
			c.path, bad, entries, end)
	}
	c.written = entries
	if entries == 0 {
		if err := writeAt(c.file, []byte(magic), 0); err != nil {
			return "", err
		}
	}
	return note, c.file.Truncate(end)
}

// readEntries makes the keys of a file known, and returns how many whole entries it
// has, and how many of them are damaged.
func (c *Chunks) readEntries(in io.Reader) (entries, bad int, err error) {
	var entry [entrySize]byte
	head := entry[:len(magic)]
	for {
		switch _, err := io.ReadFull(in, head); {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return entries, bad, nil
		case err != nil:
			return 0, 0, err
		}
		if len(head) < entrySize {
			if string(head) != magic {
				return 0, 0, nil
			}
			head = entry[:]
			continue
		}
		entries++
		if k := Key(entry[:16]); binary.LittleEndian.Uint32(entry[16:]) == crc32.Checksum(k[:], castagnoli) {
			c.known.add(k)
			c.known.mark(k)
		} else {
			bad++
		}
	}
}

func writeAt(f *os.File, b []byte, at int64) error {
	_, err := f.WriteAt(b, at)
	return err
}

func appendEntry(dst []byte, k Key) []byte {
	dst = append(dst, k[:]...)
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(k[:], castagnoli))
}

// write puts known keys into the file, which is written anew when most of it is
// out of date. A failure costs possible duplicates after a restart, no record; it
// is shown, and the next keys try again.
func (c *Chunks) write(keys []Key) {
	if c.file == nil {
		return
	}
	c.scratch = c.scratch[:0]
	for _, k := range keys {
		if c.known.has(k) && !c.known.marked(k) {
			c.scratch = appendEntry(c.scratch, k)
		}
	}
	if len(c.scratch) == 0 {
		return
	}
	if c.trouble = writeAt(c.file, c.scratch, int64(len(magic)+c.written*entrySize)); c.trouble != nil {
		c.trouble = fmt.Errorf("remember chunks: %w", c.trouble)
		return
	}
	for _, k := range keys {
		c.known.mark(k)
	}
	if c.written += len(c.scratch) / entrySize; c.written > 2*c.limit+slack {
		c.compact()
	}
}

// compact writes the file anew, with the keys that are remembered. It is a file of
// the same name in the end: whoever is killed on the way finds the old one.
func (c *Chunks) compact() {
	n := 0
	f, err := replace(c.path, func(out *bufio.Writer) {
		out.WriteString(magic) //nolint:errcheck // Flush tells.
		c.known.each(func(k Key, marked bool) {
			if marked {
				out.Write(appendEntry(out.AvailableBuffer(), k)) //nolint:errcheck // Flush tells.
				n++
			}
		})
	})
	if err != nil {
		c.trouble = fmt.Errorf("write the file of remembered chunks anew: %w", err)
		return
	}
	c.trouble = c.file.Close()
	c.file, c.written = f, n
}

// replace makes a file of what fill writes and puts it in the place of the one that
// has the name; it is locked before it is.
func replace(name string, fill func(out *bufio.Writer)) (*os.File, error) {
	f, err := os.OpenFile(name+".new", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	err = lock(f)
	if err == nil {
		out := bufio.NewWriterSize(f, pieceSize)
		fill(out)
		err = out.Flush()
	}
	if err == nil {
		// Before the old one is gone.
		err = f.Sync()
	}
	if err == nil {
		err = os.Rename(name+".new", name)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
