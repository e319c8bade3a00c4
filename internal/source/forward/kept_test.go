package forward

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/spillway/spillway/internal/record"
	"github.com/spillway/spillway/internal/source/seen"
)

// keeper collects what kept parts hand over; its legs keep it when it is told.
type keeper struct {
	*keptParts
	t      *testing.T
	chunks []*record.Chunk
	answer func(c *record.Chunk)
}

// newKeeper is a process that finds what another has left in dir. answer, which may
// be nil, tells what becomes of what it hands over.
func newKeeper(t *testing.T, dir string, answer func(c *record.Chunk)) *keeper {
	t.Helper()
	k := &keeper{t: t, answer: answer}
	k.keptParts = &keptParts{dir: dir, level: record.LevelPower, during: func(hand func()) { hand() }, admit: func(c *record.Chunk) {
		kept := *c
		kept.Bodies = bytes.Clone(c.Bodies)
		k.chunks = append(k.chunks, &kept)
		if k.answer != nil {
			k.answer(c)
		}
	}}
	if err := k.recover(); err != nil {
		t.Fatal(err)
	}
	k.start()
	return k
}

func taken(c *record.Chunk) { c.Done(true) }

func refused(c *record.Chunk) { c.Done(false) }

// kill forgets everything but the files.
func (k *keeper) kill() { k.timer.Stop() }

// give hands a part over as a chunk of its own, and reports whether it was taken and
// what its sender heard: "", "ack" or "no".
func (k *keeper) give(key byte, entry []byte) (taken bool, heard *string) {
	heard = new(string)
	c := &record.Chunk{Tag: "tag", Encoding: record.EncodingEntry, Bodies: entry, Count: 1, Origin: record.Origin{Key: seen.Key{key}}}
	c.Done = func(ok bool) {
		if *heard != "" {
			k.t.Errorf("part %d is told twice", key)
		}
		*heard = map[bool]string{true: "ack", false: "no"}[ok]
	}
	taken = k.take(c, true)
	return taken, heard
}

// acked hands over a part that is to be acknowledged at once.
func (k *keeper) acked(key byte, entry []byte) {
	k.t.Helper()
	if taken, heard := k.give(key, entry); !taken || *heard != "ack" {
		k.t.Errorf("part %d: taken %t, heard %q; expected an ack", key, taken, *heard)
	}
}

func (k *keeper) passed(key byte, entry []byte) {
	k.t.Helper()
	if taken, _ := k.give(key, entry); taken {
		k.t.Errorf("part %d is taken", key)
	}
}

// files are how many lines have one.
func (k *keeper) files(want int) {
	k.t.Helper()
	all, err := filepath.Glob(filepath.Join(k.dir, "*"))
	if err != nil || len(all) != want {
		k.t.Errorf("%d lines have a file, expected %d: %v", len(all), want, err)
	}
}

func (k *keeper) records() (all []map[string]any) {
	for _, c := range k.chunks {
		all = append(all, recordsOf(k.t, c.Bodies)...)
	}
	return all
}

func markedPart(id string, ordinal int, log string) map[string]any {
	m := whole(log)
	m[keyPartial], m[keyID], m[keyOrdinal], m[keyLast] = "true", id, strconv.Itoa(ordinal), "false"
	return m
}

