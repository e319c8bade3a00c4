package timepattern

import (
	"math"
	"math/bits"
)

// mostDigits is how many decimal digits fit into 64 bits whatever they are.
const mostDigits = 19

// readEpoch reads a decimal number, with a sign, a fraction and an exponent where it
// has them, as JSON does, or, where it is only part of a pattern, without the latter
// two. It returns the number times ten to the power of shift, cut off.
func readEpoch(s []byte, shift int, part bool) (n int64, rest []byte, ok bool) {
	negative := len(s) > 0 && s[0] == '-'
	if negative {
		s = s[1:]
	}
	digits, kept := 0, 0
	var sum uint64
	take := func() (count int) {
		for len(s) > 0 && s[0]-'0' <= 9 {
			if kept < mostDigits {
				sum = sum*10 + uint64(s[0]-'0')
				if sum > 0 {
					kept++
				}
				count++
			}
			digits++
			s = s[1:]
		}
		return count
	}
	before := 0
	if whole := take(); digits > whole {
		before = digits - whole // zeros that are not in the sum
	}
	if digits == 0 {
		return 0, nil, false
	}
	shift += before
	if !part && len(s) > 0 && s[0] == '.' {
		s = s[1:]
		seen := digits
		shift -= take()
		if digits == seen {
			return 0, nil, false
		}
	}
	if !part && len(s) > 1 && s[0]|0x20 == 'e' {
		exponent, after, ok := readExponent(s[1:])
		if !ok {
			return 0, nil, false
		}
		shift, s = shift+exponent, after
	}
	sum, ok = scale(sum, shift)
	if negative {
		return -int64(sum), s, ok
	}
	return int64(sum), s, ok
}

// readExponent reads an exponent of at most three digits.
func readExponent(s []byte) (n int, rest []byte, ok bool) {
	negative := s[0] == '-'
	if negative || s[0] == '+' {
		s = s[1:]
	}
	digits := 0
	for digits < len(s) && s[digits]-'0' <= 9 {
		n = n*10 + int(s[digits]-'0')
		digits++
		if digits > 3 {
			return 0, nil, false
		}
	}
	if negative {
		n = -n
	}
	return n, s[digits:], digits > 0
}

// scale is n times ten to the power of shift, if that fits into 63 bits.
func scale(n uint64, shift int) (uint64, bool) {
	for ; shift > 0 && n > 0; shift-- {
		high, low := bits.Mul64(n, 10)
		if high != 0 {
			return 0, false
		}
		n = low
	}
	for ; shift < 0 && n > 0; shift++ {
		n /= 10
	}
	return n, n <= math.MaxInt64
}
