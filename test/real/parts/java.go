package parts

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// newest is for programs that run on every later Java.
const newest = 1000

// javaFlags are for a program that shall have a heap of so many MiB at most. The first compiler alone
// makes it start with half the work and run half as fast, which suits every size of the tests but the
// whole one.
func javaFlags(heap int) []string {
	flags := []string{fmt.Sprintf("-Xmx%dm", heap)}
	if os.Getenv("SPILLWAY_LONG") != "1" {
		flags = append(flags, "-XX:TieredStopAtLevel=1")
	}
	return flags
}

var javaVersion = regexp.MustCompile(`(?m)^JAVA_VERSION="(?:1\.)?(\d+)`)

// javaHome finds a development kit of a major version from least to most: among those of
// SPILLWAY_JDKS (directories, separated by colons), JAVA_HOME, and where Debian keeps them. It takes
// the oldest that will do, since programs know that best.
func javaHome(least, most int) (string, error) {
	homes := append(filepath.SplitList(os.Getenv("SPILLWAY_JDKS")), os.Getenv("JAVA_HOME"))
	installed, err := filepath.Glob("/usr/lib/jvm/*")
	if err != nil {
		return "", fmt.Errorf("look for Java: %w", err)
	}
	best, version := "", newest+1
	var seen []string
	for _, home := range append(homes, installed...) {
		found, ok := javaAt(home)
		if !ok {
			continue
		}
		seen = append(seen, fmt.Sprintf("%d in %s", found, home))
		if least <= found && found <= most && found < version {
			best, version = home, found
		}
	}
	if best != "" {
		return best, nil
	}
	wanted, remedy := fmt.Sprintf("%d to %d", least, most), "apt-get install default-jdk-headless"
	if most == newest {
		wanted = fmt.Sprintf("%d or newer", least)
	}
	if least > 17 {
		remedy = "Debian 12 has none; name its directory in SPILLWAY_JDKS"
	}
	return "", fmt.Errorf("find a Java development kit, %s: found %s; %s", wanted, cmp.Or(strings.Join(seen, ", "), "none"), remedy)
}

// javaAt tells the major version of the development kit in a directory.
func javaAt(home string) (version int, ok bool) {
	text, err := os.ReadFile(filepath.Join(home, "release"))
	if err != nil {
		return 0, false
	}
	_, compiles := os.Stat(filepath.Join(home, "bin", "javac"))
	found := javaVersion.FindSubmatch(text)
	if found == nil || compiles != nil || home == "" {
		return 0, false
	}
	version, err = strconv.Atoi(string(found[1]))
	return version, err == nil
}
