package forward

import (
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// docker is a part as Docker's driver sends it.
func docker(t *testing.T, second int64, id string, ordinal int, last bool, log string) []byte {
	return entryOf(t, second, map[string]any{
		"container_id": "c", "container_name": "/n", "source": "stdout", "log": log, keyPartial: "true",
		keyID: id, keyOrdinal: strconv.Itoa(ordinal), keyLast: strconv.FormatBool(last),
	})
}

// joined collects what parts lets out.
type joined struct {
	*parts
	t    *testing.T
	tags []string
	out  []map[string]any
}

func newJoined(t *testing.T) *joined {
	j := &joined{t: t}
	j.parts = newParts(func(tag string, _ int64, entry []byte) {
		j.tags = append(j.tags, tag)
		j.out = append(j.out, recordsOf(t, entry)...)
	})
	return j
}

func (j *joined) give(tag string, entries []byte) (rest []map[string]any) {
	j.t.Helper()
	left, count, err := j.take(tag, entries)
	if err != nil {
		j.t.Fatal(err)
	}
	rest = recordsOf(j.t, left)
	if count != len(rest) {
		j.t.Fatalf("%d entries were said to be left, there are %d", count, len(rest))
	}
	return rest
}

func whole(log string) map[string]any {
	return map[string]any{"container_id": "c", "container_name": "/n", "source": "stdout", "log": log}
}

// TestJoin: the parts of two lines come in turn, and a whole line between them.
func TestJoin(t *testing.T) {
	j := newJoined(t)
	for i, e := range [][]byte{
		docker(t, 1, "x", 1, false, "ab"), docker(t, 1, "y", 1, false, "12"), entryOf(t, 2, whole("plain")),
		docker(t, 1, "x", 2, false, "cd"), docker(t, 1, "y", 2, true, "34"), docker(t, 3, "x", 3, true, "ef"),
	} {
		rest := j.give("tag", e)
		if i == 2 && len(rest) != 1 || i != 2 && len(rest) != 0 {
			t.Errorf("entry %d leaves %v", i, rest)
		}
	}
	if diff := cmp.Diff([]map[string]any{whole("1234"), whole("abcdef")}, j.out); diff != "" {
		t.Error(diff)
	}
	j.end()
}

// TestEndWaitsForLinesThatLeave: nothing is handed over behind the end, also where
// what has waited long enough is just being.
func TestEndWaitsForLinesThatLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		room, out := make(chan struct{}), 0
		ps := newParts(func(string, int64, []byte) {
			<-room
			out++
		})
		if _, _, err := ps.take("tag", docker(t, 1, "x", 1, false, "ab")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(partAge)
		synctest.Wait()
		ended := false
		go func() {
			ps.end()
			ended = true
		}()
		synctest.Wait()
		if ended {
			t.Error("it ends while a line is handed over")
		}
		close(room)
		synctest.Wait()
		if !ended || out != 1 {
			t.Errorf("ended: %t, with %d lines", ended, out)
		}
	})
}

// TestIncompleteGoesOutMarked: too old, too long, too many, or at the end.
func TestIncompleteGoesOutMarked(t *testing.T) {
	marked := func(id string, ordinal int, log string) map[string]any {
		m := whole(log)
		m[keyPartial], m[keyID], m[keyOrdinal], m[keyLast] = "true", id, strconv.Itoa(ordinal), "false"
		return m
	}
	synctest.Test(t, func(t *testing.T) {
		j := newJoined(t)
		j.give("tag", docker(t, 1, "old", 1, false, "a"))
		time.Sleep(3 * time.Second)
		j.give("tag", docker(t, 1, "old", 2, false, "b"))
		j.give("other", docker(t, 1, "old", 1, false, "of another tag"))
		time.Sleep(partAge - 3*time.Second)
		synctest.Wait()
		if diff := cmp.Diff([]map[string]any{marked("old", 2, "ab")}, j.out); diff != "" {
			t.Error(diff)
		}
		j.end()
		if diff := cmp.Diff(marked("old", 1, "of another tag"), j.out[1]); diff != "" {
			t.Error(diff)
		}
		// What comes after the end waits for nothing.
		j.give("tag", docker(t, 1, "late", 1, false, "c"))
		if diff := cmp.Diff(marked("late", 1, "c"), j.out[2]); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("too long", func(t *testing.T) {
		j := newJoined(t)
		half := strings.Repeat("x", partBytes/2)
		for i := range 3 {
			j.give("tag", docker(t, 1, "long", i+1, false, half))
		}
		if len(j.out) != 1 || len(j.out[0]["log"].(string)) != partBytes || j.out[0][keyOrdinal] != "2" {
			t.Errorf("got %d lines", len(j.out))
		}
		j.end()
	})
	t.Run("too much", func(t *testing.T) {
		j := newJoined(t)
		half := strings.Repeat("x", partBytes/2)
		for i := range 6 {
			j.give("tag", docker(t, 1, strconv.Itoa(i), 1, false, half))
		}
		// Of a line the entry of the first part is held, and its log.
		if len(j.out) != 3 || j.out[2][keyID] != "2" || j.bytes > allParts {
			t.Errorf("%d lines are out, %d bytes are held", len(j.out), j.bytes)
		}
		if j.end(); j.bytes != 0 || len(j.out) != 6 {
			t.Errorf("%d bytes are held in the end, %d lines are out", j.bytes, len(j.out))
		}
	})
	t.Run("too many", func(t *testing.T) {
		j := newJoined(t)
		for i := range partLines + 3 {
			j.give("tag", docker(t, 1, strconv.Itoa(i), 1, false, "x"))
		}
		if len(j.out) != 3 || j.out[2][keyID] != "2" {
			t.Errorf("got %v", j.out)
		}
		j.end()
	})
}

// TestMaybeParts: the key is found however its length is written, and nothing else
// passes for it.
func TestMaybeParts(t *testing.T) {
	entry := func(key string) []byte {
		return []byte("\x92\xce\x00\x00\x00\x01\x82\xa3log\xa1x" + key + "\xa4true")
	}
	for key, want := range map[string]bool{
		"\xafpartial_message": true, "\xd9\x0fpartial_message": true, "\xda\x00\x0fpartial_message": true, "\xdb\x00\x00\x00\x0fpartial_message": true,
		"\xc4\x0fpartial_message": true, "\xafpartial_massage": false, "\xb0a_partial_message": false,
	} {
		if got := maybe(entry(key)); got != want {
			t.Errorf("%q: found %v, want %v", key, got, want)
		}
	}
}
