package run

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strconv"
	"syscall"
	"time"
)

// The program is large, for it can do much, and what of it was ever touched stays
// mapped and counts as the process's memory. Two things keep that small.
//
// The system maps the sixteen pages of a file around one that is touched, and the
// collector, which looks up each function on a stack, touches the tables of functions
// all over. It maps no page outside of the mapping that was touched, so the program's
// mappings are divided into pieces of textPiece pages. Neighbours must differ in an
// attribute, or the system makes one mapping of them again: every other one is left
// out of a core dump, where the text of a program is not in any case.
//
// What the start alone needed, and what was needed once, is given back when the pages
// of files are more than textLimit, in bytes. Pages that are touched again come from
// the page cache, at about a microsecond each.
const (
	textLimit = 6 << 20
	textPiece = 4
	// textPause is how often at most.
	textPause = 2 * time.Second
	// dontDump is MADV_DONTDUMP, which package syscall does not have everywhere.
	dontDump = 0x10
)

// mapped are the mappings of the program's file.
type mapped struct {
	maps   [][2]uintptr // address and size
	next   time.Time
	failed bool
}

// divideText finds the program's text, divides it, and gives back what the start has
// touched. Where that fails it is told once, and not tried again.
func divideText(log *slog.Logger) *mapped {
	t := &mapped{}
	smaps, err := os.ReadFile("/proc/self/smaps")
	if errors.Is(err, fs.ErrNotExist) {
		t.failed = true
		return t
	}
	if err == nil {
		err = eachText(smaps, func(from, size uintptr) error {
			t.maps = append(t.maps, [2]uintptr{from, size})
			return divide(from, size)
		})
	}
	if err == nil {
		err = t.give()
	}
	t.tell(log, err)
	return t
}

// divide makes mappings of textPiece pages of one.
func divide(from, size uintptr) error {
	piece := uintptr(textPiece * os.Getpagesize())
	for off := piece; off < size; off += 2 * piece {
		if err := advise(from+off, min(piece, size-off), dontDump); err != nil {
			return fmt.Errorf("divide the program's text: %w", err)
		}
	}
	return nil
}

// look gives text back, if it is time to.
func (t *mapped) look(log *slog.Logger) {
	if t.failed || time.Now().Before(t.next) {
		return
	}
	pages, err := filePages()
	if err == nil && pages*int64(os.Getpagesize()) >= textLimit {
		t.next = time.Now().Add(textPause)
		err = t.give()
	}
	t.tell(log, err)
}

func (t *mapped) tell(log *slog.Logger, err error) {
	if t.failed = err != nil; t.failed {
		log.Warn("the program takes more memory than it might", "error", err)
	}
}

// give gives all pages back.
func (t *mapped) give() error {
	for _, m := range t.maps {
		if err := advise(m[0], m[1], syscall.MADV_DONTNEED); err != nil {
			return fmt.Errorf("give %d bytes of the program back: %w", m[1], err)
		}
	}
	return nil
}

func advise(from, size uintptr, advice uintptr) error {
	if _, _, errno := syscall.Syscall(syscall.SYS_MADVISE, from, size, advice); errno != 0 {
		return errno
	}
	return nil
}

// filePages is how many pages of files are resident. There are none where the system
// does not tell.
func filePages() (int64, error) {
	text, err := os.ReadFile("/proc/self/statm")
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("see how much of the program is resident: %w", err)
	}
	fields := bytes.Fields(text)
	if len(fields) < 3 {
		return 0, fmt.Errorf("read /proc/self/statm: found %q, expected three numbers", text)
	}
	return strconv.ParseInt(string(fields[2]), 10, 64)
}

// eachText calls f for the mappings of files, as smaps of proc(5) tells of them, that
// nobody can write to and nobody has written to: what is given back of any other
// would be lost.
func eachText(smaps []byte, f func(from, size uintptr) error) error {
	var from, size uint64
	readOnly := false
	for line := range bytes.Lines(smaps) {
		fields := bytes.Fields(line)
		if len(fields) < 3 {
			continue
		}
		kib, _ := strconv.ParseInt(string(fields[1]), 10, 64)
		switch string(fields[0]) {
		case "Anonymous:":
			if readOnly && kib == 0 {
				if err := f(uintptr(from), uintptr(size)); err != nil {
					return err
				}
			}
		default:
			begin, end, ok := bytes.Cut(fields[0], []byte("-"))
			if !ok || len(fields) < 6 {
				readOnly = readOnly && bytes.HasSuffix(fields[0], []byte(":"))
				continue
			}
			var err, bad error
			from, err = strconv.ParseUint(string(begin), 16, 64)
			size, bad = strconv.ParseUint(string(end), 16, 64)
			if err != nil || bad != nil {
				return fmt.Errorf("read /proc/self/smaps: found %q, expected two addresses", fields[0])
			}
			size -= from
			mode := string(fields[1])
			readOnly = (mode == "r--p" || mode == "r-xp") && fields[5][0] == '/'
		}
	}
	return nil
}
