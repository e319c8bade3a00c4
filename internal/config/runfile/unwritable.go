package runfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Unwritable names the sinks whose files cannot be made where they are to stand, as it
// is now: each line begins with FILE:LINE:COLUMN. It makes nothing. Whoever starts goes on
// all the same: what goes there waits, and a disk may come later.
func (f *File) Unwritable() []string {
	var found remarks
	for i := range f.Sinks {
		s := &f.Sinks[i]
		if s.File == nil {
			continue
		}
		if at, err := writable(fixedDir(s.File.Path.String())); err != nil {
			found.add(s.Where, "the files of the sink "+s.Name+" cannot be written: "+at+": "+unwrapPath(err).Error()+
				"; let this process write there, or give another path. What goes there waits until then")
		}
	}
	return found.sorted(f.Path)
}

// fixedDir is the folder that the files of a path have in common, whatever tag and time
// are.
func fixedDir(path string) string {
	if i := strings.IndexAny(path, "{%"); i >= 0 {
		path = path[:i] + "x"
	}
	return filepath.Dir(path)
}

// writable reports whether files can be made in a folder, or the folder where it is
// missing, and which folder it is that says no.
func writable(dir string) (at string, err error) {
	for {
		info, err := os.Stat(dir)
		switch {
		case errors.Is(err, fs.ErrNotExist) && filepath.Dir(dir) != dir:
			dir = filepath.Dir(dir)
			continue
		case err != nil:
			return dir, err
		case !info.IsDir():
			return dir, syscall.ENOTDIR
		}
		const writeAndEnter = 0x2 | 0x1 // W_OK and X_OK of access(2)
		return dir, syscall.Access(dir, writeAndEnter)
	}
}
