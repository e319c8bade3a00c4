package local

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/sink/appendfile"
	"github.com/spillway/spillway/internal/sink/sinktest"
)

// encode returns the lines of events as a segment has them.
func encode(t testing.TB, run string, streams []string, events ...sinktest.Event) string {
	t.Helper()
	f, err := os.Create(filepath.Join(tempDir(t), "segment"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	e := newEncoder(run)
	var w appendfile.Writer
	w.Use(f, 0, 0)
	most, c := int64(0), counts{}
	for _, b := range sinktest.NewRequest(events...).Batches() {
		most += e.most(streams[b.Stream], b)
		e.batch(&w, streams[b.Stream], b, &c)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(text)) > most || c.size != int64(len(text)) {
		t.Fatalf("%d bytes, counted as %d, where %d were thought the most", len(text), c.size, most)
	}
	return string(text)
}

func TestLinesReadBack(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		any := rapid.Custom(func(rt *rapid.T) string {
			if rapid.Bool().Draw(rt, "bytes") {
				return string(rapid.SliceOf(rapid.Byte()).Draw(rt, "body"))
			}
			return rapid.String().Draw(rt, "body")
		})
		run, stream := any.Draw(rt, "run"), any.Draw(rt, "stream")
		nanos := rapid.Int64().Draw(rt, "time")
		if nanos == math.MinInt64 {
			nanos++ // That the sort key of the next is later is no matter here.
		}
		e := sinktest.Event{Time: time.Unix(0, nanos), Body: any.Draw(rt, "text"), Seq: rapid.Uint64Max(math.MaxUint64-9).Draw(rt, "seq")}
		if rapid.Bool().Draw(rt, "part") {
			e.Part = record.Part{Ordinal: rapid.Uint32Min(1).Draw(rt, "ordinal"), Last: rapid.Bool().Draw(rt, "last")}
		}
		if rapid.IntRange(0, 3).Draw(rt, "kind") == 0 {
			e.Loss, e.Body, e.Part = &record.Loss{Lost: 1 + rapid.Int64Range(0, 8).Draw(rt, "lost"), Reason: "overflow-oldest"}, "", record.Part{}
		}
		line := strings.TrimSuffix(encode(t, run, []string{stream}, e), "\n")
		if strings.Contains(line, "\n") || !json.Valid([]byte(line)) {
			rt.Fatalf("not a line of JSON: %q", line)
		}
		var p parser
		var got Entry
		if err := p.parse([]byte(line), &got); err != nil {
			rt.Fatalf("%q: %v", line, err)
		}
		seq := e.Seq
		if seq == 0 {
			seq = 1
		}
		wanted := Entry{
			Time: e.Time.UTC(), Run: string([]rune(run)), Stream: string([]rune(stream)), Seq: seq, Part: e.Part,
			Text: []byte(e.Body), Line: []byte(line),
		}
		if e.Loss != nil {
			wanted.Loss = &record.Loss{
				Lost: e.Loss.Lost, FirstSeq: seq, LastSeq: seq + uint64(e.Loss.Lost) - 1, FirstTime: nanos, LastTime: nanos, Reason: "overflow-oldest",
			}
		}
		if diff := cmp.Diff(wanted, got, cmpopts.IgnoreUnexported(Entry{}), cmpopts.EquateEmpty()); diff != "" {
			rt.Fatalf("%s (-want +got):\n%s", line, diff)
		}
	})
}

const goodLine = `{"time":"2026-11-20T18:00:00Z","sort":"2026-11-20T18:00:01Z","run":"r","stream":"s","seq":7,"part":1,"last":true,"text":"a\u001fb"}`

