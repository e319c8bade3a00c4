package convert

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spillway/spillway/internal/config/runfile"
	"github.com/spillway/spillway/internal/config/setting"
)

// TestConvertedFilesAreGood reads every converted file as "spillway check" does. What cannot be carried over is refused
// where it stands, and nothing else is.
func TestConvertedFilesAreGood(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) < 12 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			file, err := runfile.Parse(path, content, func(string) string { return "" })
			var want []string
			if strings.Contains(path, "uncarried") {
				want = []string{"pattern", "time-format", "topics-regexp"}
			}
			if got := refused(err); !slices.Equal(got, want) {
				t.Fatalf("refused: %v, want %v: %v", got, want, err)
			}
			if err == nil && (file.Sources[0].Kafka == nil || len(file.Warnings) > 0) {
				t.Errorf("source %+v, warnings %v", file.Sources[0], file.Warnings)
			}
		})
	}
}

// refused returns the options that an error speaks of.
func refused(err error) (names []string) {
	for _, p := range setting.List(err) {
		names = append(names, p.Where[strings.LastIndex(p.Where, ": ")+2:])
	}
	slices.Sort(names)
	return names
}
