package elasticsearch

import (
	"encoding/base64"
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"
)

// The id of an origin is its 24 bytes in base64, whatever numbers come after each
// other.
func TestOriginID(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var o originID
	number := uint64(0)
	for i := range 2000 {
		var raw [24]byte
		if i%100 == 0 {
			for j := range 16 {
				raw[j] = byte(r.Uint32())
			}
			o.begin([16]byte(raw[:16]))
		}
		copy(raw[:15], decode(t, string(o.text[:20])))
		raw[15] = o.tail[0]
		number += r.Uint64() >> (r.UintN(64))
		binary.BigEndian.PutUint64(raw[16:], number)
		if got, want := string(o.of(number)), base64.RawURLEncoding.EncodeToString(raw[:]); got != want {
			t.Fatalf("number %d: %s, want %s", number, got, want)
		}
	}
}

func decode(t *testing.T, text string) []byte {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// Marks of ids that differ in any one bit differ.
func TestMark(t *testing.T) {
	id := []byte("abcdefghijklmnopqrstuvwxyz012345")
	want := mark(id)
	for i := range 8 * len(id) {
		id[i/8] ^= 1 << (i % 8)
		if mark(id) == want {
			t.Errorf("bit %d makes no difference", i)
		}
		id[i/8] ^= 1 << (i % 8)
	}
	if mark(id) != want {
		t.Error("the same id has another mark")
	}
}

func TestClock(t *testing.T) {
	for _, ns := range []int64{0, 1, 123_456_789, 999_999_999, 1_000_000_000, 1_700_000_000_100_200_300, -1, -1_500_000_000, 253402300799_000000000 / 1000} {
		at := time.Unix(0, ns).UTC()
		for format, want := range map[TimeFormat]string{
			TimeRFC3339: at.Format(`"2006-01-02T15:04:05.000000000Z"`), TimeMillis: at.Format(`"2006-01-02T15:04:05.000Z"`),
		} {
			c := clock{format: format}
			c.append(nil, 4711) // another second before it
			if got := string(c.append(nil, ns)); got != want {
				t.Errorf("%s of %d: %s, want %s", format, ns, got, want)
			}
		}
	}
	c := clock{format: EpochMillis}
	if got := string(c.append(nil, -1)); got != "-1" {
		t.Errorf("one nanosecond before 1970 is %s ms, want -1", got)
	}
}