func TestOnlyOurLinesAreRead(t *testing.T) {
	var p parser
	var e Entry
	if err := p.parse([]byte(goodLine), &e); err != nil || string(e.Text) != "a\x1fb" || e.sort != epoch.Add(time.Second).UnixNano() {
		t.Fatalf("%+v, %v", e, err)
	}
	for i := range goodLine {
		if p.parse([]byte(goodLine[:i]), &e) == nil {
			t.Errorf("a line cut off after %d bytes is read", i)
		}
	}
	for _, change := range [][2]string{
		{`}`, `} `}, {`2026`, `12026`}, {`2026`, `2926`}, {`Z"`, `"`}, {`:7`, `:07`}, {`:7`, `:-7`}, {`:7`, `:7.5`}, {`true`, `yes`},
		{`\u001f`, `\u0020`}, {`\u001f`, `\u001F`}, {`\u001f`, `\v`}, {`\u001f`, "\x1f"}, {`\u001f`, "\xff"}, {`"text"`, `"base64"`},
		{`"text":"`, `"loss":{"`}, {`"r"`, `r`}, {`"sort"`, `"Sort"`}, {`,"seq":7`, ``},
	} {
		line := strings.Replace(goodLine, change[0], change[1], 1)
		if err := p.parse([]byte(line), &e); err == nil || line == goodLine {
			t.Errorf("%s is read", line)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(goodLine))
	f.Add([]byte(strings.Replace(goodLine, `"text":"a\u001fb"`, `"base64":"/wA="`, 1)))
	f.Add([]byte(strings.Replace(goodLine, `"text":"a\u001fb"`, `"loss":{"lost":3,"reason":"shutdown"}`, 1)))
	f.Fuzz(func(t *testing.T, line []byte) {
		var p parser
		var e Entry
		if p.parse(line, &e) == nil && !json.Valid(line) {
			t.Errorf("%q is read", line)
		}
	})
}

// FuzzRead puts foreign bytes between good lines: they are read, from either
// end, and nothing else breaks.
func FuzzRead(f *testing.F) {
	f.Add([]byte("torn"), false, uint8(2))
	f.Add([]byte("\x00\x00\n{}\n\n"), true, uint8(0))
	f.Add([]byte(goodLine+"\n"), false, uint8(3))
	f.Fuzz(func(t *testing.T, foreign []byte, last bool, tail uint8) {
		dir := tempDir(t)
		content := slices.Concat([]byte(goodLine+"\n"), foreign, []byte("\n"))
		if !last {
			content = slices.Concat(content, []byte(goodLine+"\n"))
		}
		if err := os.WriteFile(filepath.Join(dir, "0000000000000000007-abc-000001.open"), content, 0o600); err != nil {
			t.Fatal(err)
		}
		good := 0
		var p parser
		var e Entry
		for line := range bytes.Lines(content) {
			if p.parse(bytes.TrimSuffix(line, []byte("\n")), &e) == nil {
				good++
			}
		}
		if tail > 0 {
			good = min(good, int(tail))
		}
		if got := texts(t, dir, Query{Tail: int(tail)}); len(got) != good {
			t.Errorf("%d entries of %d", len(got), good)
		}
	})
}

func TestNames(t *testing.T) {
	g := segment{first: 12, writer: "ab", ordinal: 3}
	if name := g.name(); name != "0000000000000000012-ab-000003.open" {
		t.Error(name)
	}
	g.closed, g.counts = true, counts{min: 10, last: 14, records: 2, bytes: 30, size: 300}
	if name := g.name(); name != "0000000000000000012-ab-000003-10-14-2-30-300.jsonl" {
		t.Error(name)
	}
	if got, ok := parseName(g.name()); !ok || got != g {
		t.Errorf("%+v", got)
	}
	for _, name := range []string{
		"", ".", "lock", "expired.json", ".open", "--.open", "12-ab-3.open", "0000000000000000012-ab-000003.jsonl",
		"0000000000000000012--000003.open", "0000000000000000012-ab-000003-10-14-2-30-300.open", "0000000000000000012-ab-000003-10-14-2-030-300.jsonl",
		"9999999999999999999-ab-000003.open", "0000000000000000012-ab-000003-10-14-2-30--300.jsonl",
	} {
		if g, ok := parseName(name); ok {
			t.Errorf("%q is read as %+v", name, g)
		}
	}
}
