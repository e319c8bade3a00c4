package entry_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/tinylib/msgp/msgp"
	"pgregory.net/rapid"

	"github.com/spillway/spillway/internal/entry"
)

// What comes in pieces is what is made at once, or fails as that does; and nothing comes behind the piece at which it
// was to end.
func TestEachPair(t *testing.T) {
	const most = 64
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Repeat(rapid.SampledFrom([]string{"x", "ä", "\"", "\xff", "\xe2\x82", "日本", "\x01"}).Draw(t, "text"), rapid.IntRange(0, 200).Draw(t, "length"))
		rec := msgp.AppendMapHeader(nil, 4)
		rec = append(msgp.AppendString(rec, "any"), drawMap(t, 3).packed...)
		rec = msgp.AppendString(msgp.AppendString(rec, "text"), text)
		rec = msgp.AppendBytes(msgp.AppendString(rec, "bytes"), []byte(text))
		rec = append(msgp.AppendString(rec, "list"), drawArray(t, 3).packed...)
		rec = rec[:len(rec)-rapid.SampledFrom([]int{0, 0, 0, 1, 5}).Draw(t, "cut")]
		want, pairs, replaced, fails := entry.AppendPairs(nil, rec)
		var got []byte
		pieces := 0
		n, bad, err := entry.EachPair(rec, most, func(piece []byte) bool {
			got = append(got, piece...)
			pieces++
			return true
		})
		if (err != nil) != (fails != nil) || err == nil && (!bytes.Equal(got, want) || n != pairs || bad != replaced) {
			t.Fatalf("%x: %q, %d, %d, %v; expected %q, %d, %d, %v", rec, got, n, bad, err, want, pairs, replaced, fails)
		}
		if pieces == 0 || err != nil {
			return
		}
		stop := rapid.IntRange(1, pieces).Draw(t, "stop")
		given := 0
		if _, _, err := entry.EachPair(rec, most, func([]byte) bool {
			given++
			return given < stop
		}); err != nil || given != stop {
			t.Fatalf("%d pieces were given, expected %d (%v)", given, stop, err)
		}
	})
}
