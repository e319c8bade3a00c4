package statedir

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"
)

// TestListBuffers finds what BufferName names, in the order of siblings, and
// nothing else.
func TestListBuffers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	if all, err := ListBuffers(path); len(all) > 0 || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no state directory: %v, %v", all, err)
	}
	d := open(t, path)
	if all, err := ListBuffers(path); len(all) > 0 || err != nil {
		t.Errorf("no buffers: %v, %v", all, err)
	}
	dir, err := d.Sub(Buffers)
	if err != nil {
		t.Fatal(err)
	}
	var want []Buffer
	for n := 1; n <= 11; n++ {
		want = append(want, Buffer{Hash("a"), n, filepath.Join(dir, BufferName("a", n))})
	}
	for _, b := range want {
		if err := os.Mkdir(b.Path, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"x", Hash("a") + "-1", Hash("a") + "-02", Hash("a") + "-", "0123456789ABCDEF", "0123456789abcdef0"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, Hash("file")), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(want[0].Path, filepath.Join(dir, Hash("link"))); err != nil {
		t.Fatal(err)
	}
	got, err := ListBuffers(path)
	if err != nil || len(got) != len(want) {
		t.Fatalf("%d buffers, want %d: %v, %v", len(got), len(want), got, err)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("buffer %d is %+v, want %+v", i, got[i], want[i])
		}
	}
}

// TestBufferNameIsReadBack, whatever the identity holds.
func TestBufferNameIsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		identity, n := rapid.String().Draw(t, "identity"), rapid.IntRange(1, 1000).Draw(t, "sibling")
		name := BufferName(identity, n)
		if b, ok := parseBufferName(name); !ok || b.Hash != Hash(identity) || b.Sibling != n || name != filepath.Base(name) {
			t.Fatalf("%q is read as %+v, %v", name, b, ok)
		}
	})
}
