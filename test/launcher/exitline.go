package launcher

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Counts are the numbers of one balance, in records or in bytes.
type Counts struct {
	Received           int64            `json:"received"`
	Delivered          int64            `json:"delivered"`
	Dropped            int64            `json:"dropped"`
	DeadLettered       int64            `json:"dead_lettered"`
	Pending            int64            `json:"pending"`
	Recovered          int64            `json:"recovered"`
	Unaccounted        int64            `json:"unaccounted"`
	PossibleDuplicates int64            `json:"possible_duplicates"`
	DroppedByReason    map[string]int64 `json:"dropped_by_reason"`
	Markers            struct {
		Made      int64 `json:"made"`
		Delivered int64 `json:"delivered"`
		Pending   int64 `json:"pending"`
		Refused   int64 `json:"refused"`
	} `json:"markers"`
	LinesRead   int64 `json:"lines_read"`
	SplitLines  int64 `json:"split_lines"`
	EmptyLines  int64 `json:"empty_lines"`
	InvalidUTF8 int64 `json:"invalid_utf8"`
}

// Difference is received + recovered - delivered - dropped - dead_lettered - pending, computed here and not read.
func (c *Counts) Difference() int64 {
	return c.Received + c.Recovered - c.Delivered - c.Dropped - c.DeadLettered - c.Pending
}

// ExitLine is the balance that a logger prints as it ends.
type ExitLine struct {
	Counts
	Bytes   Counts `json:"bytes"`
	Streams []struct {
		Stream string `json:"stream"`
		Counts
	} `json:"streams"`
	// Raw is the whole line.
	Raw json.RawMessage `json:"-"`
}

// Stream gives the numbers of one stream, summed over entries of the same name.
func (e *ExitLine) Stream(name string) (sum Counts) {
	for _, s := range e.Streams {
		if s.Stream == name {
			sum.Received += s.Received
			sum.Delivered += s.Delivered
			sum.Dropped += s.Dropped
			sum.DeadLettered += s.DeadLettered
			sum.Pending += s.Pending
			sum.Recovered += s.Recovered
		}
	}
	return sum
}

// exitLine looks on stderr first, then in the state directory.
func (l *Logger) exitLine() (*ExitLine, error) {
	if e := LastExitLine([]byte(l.StderrText()), ""); e != nil {
		return e, nil
	}
	if l.spec.StateDir == "" {
		return nil, errors.New("no exit line on the logger's stderr, and no state directory to look in")
	}
	path := filepath.Join(l.spec.StateDir, "exits.jsonl")
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no exit line: neither on the logger's stderr nor in %s, which does not exist", path)
	}
	if err != nil {
		return nil, fmt.Errorf("read the exit line: %w", err)
	}
	id := l.spec.ContainerID
	if id == "" {
		id = defaultContainerID
	}
	if e := LastExitLine(text, id); e != nil {
		return e, nil
	}
	return nil, fmt.Errorf("no exit line of container %s on the logger's stderr or in %s", id, path)
}

// LastExitLine finds the last balance in text, line by line; with a container id, the last that carries it in any
// of its values. It returns nil if there is none.
func LastExitLine(text []byte, containerID string) *ExitLine {
	lines := bytes.Split(text, []byte("\n"))
	for i := len(lines) - 1; i >= 0; i-- {
		line := bytes.TrimSpace(lines[i])
		if containerID != "" && !bytes.Contains(line, []byte(containerID)) {
			continue
		}
		if e := parseExitLine(line); e != nil {
			return e
		}
	}
	return nil
}

// parseExitLine takes a line for a balance if it is an object with the keys received and unaccounted.
func parseExitLine(line []byte) *ExitLine {
	if len(line) == 0 || line[0] != '{' {
		return nil
	}
	var keys struct {
		Received    *int64 `json:"received"`
		Unaccounted *int64 `json:"unaccounted"`
	}
	e := &ExitLine{Raw: bytes.Clone(line)}
	if json.Unmarshal(line, &keys) != nil || keys.Received == nil || keys.Unaccounted == nil {
		return nil
	}
	if json.Unmarshal(line, e) != nil {
		return nil
	}
	return e
}
