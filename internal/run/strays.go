package run

import (
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/spillway/spillway/internal/entry"
	"github.com/spillway/spillway/internal/record"
)

// strays counts what no route takes, by tag, and shows one record of each. Tags
// are foreign data, so their number is bounded.
type strays struct {
	log *slog.Logger

	mu    sync.Mutex
	byTag map[string]*Stray
	told  time.Time
	// since is how many records there were since the log told of them.
	since int64
}

// Stray is what no route takes of one tag.
type Stray struct {
	Tag     string    `json:"tag"`
	Records int64     `json:"records"`
	Last    time.Time `json:"last"`
	// Sample is the first record, or its beginning.
	Sample string `json:"sample"`
}

const (
	strayTags   = 256
	straySample = 256 // bytes
	otherTags   = "(other)"
	// sayStrays is how often the log tells of them, at most.
	sayStrays = 10 * time.Second
)

// tell counts a chunk. The log hears of it now and then: of a tag that is new, or
// how many there were.
func (s *strays) tell(c *record.Chunk) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byTag == nil {
		s.byTag = make(map[string]*Stray)
	}
	tag := c.Tag
	if s.byTag[tag] == nil && len(s.byTag) >= strayTags {
		tag = otherTags
	}
	stray := s.byTag[tag]
	if stray == nil {
		stray = &Stray{Tag: tag, Sample: sample(c)}
		s.byTag[tag] = stray
	}
	stray.Records += int64(c.Count)
	now := time.Now()
	stray.Last = now.UTC()
	s.since += int64(c.Count)
	if now.Sub(s.told) < sayStrays {
		return
	}
	s.log.Warn("no route takes these records", "records", s.since, "tag", c.Tag, "sample", stray.Sample)
	s.told, s.since = now, 0
}

// list returns the strays, most records first.
func (s *strays) list() []Stray {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Stray, 0, len(s.byTag))
	for _, stray := range s.byTag {
		all = append(all, *stray)
	}
	slices.SortFunc(all, func(a, b Stray) int {
		if a.Records != b.Records {
			return int(max(min(b.Records-a.Records, 1), -1))
		}
		return strings.Compare(a.Tag, b.Tag)
	})
	return all
}

// sample is the beginning of a chunk's first record, as text.
func sample(c *record.Chunk) string {
	batch := record.Batch{Encoding: c.Encoding}
	body, _, _ := batch.Next(c.Bodies)
	text := body
	switch c.Encoding {
	case record.EncodingEntry:
		if _, value, err := entry.Split(body); err == nil {
			text = asJSON(value, body)
		}
	case record.EncodingMessage:
		var m record.Message
		if record.ParseMessage(body, &m); m.Form == record.FormMap {
			text = asJSON(m.Value, m.Value)
		} else {
			text = m.Value
		}
	}
	text = text[:min(len(text), straySample)]
	for len(text) > 0 && !utf8.Valid(text[max(0, len(text)-utf8.UTFMax):]) && len(text) > straySample-utf8.UTFMax {
		text = text[:len(text)-1]
	}
	return strings.ToValidUTF8(string(text), "\uFFFD")
}

// asJSON is a msgpack value as JSON, or else something in its place.
func asJSON(value, or []byte) []byte {
	text, _, err := entry.AppendJSON(nil, value)
	if err != nil {
		return or
	}
	return text
}
