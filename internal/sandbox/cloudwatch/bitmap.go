package cloudwatch

import (
	"maps"
	"math/bits"
	"slices"
	"sync/atomic"
)

// allowance is a stock of bytes that many streams draw from, so that the accounting stays bounded whatever is sent. It
// is safe for concurrent use.
type allowance struct{ left atomic.Int64 }

// take reports whether n bytes were left, and takes them.
func (a *allowance) take(n int) bool {
	if a.left.Add(-int64(n)) >= 0 {
		return true
	}
	a.left.Add(int64(n))
	return false
}

const (
	pageNumbers = 4096
	pageBytes   = pageNumbers / 8
)

type page [pageNumbers / 64]uint64

// bitmap is a growing set of numbers: a bit each, in pages that exist only where numbers are. Ten million consecutive
// numbers take 1.3 MB.
type bitmap struct {
	pages   map[uint64]*page
	last    *page // The page of the last add, since numbers mostly follow each other.
	lastKey uint64
}

type added uint8

const (
	addedNew added = iota
	addedAgain
	addedNot // No room for a page: the number is not tracked.
)

func (b *bitmap) add(n uint64, room *allowance) added {
	key := n / pageNumbers
	p := b.last
	if p == nil || key != b.lastKey {
		if p = b.pages[key]; p == nil {
			if !room.take(pageBytes) {
				return addedNot
			}
			if b.pages == nil {
				b.pages = make(map[uint64]*page)
			}
			p = new(page)
			b.pages[key] = p
		}
		b.last, b.lastKey = p, key
	}
	word, bit := &p[n%pageNumbers/64], uint64(1)<<(n%64)
	if *word&bit != 0 {
		return addedAgain
	}
	*word |= bit
	return addedNew
}

// gaps returns the first max ranges (both ends inclusive) of numbers that are not in b and lie between its smallest
// and its largest one.
func (b *bitmap) gaps(max int) [][2]uint64 {
	var found [][2]uint64
	var next uint64 // The number after the last one seen.
	seen := false
	for _, key := range slices.Sorted(maps.Keys(b.pages)) {
		for i, word := range b.pages[key] {
			base := key*pageNumbers + uint64(i)*64
			for word != 0 {
				low := uint64(bits.TrailingZeros64(word))
				run := uint64(bits.TrailingZeros64(^(word >> low)))
				if n := base + low; seen && n != next {
					if found = append(found, [2]uint64{next, n - 1}); len(found) == max {
						return found
					}
				}
				seen, next = true, base+low+run
				word &= ^uint64(0) << (low + run) // Nothing is left if that is a shift by 64.
			}
		}
	}
	return found
}
