package record_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spillway/spillway/internal/record"
)

// TestSourceLayout holds the name of a source to the bytes of docs/disk-format.md: alone, and behind an origin, which
// alone would not be named.
func TestSourceLayout(t *testing.T) {
	b := record.Batch{Kind: record.KindRecords, Encoding: record.EncodingEntry, Count: 1, Frames: []byte("\x92\x01\x80"), Bytes: 3, Source: record.SourceName("app")}
	for _, c := range []struct {
		origin record.Origin
		word   string
		behind string
	}{
		{record.Origin{}, "\x04\x00", "\x03app\x92\x01\x80"},
		{someOrigin, "\x1c\x40", "\x03app\x92\x01\x80"},
	} {
		b.Origin = c.origin
		mem := record.AppendBatch(nil, &b)
		if mem[5] != 0x81 || string(mem[6:8]) != c.word || !bytes.HasSuffix(mem, []byte(c.behind)) {
			t.Errorf("it is written as % x", mem)
		}
		if _, _, _, err := record.Check(mem); err != nil {
			t.Error(err)
		}
	}
}

// TestSourceName: a name is cut between runes.
func TestSourceName(t *testing.T) {
	for name, want := range map[string]string{
		"": "", "app": "app", strings.Repeat("a", 200): strings.Repeat("a", 128), strings.Repeat("a", 127) + "é": strings.Repeat("a", 127),
	} {
		if got := string(record.SourceName(name)); got != want {
			t.Errorf("%q becomes %q", name, got)
		}
	}
}
