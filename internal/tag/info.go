// Package tag renders the tag templates of Docker's log drivers, such as
// {{.Name}}/{{.ID}}, and picks the labels and environment variables that a
// container's owner wants beside each record.
//
// It refuses what could keep a container from starting for ever: a template
// runs once, with a bound on its loops, on the memory of its values and on its
// output. It has no defaults, and does not judge whether the destination takes
// the result as a name.
//
// Its callers are the programs, when they turn the options of a container into
// a configuration.
package tag

import (
	"fmt"
	"os"
	"strings"
	"time"
	"unicode/utf8"
)

// shortID is the length of a short identifier in characters.
const shortID = 12

// Info is what is known of a container. Its fields and methods have the names
// of Docker's logger.Info, because templates say them; their order is that of
// {{json .}}. What is not known is empty. ContainerEnv holds the container's
// whole environment, with its secrets.
type Info struct {
	Config              map[string]string
	ContainerID         string
	ContainerName       string
	ContainerEntrypoint string
	ContainerArgs       []string
	ContainerImageID    string
	ContainerImageName  string
	ContainerCreated    time.Time
	// ContainerEnv holds NAME=value, each.
	ContainerEnv    []string
	ContainerLabels map[string]string
	LogPath         string
	DaemonName      string
}

// ID returns the first 12 characters of the container's id, or all of a
// shorter one, which containerd allows.
func (i *Info) ID() string { return truncate(i.ContainerID, shortID) }

// FullID returns the container's id.
func (i *Info) FullID() string { return i.ContainerID }

// Name returns the container's name without the slash that Docker keeps
// before it.
func (i *Info) Name() string { return strings.TrimPrefix(i.ContainerName, "/") }

// Command returns the entry point and the arguments, with a space between.
func (i *Info) Command() string {
	if i.ContainerEntrypoint == "" {
		return strings.Join(i.ContainerArgs, " ")
	}
	return strings.Join(append([]string{i.ContainerEntrypoint}, i.ContainerArgs...), " ")
}

// ImageID returns the first 12 characters of the image's id, or all of a
// shorter one. As with Docker they include the sha256: of an id that has it.
func (i *Info) ImageID() string { return truncate(i.ContainerImageID, shortID) }

// ImageFullID returns the image's id.
func (i *Info) ImageFullID() string { return i.ContainerImageID }

// ImageName returns the image's name.
func (i *Info) ImageName() string { return i.ContainerImageName }

// Hostname returns the name of the host. It is asked for only by a template
// that says it.
func (i *Info) Hostname() (string, error) {
	name, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("look up the host's name: %w", err)
	}
	return name, nil
}

// truncate returns the first n bytes of s, and fewer where a character would
// be cut. n must not be negative.
func truncate(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
