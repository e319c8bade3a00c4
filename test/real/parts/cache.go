package parts

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// cacheDir is where things that take long to fetch or build are kept between runs: SPILLWAY_CACHE,
// else the user's cache directory, else the system's temporary one (HOME may be unset).
func cacheDir() (string, error) {
	dir := os.Getenv("SPILLWAY_CACHE")
	if dir == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			base = os.TempDir()
		}
		dir = filepath.Join(base, "spillway")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("make the cache directory: %w", err)
	}
	return dir, nil
}

// cached returns a directory of the cache that fill has filled, now or in an earlier run. A lock lets
// several test runs share one cache; what was interrupted is made anew.
func cached(name string, fill func(dir string) error) (string, error) {
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, name)
	lock, err := os.OpenFile(dir+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", fmt.Errorf("open the lock of %s: %w", dir, err)
	}
	if err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err == nil {
		err = fillOnce(dir, fill)
	}
	// Closing gives the lock back.
	if err := errors.Join(err, lock.Close()); err != nil {
		return "", fmt.Errorf("fill %s: %w", dir, err)
	}
	return dir, nil
}

func fillOnce(dir string, fill func(dir string) error) error {
	// The mark is written last.
	mark := filepath.Join(dir, "complete")
	if _, err := os.Stat(mark); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755)); err != nil {
		return err
	}
	if err := fill(dir); err != nil {
		return err
	}
	return os.WriteFile(mark, nil, 0o644)
}