// TestKeptParts are acknowledged one by one, the last with the line, and are in a
// file meanwhile.
func TestKeptParts(t *testing.T) {
	k := newKeeper(t, filepath.Join(t.TempDir(), "parts", "in"), nil)
	k.acked(1, docker(t, 1, "x", 1, false, "ab"))
	k.files(1)
	k.acked(2, docker(t, 1, "x", 2, false, "cd"))
	k.acked(2, docker(t, 1, "x", 2, false, "cd")) // Sent again: it is there.
	k.passed(9, entryOf(t, 1, whole("plain")))
	taken, heard := k.give(3, docker(t, 1, "x", 3, true, "ef"))
	if !taken || *heard != "" || len(k.chunks) != 1 {
		t.Fatalf("taken %t, heard %q, %d lines", taken, *heard, len(k.chunks))
	}
	k.files(1)
	k.chunks[0].Done(true)
	k.files(0)
	if diff := cmp.Diff([]map[string]any{whole("abcdef")}, k.records()); diff != "" || *heard != "ack" {
		t.Errorf("heard %q\n%s", *heard, diff)
	}
	if c := k.chunks[0]; c.Level != record.LevelPower || c.Origin.Key != (seen.Key{3}) {
		t.Errorf("handed over at level %v with key %x", c.Level, c.Origin.Key)
	}
	if diff := cmp.Diff(PartCounts{Parts: 3, Lines: 1}, k.state()); diff != "" {
		t.Error(diff)
	}
	k.end()
}

// TestKilledBetweenParts: what was acknowledged is there after a kill at any point,
// joined if the rest comes, and marked if it does not; what is sent again is there
// once.
func TestKilledBetweenParts(t *testing.T) {
	parts := [][]byte{docker(t, 1, "x", 1, false, "ab"), docker(t, 1, "x", 2, false, "cd"), docker(t, 1, "x", 3, true, "ef")}
	for killed := range 3 {
		for _, comes := range []bool{true, false} {
			t.Run(fmt.Sprintf("after %d, the rest comes %t", killed, comes), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { testKilled(t, parts, killed, comes) })
			})
		}
	}
}

func testKilled(t *testing.T, parts [][]byte, killed int, comes bool) {
	dir := t.TempDir()
	before := newKeeper(t, dir, nil)
	for i := range killed {
		before.acked(byte(i+1), parts[i])
	}
	before.kill()
	k := newKeeper(t, dir, taken)
	var want []map[string]any
	if comes {
		// The ack of the part before may have been lost.
		for i := max(0, killed-1); i < 3; i++ {
			k.acked(byte(i+1), parts[i])
		}
		want = append(want, whole("abcdef"))
	} else if killed > 0 {
		time.Sleep(partAge)
		synctest.Wait()
		want = append(want, markedPart("x", killed, "abcdef"[:2*killed]))
	}
	if diff := cmp.Diff(want, k.records()); diff != "" {
		t.Error(diff)
	}
	k.files(0)
	if n := k.state().Waiting; n != 0 {
		t.Errorf("%d parts are said to wait", n)
	}
	k.end()
}

// TestKilledBeforeTheFileIsGone: the line is in a disk buffer already. It is handed
// over with the same key, which the leg knows, when its last part is sent again.
func TestKilledBeforeTheFileIsGone(t *testing.T) {
	dir := t.TempDir()
	before := newKeeper(t, dir, nil)
	before.acked(1, docker(t, 1, "x", 1, false, "ab"))
	before.give(2, docker(t, 1, "x", 2, true, "cd"))
	before.kill()
	k := newKeeper(t, dir, taken)
	k.acked(2, docker(t, 1, "x", 2, true, "cd"))
	if diff := cmp.Diff(before.chunks[0].Bodies, k.chunks[0].Bodies); diff != "" || k.chunks[0].Origin != before.chunks[0].Origin {
		t.Errorf("another key %v, or\n%s", k.chunks[0].Origin, diff)
	}
	k.files(0)
	k.end()
}

// TestKeptLineIsNotTaken: its parts stay, its last part is not acknowledged, and both
// are tried again; at the end they stay for the next process.
func TestKeptLineIsNotTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeeper(t, t.TempDir(), refused)
		k.acked(1, docker(t, 1, "x", 1, false, "ab"))
		for range 2 {
			if taken, heard := k.give(2, docker(t, 1, "x", 2, true, "cd")); !taken || *heard != "no" {
				t.Errorf("taken %t, heard %q", taken, *heard)
			}
		}
		time.Sleep(partAge)
		synctest.Wait()
		k.end()
		if diff := cmp.Diff([]map[string]any{whole("abcd"), whole("abcd"), markedPart("x", 1, "ab"), markedPart("x", 1, "ab")}, k.records()); diff != "" {
			t.Error(diff)
		}
		k.files(1)
		if n := k.state().Waiting; n != 1 {
			t.Errorf("%d parts are said to wait", n)
		}
	})
}

