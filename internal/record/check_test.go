package record_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/spillway/spillway/internal/record"
)

// walk reads all of a payload in every way that there is; it panics where Check
// let something through that it should not have.
func walk(payload []byte) (events, records, size int) {
	for len(payload) > 0 {
		var b record.Batch
		payload = payload[record.Parse(payload, &b):]
		events += b.Count
		if b.Kind == record.KindLoss {
			b.Loss().AppendText(nil)
			continue
		}
		records += b.Count
		texts, _ := bodies(b.Frames)
		for _, text := range texts {
			size += len(text)
		}
		half := b
		half.Slice(b.Count/2, b.Count-b.Count/2)
	}
	return events, records, size
}

func TestCheck(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var payload []byte
		events, records, size := 0, 0, 0
		for range rapid.IntRange(0, 4).Draw(t, "batches") {
			if rapid.Bool().Draw(t, "marker") {
				payload = record.AppendLoss(payload, anyLoss(t))
				events++
				continue
			}
			texts := rapid.SliceOfN(anyText, 1, 6).Draw(t, "bodies")
			payload = append(payload, put(record.Batch{Kind: record.KindRecords, Stream: 7}, texts...)...)
			events += len(texts)
			records += len(texts)
			size += len(strings.Join(texts, ""))
		}
		gotEvents, gotRecords, gotSize, err := record.Check(payload)
		if err != nil || gotEvents != events || gotRecords != records || gotSize != size {
			t.Fatalf("%d events, %d records, %d bytes, %v; want %d, %d, %d", gotEvents, gotRecords, gotSize, err, events, records, size)
		}
		if cut := rapid.IntRange(0, max(len(payload)-1, 0)).Draw(t, "cut"); cut > 0 {
			if n, _, _, err := record.Check(payload[:cut]); err == nil && n >= events {
				t.Fatalf("the first %d of %d bytes are said to hold %d events", cut, len(payload), n)
			}
		}
	})
}

func TestCheckRefuses(t *testing.T) {
	good := put(record.Batch{Kind: record.KindRecords}, "one", "two")
	loss := record.AppendLoss(nil, record.Loss{Lost: 1, Reason: "overflow"})
	with := func(src []byte, at int, value uint32) []byte {
		p := slices.Clone(src)
		binary.LittleEndian.PutUint32(p[at:], value)
		return p
	}
	for name, payload := range map[string][]byte{
		"a header that is cut":             good[:record.HeaderSize-1],
		"frames that are cut":              good[:len(good)-1],
		"a size beyond the end":            with(good, 12, 1<<31),
		"a size that ends inside a record": with(good, 12, 8),
		"a size that ends inside a length": with(good, 12, 9),
		"too few records":                  with(good, 8, 1),
		"too many records":                 with(good, 8, 3),
		"no records":                       with(with(good[:record.HeaderSize], 12, 0), 8, 0),
		"another sum of bytes":             with(good, 32, 7),
		"more repair than possible":        with(good, 36, 15),
		"a kind that is unknown":           with(good, 4, 3),
		"a record beyond the end":          with(good, record.HeaderSize, 12),
		"something behind the end":         append(slices.Clone(good), 0),
		"a marker of two":                  with(loss, 8, 2),
		"a marker that is too short":       with(good, 4, 2),
		"a marker with a quote":            bytes.Replace(loss, []byte("overflow"), []byte(`over"low`), 1),
	} {
		if _, _, _, err := record.Check(payload); err == nil {
			t.Errorf("%s is not refused", name)
		}
	}
}

func FuzzCheck(f *testing.F) {
	f.Add(put(record.Batch{Kind: record.KindRecords}, "one", "", "\xff"))
	f.Add(record.AppendLoss(put(record.Batch{Kind: record.KindRecords}, "x"), record.Loss{Lost: 3, Reason: "overflow-newest"}))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, payload []byte) {
		events, records, size, err := record.Check(payload)
		if err != nil {
			return
		}
		if e, r, s := walk(payload); e != events || r != records || s != size {
			t.Fatalf("%d events, %d records, %d bytes; walked over %d, %d, %d", events, records, size, e, r, s)
		}
	})
}
