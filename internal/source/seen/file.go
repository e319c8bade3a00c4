package seen

import (
	"bytes"
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
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrLocked is the error of Open while another process has the file.
var ErrLocked = errors.New("another process answers for this source; end it, or give another --state-dir")

// openFile opens or makes the file, locks it, and reads the keys in it.
func (c *Chunks) openFile(path string) (keys []Key, note string, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, "", err
	}
	c.path, c.file = path, f
	if err := lock(f); err != nil {
		return nil, "", errors.Join(err, f.Close())
	}
	if keys, note, err = c.readFile(); err != nil {
		return nil, "", errors.Join(err, f.Close())
	}
	return keys, note, nil
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

func (c *Chunks) readFile() (keys []Key, note string, err error) {
	text, err := io.ReadAll(c.file)
	if err != nil {
		return nil, "", err
	}
	keys, entries, bad := parse(text)
	end := len(magic) + entries*entrySize
	if bad > 0 || len(text) > 0 && end != len(text) {
		note = fmt.Sprintf("%s is damaged: %d of %d chunks and what stands behind byte %d are forgotten, and may be delivered twice if they are sent again",
			c.path, bad, entries, end)
	}
	c.written = entries
	if entries == 0 {
		if err := writeAt(c.file, []byte(magic), 0); err != nil {
			return nil, "", err
		}
	}
	return keys, note, c.file.Truncate(int64(end))
}

func writeAt(f *os.File, b []byte, at int64) error {
	_, err := f.WriteAt(b, at)
	return err
}

// parse returns the keys of a file, how many whole entries it has, and how many
// of them are damaged.
func parse(text []byte) (keys []Key, entries, bad int) {
	rest, ours := bytes.CutPrefix(text, []byte(magic))
	if !ours {
		return nil, 0, 0
	}
	for ; len(rest) >= entrySize; rest = rest[entrySize:] {
		entries++
		if binary.LittleEndian.Uint32(rest[16:]) == crc32.Checksum(rest[:16], castagnoli) {
			keys = append(keys, Key(rest[:16]))
		} else {
			bad++
		}
	}
	return keys, entries, bad
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
	n := 0
	for _, k := range keys {
		if written, known := c.index[k]; known && !written {
			c.index[k] = true
			c.scratch = appendEntry(c.scratch, k)
			n++
		}
	}
	if n == 0 {
		return
	}
	if c.trouble = writeAt(c.file, c.scratch, int64(len(magic)+c.written*entrySize)); c.trouble != nil {
		c.trouble = fmt.Errorf("remember chunks: %w", c.trouble)
		return
	}
	if c.written += n; c.written > 2*c.limit+slack {
		c.compact()
	}
}

// compact writes the file anew, with the keys that are remembered. It is a file of
// the same name in the end: whoever is killed on the way finds the old one.
func (c *Chunks) compact() {
	text, n := []byte(magic), 0
	for i := range c.ring {
		if k := c.ring[(c.next+i)%len(c.ring)]; c.index[k] {
			text = appendEntry(text, k)
			n++
		}
	}
	f, err := replace(c.path, text)
	if err != nil {
		c.trouble = fmt.Errorf("write the file of remembered chunks anew: %w", err)
		return
	}
	c.trouble = c.file.Close()
	c.file, c.written = f, n
}

// replace makes a file with the given text and puts it in the place of the one
// that has the name; it is locked before it is.
func replace(name string, text []byte) (*os.File, error) {
	f, err := os.OpenFile(name+".new", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	err = lock(f)
	if err == nil {
		err = writeAt(f, text, 0)
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
