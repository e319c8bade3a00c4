package seen

import (
	"encoding/binary"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestTable holds the table to a list, with keys whose searches begin in few slots.
func TestTable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 40).Draw(t, "limit")
		table, err := newTable(limit)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := table.close(); err != nil {
				t.Fatal(err)
			}
		}()
		key := func(n int) (k Key) {
			binary.LittleEndian.PutUint64(k[:], uint64(n))
			binary.LittleEndian.PutUint64(k[8:], uint64(n)%3<<60)
			return k
		}
		type entry struct {
			key    Key
			marked bool
			gone   bool
		}
		// places are the entries as they lie, next the oldest, free those that are gone.
		var places []entry
		var next int
		var free []int
		at := func(k Key) int {
			return slices.IndexFunc(places, func(e entry) bool { return e.key == k && !e.gone })
		}
		number := rapid.IntRange(0, 60)
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				k := key(number.Draw(t, "key"))
				table.add(k)
				switch {
				case at(k) >= 0:
				case len(free) > 0:
					places[free[len(free)-1]] = entry{key: k}
					free = free[:len(free)-1]
				case len(places) < limit:
					places = append(places, entry{key: k})
				default:
					places[next] = entry{key: k}
					next = (next + 1) % limit
				}
			},
			"mark": func(t *rapid.T) {
				k := key(number.Draw(t, "key"))
				table.mark(k)
				if i := at(k); i >= 0 {
					places[i].marked = true
				}
			},
			"forget": func(t *rapid.T) {
				k := key(number.Draw(t, "key"))
				table.forget(k)
				if i := at(k); i >= 0 {
					places[i].gone = true
					free = append(free, i)
				}
			},
			"": func(t *rapid.T) {
				var got []entry
				table.each(func(k Key, marked bool) { got = append(got, entry{key: k, marked: marked}) })
				want := slices.Concat(places[min(next, len(places)):], places[:min(next, len(places))])
				want = slices.DeleteFunc(want, func(e entry) bool { return e.gone })
				if !slices.Equal(got, want) {
					t.Fatalf("got %v, want %v", got, want)
				}
				for n := range 61 {
					i := slices.IndexFunc(want, func(e entry) bool { return e.key == key(n) })
					if table.has(key(n)) != (i >= 0) || table.marked(key(n)) != (i >= 0 && want[i].marked) {
						t.Fatalf("key %d: has %t, marked %t, want %v", n, table.has(key(n)), table.marked(key(n)), want)
					}
				}
			},
		})
	})
}

// TestPerKey: no key takes more than is charged for it.
func TestPerKey(t *testing.T) {
	for limit := 1; limit <= 10_000_000; limit += max(1, limit/7) {
		table, err := newTable(limit)
		if err != nil {
			t.Fatal(err)
		}
		if size := len(table.mem); size > max(limit*PerKey, 64) {
			t.Errorf("%d keys take %d bytes, charged are %d for each", limit, size, PerKey)
		}
		if err := table.close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestClosed: nothing is known any more, and nothing of it is touched.
func TestClosed(t *testing.T) {
	c, _, err := Open("", 10)
	if err != nil {
		t.Fatal(err)
	}
	c.Settled(Key{1})
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if c.Settled(Key{2}); c.Begin(Key{1}, func(bool) {}) != New {
		t.Error("a chunk is known after the end")
	}
}

// TestLookingAllocatesNothing: it is done for each chunk.
func TestLookingAllocatesNothing(t *testing.T) {
	table, err := newTable(1000)
	if err != nil {
		t.Fatal(err)
	}
	defer table.close() //nolint:errcheck // The test is over.
	n := byte(0)
	if got := testing.AllocsPerRun(5000, func() {
		n++
		table.add(Key{n, 8: n, 9: n >> 3})
		table.mark(Key{n})
	}); got > 0 {
		t.Errorf("%g allocations for each key", got)
	}
}
