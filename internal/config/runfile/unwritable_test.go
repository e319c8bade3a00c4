package runfile_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spillway/spillway/internal/config/runfile"
)

// TestUnwritable: a sink whose files cannot be made is named, with its place, the folder and what to do. Nothing is made.
func TestUnwritable(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "closed"), 0o500); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		dir + "/a.log":               "",
		dir + "/new/{tag}.log":       "",
		dir + "/file/a.log":          dir + "/file: not a directory",
		dir + "/file/{tag}/a.log":    dir + "/file: not a directory",
		dir + "/file-{tag}.log":      "",
		dir + "/closed/%Y/{tag}.log": dir + "/closed: permission denied",
	} {
		if strings.Contains(path, "closed") && os.Geteuid() == 0 {
			continue // Whoever may everything may that, too.
		}
		text := "sources: {in: {type: forward, listen: 127.0.0.1:0}}\nsinks:\n  kept: {type: file, path: \"" + path + "\"}\nroutes: [{match: x, to: kept}]\n"
		f, err := runfile.Parse("spillway.yaml", []byte(text), func(string) string { return "" })
		if err != nil {
			t.Fatal(err)
		}
		got := f.Unwritable()
		switch {
		case want == "" && len(got) > 0, want != "" && len(got) != 1:
			t.Errorf("%s: %q", path, got)
		case want != "" && (!strings.Contains(got[0], want) || !strings.HasPrefix(got[0], "spillway.yaml:3:") || !strings.Contains(got[0], "give another path")):
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "new")); err == nil {
		t.Error("a folder was made")
	}
}