// TestKeptPartsInABalance: parts of a line that is admitted are in the balance of its legs, and not said to wait
// beside that.
func TestKeptPartsInABalance(t *testing.T) {
	k := newKeeper(t, t.TempDir(), nil)
	waits := func(want int) {
		t.Helper()
		if n := k.state().Waiting; n != want {
			t.Errorf("%d parts are said to wait, expected %d", n, want)
		}
	}
	k.acked(1, docker(t, 1, "x", 1, false, "ab"))
	waits(1)
	last := func() *string {
		taken, heard := k.give(2, docker(t, 1, "x", 2, true, "cd"))
		if !taken || *heard != "" {
			t.Fatalf("taken %t, heard %q", taken, *heard)
		}
		return heard
	}
	heard := last()
	waits(0)
	k.chunks[0].Done(false)
	waits(1)
	if *heard != "no" {
		t.Errorf("heard %q", *heard)
	}
	last()
	waits(0)
	k.chunks[1].Done(true)
	waits(0)
	k.files(0)
	k.end()
}

// TestKeptPartsGoOn: what a source cannot get rid of when another takes its place, that one goes on with: it does not
// wait for the next process.
func TestKeptPartsGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		old, next := newKeeper(t, dir, refused), newKeeper(t, dir, taken)
		old.heir = func() *keptParts { return next.keptParts }
		old.acked(1, docker(t, 1, "x", 1, false, "ab"))
		old.acked(2, docker(t, 1, "x", 2, false, "cd"))
		old.end()
		if a, b := old.state().Waiting, next.state().Waiting; a != 0 || b != 2 || old.bytes != 0 {
			t.Errorf("%d parts wait at the old one, %d at the next", a, b)
		}
		time.Sleep(partAge)
		synctest.Wait()
		if diff := cmp.Diff([]map[string]any{markedPart("x", 2, "abcd")}, next.records()); diff != "" {
			t.Error(diff)
		}
		next.files(0)
		if n := next.state().Waiting; n != 0 || next.bytes != 0 {
			t.Errorf("%d parts wait, %d bytes", n, next.bytes)
		}
		next.end()
	})
}

// TestKeptPartsAreBounded: a line that is too long goes out marked, and where too
// many wait parts are passed on.
func TestKeptPartsAreBounded(t *testing.T) {
	k := newKeeper(t, t.TempDir(), taken)
	half := strings.Repeat("x", partBytes/2)
	for i := range 2 {
		k.acked(byte(i), docker(t, 1, "long", i+1, false, half))
	}
	if got := k.records(); len(got) != 1 || len(got[0]["log"].(string)) != partBytes || got[0][keyOrdinal] != "2" {
		t.Errorf("got %d lines", len(got))
	}
	k.passed(3, docker(t, 1, "long", 3, false, half))
	k.passed(4, docker(t, 1, "no first part", 2, false, "x"))
	k.passed(5, docker(t, 1, "one part", 1, true, "x"))
	// What it has beside the log counts in memory once, and in the file each time.
	huge := func(ordinal, size int) []byte {
		return entryOf(t, 1, map[string]any{"env": strings.Repeat("e", size), keyLog: "x", keyPartial: "true", keyID: "huge", keyOrdinal: strconv.Itoa(ordinal)})
	}
	k.passed(8, huge(1, allParts))
	for i := range 3 {
		k.acked(byte(i), huge(i+1, 3<<20))
	}
	if got := k.records(); len(got) != 2 || got[1][keyLog] != "xxx" || got[1][keyOrdinal] != "3" {
		t.Errorf("got %d lines", len(got))
	}
	for i := range partLines {
		k.acked(byte(i), docker(t, 1, strconv.Itoa(i), 1, false, "x"))
	}
	k.passed(6, docker(t, 1, "one too many", 1, false, "x"))
	k.end()
	k.passed(7, docker(t, 1, "late", 1, false, "x"))
	k.files(0)
	if k.bytes != 0 || k.state() != (PartCounts{Parts: 5 + partLines, Marked: 2 + partLines, Passed: 6}) {
		t.Errorf("%d bytes, %+v", k.bytes, k.state())
	}
}

