package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The page in the repository says what the table says.
func TestPageIsFresh(t *testing.T) {
	onDisk, err := os.ReadFile(filepath.Join("..", "..", "..", page))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(render(), string(onDisk)); diff != "" {
		t.Errorf("%s is stale, run \"go run ./internal/config/gendoc\" (-table +page):\n%s", page, diff)
	}
}
