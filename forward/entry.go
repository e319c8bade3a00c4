package forward

import "fmt"

// Entry is one event: views of the bytes that it was read from.
type Entry struct {
	// Time is in nanoseconds since 1970; 0 where the sender does not know it, and
	// then that of the arrival holds.
	Time int64
	// Record is the record, a msgpack map; msgp.UnmarshalAsJSON makes JSON of it, and
	// msgp.ReadMapStrIntfBytes a map.
	Record []byte
	// Metadata is what stands behind the time in the form [time, metadata], as
	// Fluent Bit sends it; nil otherwise.
	Metadata []byte
	// Raw is the whole entry.
	Raw []byte
}

// NextEntry splits the first entry off entries, which must not be empty. It
// allocates nothing but an error. Of entries that CheckEntries returned as valid
// none gives an error.
func NextEntry(entries []byte) (e Entry, rest []byte, err error) {
	n, first, ok := container(entries, 0, false)
	if !ok || n != 2 {
		return Entry{}, nil, unexpected("an entry: an array of a time and a record", entries, 0)
	}
	var end int
	if e.Time, end = readTime(entries, first); end < 0 {
		return Entry{}, nil, unexpected("a time: an integer of seconds or an EventTime", entries, first)
	}
	if entries[first]&0xf0 == 0x90 || entries[first] == 0xdc || entries[first] == 0xdd {
		_, at, _ := container(entries, first, false)
		_, at = readTime(entries, at)
		e.Metadata = entries[at:end:end]
	}
	if _, _, ok := container(entries, end, true); !ok {
		return Entry{}, nil, unexpected("a record: a map", entries, end)
	}
	stop := skip(entries, end, 1, MaxDepth)
	if stop < 0 {
		return Entry{}, nil, unexpected("a whole record", entries, len(entries))
	}
	e.Record, e.Raw = entries[end:stop:stop], entries[:stop:stop]
	return e, entries[stop:], nil
}

// Checked is what CheckEntries finds.
type Checked struct {
	// Valid are the valid entries, Count of them, one behind the other. Each is an
	// array of two, with the first byte 0x92, of a time and a map. Where nothing is
	// invalid it is what was checked, untouched.
	Valid []byte
	Count int
	// Invalid is what stood between them, in its order: InvalidCount msgpack
	// values, each with any number of bytes 0xc1 before it, which mean nothing. What
	// cannot be told apart any more, because something is no msgpack or the end is
	// missing, counts as one and stands last.
	Invalid      []byte
	InvalidCount int
	// Err says what is wrong with the first invalid entry; its offset is that in
	// what was checked.
	Err error
}

// CheckEntries looks at the structure of every entry of b: that each is a time
// and a map, that all lengths are inside b, and that nothing is nested deeper
// than MaxDepth. Neither the text of strings nor the type of keys is looked at.
//
// It allocates nothing but an error. Where something is invalid it rearranges b
// in place, the valid entries first, both kinds in their order.
func CheckEntries(b []byte) Checked {
	count, end := countValid(b, 0)
	if end == len(b) {
		return Checked{Valid: b, Count: count}
	}
	return sortEntries(b, count, end)
}

// countValid counts valid entries from b[i] on, and returns where the first
// stands that is not, or the end.
func countValid(b []byte, i int) (count, end int) {
	for i+1 < len(b) && b[i] == 0x92 {
		var at int
		// Nearly all have an EventTime, the others whole seconds.
		switch b[i+1] {
		case 0xd7:
			at = i + 11
			if at >= len(b) || b[i+2] != 0 {
				at = faultShort
			}
		case 0xce:
			at = i + 6
		default:
			_, at = readTime(b, i+1)
		}
		if at < 0 || at >= len(b) {
			break
		}
		var pairs int64
		switch m := b[at]; {
		case m&0xf0 == 0x80:
			pairs = int64(m & 0xf)
			at++
		case m == 0xde || m == 0xdf:
			var ok bool
			if pairs, at, ok = container(b, at, true); !ok {
				at = faultShort
			}
		default:
			at = faultShort
		}
		if at < 0 {
			break
		}
		if at = skip(b, at, 2*pairs, MaxDepth-1); at < 0 {
			break
		}
		i = at
		count++
	}
	return count, i
}

// fault says what is wrong with the entry at b[i].
func fault(b []byte, i int) error {
	n, first, ok := container(b, i, false)
	if !ok || n != 2 {
		return unexpected("an entry: an array of a time and a record", b, i)
	}
	_, end := readTime(b, first)
	if end < 0 {
		return unexpected("a time: an integer of seconds or an EventTime", b, first)
	}
	if _, _, ok := container(b, end, true); !ok {
		return unexpected("a record: a map", b, end)
	}
	if skip(b, end, 1, MaxDepth) == faultDepth {
		return fmt.Errorf("record at byte %d: %w", end, &LimitError{What: "nesting", Bytes: MaxDepth + 1, Limit: MaxDepth})
	}
	return unexpected("a whole record", b, len(b))
}
