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

// The program is large, for it can do much, and the system maps sixteen pages of its
// file for one that is touched. What the start alone needed, and what was needed
// once, stays mapped and counts as the process's memory; it is given back when the
// pages of files are more than textLimit, in bytes. Pages that are touched again come
// from the page cache, at about a microsecond each.
const (
	textLimit = 8 << 20
	// textPause is how often at most.
	textPause = 5 * time.Second
)

// textGiver returns what gives text back, if it is time to. Where that fails, it is
// told once, and not tried again.
func textGiver(log *slog.Logger) func() {
	next, failed := time.Time{}, false
	return func() {
		if failed || time.Now().Before(next) {
			return
		}
		given, err := giveTextBack()
		if failed = err != nil; failed {
			log.Warn("the program takes more memory than it might", "error", err)
		}
		if given {
			next = time.Now().Add(textPause)
		}
	}
}

// giveTextBack gives the pages of the program's file back where they are many.
func giveTextBack() (given bool, err error) {
	pages, err := filePages()
	if err != nil || pages*int64(os.Getpagesize()) < textLimit {
		return false, err
	}
	maps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		return false, fmt.Errorf("see what of the program is mapped: %w", err)
	}
	return true, eachText(maps, func(from, size uintptr) error {
		if _, _, errno := syscall.Syscall(syscall.SYS_MADVISE, from, size, syscall.MADV_DONTNEED); errno != 0 {
			return fmt.Errorf("give %d bytes of the program back: %w", size, errno)
		}
		return nil
	})
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
	readOnly, resident := false, false
	for line := range bytes.Lines(smaps) {
		fields := bytes.Fields(line)
		if len(fields) < 3 {
			continue
		}
		kib, _ := strconv.ParseInt(string(fields[1]), 10, 64)
		switch string(fields[0]) {
		case "Rss:":
			resident = kib > 0
		case "Anonymous:":
			if readOnly && resident && kib == 0 {
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
