package pipeline_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spillway/spillway/internal/config"
	"github.com/spillway/spillway/internal/diskbuffer"
	"github.com/spillway/spillway/internal/pipeline"
	"github.com/spillway/spillway/internal/statedir"
)

// TestOpenSpill: a process gets what a dead one of its identity left, and not
// what a live one has; a buffer that cannot be opened stands in nobody's way.
func TestOpenSpill(t *testing.T) {
	dir := t.TempDir()
	options := config.Buffer{Mode: config.Spill, Limit: 1 << 20, MaxDisk: 8 << 20, MinFreeDisk: 1, WhenFull: config.WhenFullBlock}
	open := func(log *slog.Logger) *diskbuffer.Store {
		t.Helper()
		disk, err := pipeline.OpenSpill(pipeline.Spill{StateDir: dir, Identity: "a", Owner: diskbuffer.Owner{UID: -1, GID: -1}}, options, log)
		if err != nil {
			t.Fatal(err)
		}
		return disk.Store
	}
	names := func() string {
		t.Helper()
		all, err := statedir.ListBuffers(dir)
		if err != nil {
			t.Fatal(err)
		}
		var siblings []string
		for _, b := range all {
			siblings = append(siblings, filepath.Base(b.Path))
		}
		return strings.Join(siblings, " ")
	}
	hash := statedir.Hash("a")
	quiet := slog.New(slog.DiscardHandler)
	first := open(quiet)
	second := open(quiet)
	if got, want := names(), hash+" "+hash+"-2"; got != want {
		t.Errorf("two live processes have %s, want %s", got, want)
	}
	for _, s := range []*diskbuffer.Store{first, second} {
		if err := s.Close(true); err != nil {
			t.Fatal(err)
		}
	}
	third := open(quiet)
	if got, want := names(), hash+" "+hash+"-2"; got != want {
		t.Errorf("after two dead ones there are %s, want %s", got, want)
	}
	if err := third.Close(true); err != nil {
		t.Fatal(err)
	}

	// A lock that is no file cannot be taken.
	for _, name := range []string{hash, hash + "-2"} {
		lock := filepath.Join(dir, statedir.Buffers, name, "lock")
		if err := os.Remove(lock); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(lock, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	var said strings.Builder
	fourth := open(slog.New(slog.NewTextHandler(&said, nil)))
	if got, want := names(), hash+" "+hash+"-2 "+hash+"-3"; got != want || strings.Count(said.String(), "cannot be opened") != 2 {
		t.Errorf("beside two broken ones there are %s, want %s; the log says %q", got, want, said.String())
	}
	if err := fourth.Remove(); err != nil {
		t.Fatal(err)
	}
}
