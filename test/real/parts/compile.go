package parts

import (
	"archive/zip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// sumOf names the contents of sources, so that what was made of others is not taken for theirs.
func sumOf(sources map[string][]byte) string {
	sum := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(sources)) {
		fmt.Fprintf(sum, "%s %d\n%s", name, len(sources[name]), sources[name])
	}
	return hex.EncodeToString(sum.Sum(nil)[:6])
}

// compile makes DIR/made.jar of Java sources, for a release of Java and against the jars of a directory.
func compile(java, lib string, sources map[string][]byte, release, dir string) error {
	work, err := os.MkdirTemp("", "spillway-javac-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	classes := filepath.Join(work, "classes")
	compiler := exec.Command(filepath.Join(java, "bin", "javac"), "-nowarn", "--release", release, "-cp", filepath.Join(lib, "*"), "-d", classes)
	for name, text := range sources {
		path := filepath.Join(work, name)
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return err
		}
		compiler.Args = append(compiler.Args, path)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	archiver := exec.Command(filepath.Join(java, "bin", "jar"), "cf", filepath.Join(dir, "made.jar"), "-C", classes, ".")
	for _, cmd := range []*exec.Cmd{compiler, archiver} {
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%v: %w: %s", cmd.Args, err, out)
		}
	}
	return nil
}

// unpacked fetches an artifact that is a zip, and unpacks it into a directory.
func unpacked(artifact, dir string) error {
	fetched := filepath.Join(dir, "fetched")
	if err := maven("dependency:copy", "-Dartifact="+artifact, "-DoutputDirectory="+fetched); err != nil {
		return err
	}
	found, err := filepath.Glob(filepath.Join(fetched, "*.zip"))
	if err != nil || len(found) != 1 {
		return fmt.Errorf("fetch %s: found %q (%w), expected one zip", artifact, found, err)
	}
	if err := unzip(found[0], dir); err != nil {
		return fmt.Errorf("unpack %s: %w", artifact, err)
	}
	return os.RemoveAll(fetched)
}

// unzip writes the files of a zip below a directory, outside of which os.Root lets none go.
func unzip(path, dir string) error {
	archive, err := zip.OpenReader(path)
	if err != nil {
		return err
	}
	defer archive.Close()
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, entry := range archive.File {
		if err := unzipOne(root, entry); err != nil {
			return err
		}
	}
	return nil
}

func unzipOne(root *os.Root, entry *zip.File) (err error) {
	if entry.FileInfo().IsDir() {
		return root.MkdirAll(entry.Name, 0o755)
	}
	if err := root.MkdirAll(filepath.Dir(entry.Name), 0o755); err != nil {
		return err
	}
	in, err := entry.Open()
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := root.OpenFile(entry.Name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, entry.Mode().Perm())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_, err = io.Copy(out, in)
	return err
}