// TestNoFileForParts: where nothing can be written the first part is passed on, and
// a line that has begun goes out marked, with the part that could not be kept.
func TestNoFileForParts(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "in")
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	k := newKeeper(t, dir, taken)
	k.passed(1, docker(t, 1, "x", 1, false, "ab"))
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	k.acked(1, docker(t, 1, "y", 1, false, "ab"))
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	k.acked(2, docker(t, 1, "y", 2, false, "cd"))
	if diff := cmp.Diff([]map[string]any{markedPart("y", 2, "abcd")}, k.records()); diff != "" {
		t.Error(diff)
	}
	if k.state().Trouble == "" {
		t.Error("nobody is told")
	}
	k.end()
}

// TestDamagedParts: a torn part was not acknowledged and goes without a word; what is
// damaged is told, and the parts before it go out.
func TestDamagedParts(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(text []byte) []byte
		told bool
		left int
	}{
		{"torn", func(text []byte) []byte { return text[:len(text)-1] }, false, 1},
		{"zeros", func(text []byte) []byte { return append(text, make([]byte, 100)...) }, false, 2},
		{"damaged", func(text []byte) []byte { text[len(text)-1] ^= 1; return text }, true, 1},
		{"damaged from the start", func(text []byte) []byte { text[20] ^= 1; return text }, true, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := newKeeper(t, t.TempDir(), nil)
			before.acked(1, docker(t, 1, "x", 1, false, "ab"))
			before.acked(2, docker(t, 1, "x", 2, false, "cd"))
			before.kill()
			path := before.lines[0].file.path
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, c.do(text), 0o600); err != nil {
				t.Fatal(err)
			}
			k := &keeper{t: t, keptParts: &keptParts{dir: before.dir}}
			if err := k.recover(); (err != nil) != c.told || k.state().Waiting != c.left {
				t.Errorf("told %v, %d parts are left; expected %d", err, k.state().Waiting, c.left)
			}
			before.files(1)
			if c.told {
				return
			}
			// What comes next stands behind what was left, and nothing behind that.
			k.acked(3, entryOf(t, 1, map[string]any{keyLog: "", keyPartial: "true", keyID: "x", keyOrdinal: strconv.Itoa(c.left + 1)}))
			if info, err := os.Stat(path); err != nil || info.Size() != k.lines[0].file.size {
				t.Errorf("the file is not as long as what is in it: %v, %v", info, err)
			}
			again := &keptParts{dir: before.dir}
			if err := again.recover(); err != nil || again.state().Waiting != c.left+1 {
				t.Errorf("told %v, %d parts are left", err, again.state().Waiting)
			}
		})
	}
}

func FuzzPartsFile(f *testing.F) {
	one := partFrame{key: seen.Key{1}, since: time.Unix(1, 2), tag: "tag", entry: []byte("\x92\x01\x80")}
	f.Add(one.append(nil))
	f.Add(one.append(one.append(nil))[:70])
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), "line-1")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		file, frames, _, err := readPartsFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var again []byte
		for i := range frames {
			again = frames[i].append(again)
		}
		if !bytes.Equal(again, text[:file.size]) {
			t.Errorf("%d frames are %x, the file has %x", len(frames), again, text[:file.size])
		}
		k := &keptParts{dir: filepath.Dir(path)}
		if err := k.recover(); err != nil && len(k.lines) == 0 {
			return
		}
		for _, l := range k.lines {
			l.entry(false)
		}
	})
}
