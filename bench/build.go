package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// build compiles everything that takes part into dir. dockerlogs is a module of its own, so that Docker's
// dependencies, in Docker's versions, stay out of ours.
func build(ctx context.Context, dir string, progress io.Writer) error {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return fmt.Errorf("find the module (run this inside the repository): %w", err)
	}
	module := strings.TrimSpace(string(root))
	for _, p := range []struct{ from, pkg string }{
		{module, "./cmd/spillway"},
		{module, "./cmd/spillway-shim"},
		{module, "./test/loggen"},
		{module, "./test/forwardload"},
		{module, "./test/searchload"},
		{module, "./test/kafkaload"},
		{filepath.Join(module, "bench", "dockerlogs"), "."},
	} {
		name := filepath.Base(filepath.Join(p.from, p.pkg))
		fmt.Fprintf(progress, "building %s\n", name)
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-tags", "nethttpomithttp2", "-ldflags", "-s -w", "-o", filepath.Join(dir, name), p.pkg)
		cmd.Dir = p.from
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		cmd.Stdout, cmd.Stderr = progress, progress
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("build %s: %w", name, err)
		}
	}
	return nil
}
