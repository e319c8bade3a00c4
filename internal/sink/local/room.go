package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// makeRoom deletes the oldest segments until there is room for need bytes. The
// store is locked.
func (s *store) makeRoom(need int64) error {
	gone, err := s.sweep()
	if err != nil {
		return err
	}
	all, err := list(s.folder)
	if err != nil {
		return err
	}
	total := need
	var closed []segment
	for _, g := range all {
		if !g.closed {
			if g, err = s.adopt(g); err != nil {
				return err
			}
		}
		switch {
		case g.closed:
			closed = append(closed, g)
			total += max(g.size, s.leastSize)
		case g.writer != "":
			total += s.segmentSize
		}
	}
	n := 0
	for ; n < len(closed) && total > s.maxSize; n++ {
		total -= max(closed[n].size, s.leastSize)
	}
	return s.remove(gone, closed[:n])
}

// adopt names a segment whose writer was killed, and returns it as it is now:
// still open if its writer lives, and nothing if it was empty.
func (s *store) adopt(g segment) (segment, error) {
	f, err := s.folder.OpenFile(g.name(), readOnly, 0)
	if err != nil {
		return g, ignoreMissing(err) // Its writer has named it meanwhile.
	}
	defer f.Close()
	if err := tryLock(f, unix.LOCK_EX); errors.Is(err, errLocked) {
		return g, nil
	} else if err != nil {
		return g, err
	}
	c, err := count(f)
	if err == nil {
		err = ignoreMissing(s.finish(g, c))
	}
	if err != nil {
		return g, fmt.Errorf("name the segment of a writer that was killed: %w", err)
	}
	if c.size == 0 {
		return segment{}, nil
	}
	g.closed, g.counts = true, c
	return g, nil
}

// count reads what a segment holds.
func count(f *os.File) (counts, error) {
	info, err := f.Stat()
	if err != nil {
		return counts{}, err
	}
	var all counts
	var p parser
	var e Entry
	lines := newLines(f, 0, info.Size())
	for {
		line, err := lines.next()
		if errors.Is(err, io.EOF) {
			all.size = info.Size()
			return all, nil
		}
		var bad *badLine
		if errors.As(err, &bad) {
			continue
		}
		if err != nil {
			return counts{}, err
		}
		if p.parse(line, &e) == nil {
			all.add(e.counts(len(line) + 1))
		}
	}
}

// expired is the file that counts what was deleted. Removing are segments that
// are counted and may still be there.
type expired struct {
	Records  int64    `json:"records"`
	Bytes    int64    `json:"bytes"`
	Removing []string `json:"removing,omitempty"`
}

const expiredName = "expired.json"

// remove counts segments as deleted, and deletes them. A crash between the two
// neither forgets them nor counts them twice, because their names are kept with
// the count.
func (s *store) remove(e expired, old []segment) error {
	if len(old) == 0 {
		return nil
	}
	for _, g := range old {
		e.Records += g.records
		e.Bytes += g.bytes
		e.Removing = append(e.Removing, g.name())
	}
	if err := s.writeExpired(e); err != nil {
		return err
	}
	for _, name := range e.Removing {
		if err := ignoreMissing(s.folder.Remove(name)); err != nil {
			return err
		}
	}
	return nil
}

// sweep completes what earlier writers have left undone, and returns the count.
func (s *store) sweep() (expired, error) {
	dir, err := s.folder.OpenFile(".", readOnly, 0)
	if err != nil {
		return expired{}, err
	}
	names, err := dir.Readdirnames(-1)
	if err := errors.Join(err, dir.Close()); err != nil {
		return expired{}, err
	}
	e, err := readExpired(s.folder)
	if err != nil {
		return expired{}, err
	}
	for _, name := range names {
		if isScratch(name) || slices.Contains(e.Removing, name) {
			if err := ignoreMissing(s.folder.Remove(name)); err != nil {
				return expired{}, err
			}
		}
	}
	e.Removing = nil
	return e, nil
}

// Expired tells what the store in dir has deleted to stay within its bound: how
// many records, and the bytes of their bodies.
func Expired(dir string) (records, bytes int64, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return 0, 0, err
	}
	e, err := readExpired(root)
	return e.Records, e.Bytes, errors.Join(err, root.Close())
}

func readExpired(f folder) (expired, error) {
	var e expired
	file, err := f.OpenFile(expiredName, readOnly, 0)
	if err != nil {
		return e, ignoreMissing(err)
	}
	defer file.Close()
	if err := json.NewDecoder(io.LimitReader(file, 16<<20)).Decode(&e); err != nil {
		return expired{}, fmt.Errorf("read %s of the local store, which counts deleted records: %w: delete it to count from 0", expiredName, err)
	}
	return e, nil
}

func (s *store) writeExpired(e expired) error {
	const scratch = expiredName + scratchEnd
	f, err := s.folder.OpenFile(scratch, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, fileMode)
	if err != nil {
		return err
	}
	err = json.NewEncoder(f).Encode(e)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return s.folder.Rename(scratch, expiredName)
}
