package statedir

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// ErrExitsGone is the error of AppendExit where the file that was opened at the
// start has been deleted since, by two rotations, and this process may not open
// its successor.
var ErrExitsGone = errors.New("the file of exit lines was rotated away")

// AppendExit writes an exit line, with its newline, into a file that Exits
// opened, maybe long ago. Where that file has been deleted meanwhile the line
// goes into the present one, if the process may open it; it may not where it has
// given up privileges.
func (d *Dir) AppendExit(f *os.File, line []byte) error {
	var st syscall.Stat_t
	if err := syscall.Fstat(int(f.Fd()), &st); err != nil {
		return fmt.Errorf("look at %s in %s: %w", exits, d.path, err)
	}
	if st.Nlink > 0 {
		return appendLine(f, line)
	}
	present, err := d.Exits()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrExitsGone, err)
	}
	return errors.Join(appendLine(present, line), present.Close())
}

func appendLine(f *os.File, line []byte) error {
	if _, err := f.Write(line); err != nil {
		return fmt.Errorf("write the exit line: %w", err)
	}
	return nil
}
