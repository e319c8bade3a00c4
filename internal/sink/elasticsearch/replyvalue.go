package elasticsearch

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// peek returns the next byte that is no white space, without taking it.
func (r *reply) peek() (byte, error) {
	for {
		for r.at < r.end {
			switch c := r.buf[r.at]; c {
			case ' ', '\n', '\r', '\t':
				r.at++
			default:
				return c, nil
			}
		}
		if err := r.more(); err != nil {
			return 0, err
		}
	}
}

func (r *reply) expect(want byte) error {
	c, err := r.peek()
	if err != nil {
		return err
	}
	if c != want {
		return fmt.Errorf("the answer has %q where %q was expected", c, want)
	}
	r.at++
	return nil
}

// value takes a whole JSON value, which holds until the next call. That it is well
// made inside is its reader's business.
func (r *reply) value() ([]byte, error) {
	if _, err := r.peek(); err != nil {
		return nil, err
	}
	for {
		n, err := valueEnd(r.buf[r.at:r.end])
		if err != nil {
			return nil, err
		}
		if n > 0 {
			v := r.buf[r.at : r.at+n]
			r.at += n
			return v, nil
		}
		if err := r.more(); err != nil {
			return nil, err
		}
	}
}

// more reads on; what is not taken yet stays.
func (r *reply) more() error {
	if r.at > 0 {
		copy(r.buf, r.buf[r.at:r.end])
		r.end -= r.at
		r.at = 0
	}
	if r.end == len(r.buf) {
		if len(r.buf) >= maxItem {
			return fmt.Errorf("an item of the answer has more than %d bytes", maxItem)
		}
		r.buf = append(r.buf, make([]byte, len(r.buf))...)
	}
	for range 100 {
		n, err := r.src.Read(r.buf[r.end:])
		r.end += n
		switch {
		case n > 0:
			return nil
		case errors.Is(err, io.EOF):
			return errCut
		case err != nil:
			return fmt.Errorf("read the answer: %w", err)
		}
	}
	return io.ErrNoProgress
}

// valueEnd returns the length of the JSON value at the start of src, or 0 where it
// is not whole.
func valueEnd(src []byte) (int, error) {
	switch src[0] {
	case '"':
		return stringEnd(src), nil
	case '{', '[':
		depth := 0
		for at := 0; at < len(src); at++ {
			switch src[at] {
			case '"':
				n := stringEnd(src[at:])
				if n == 0 {
					return 0, nil
				}
				at += n - 1
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return at + 1, nil
				}
			}
		}
		return 0, nil
	}
	for at, c := range src {
		switch {
		case c == ',' || c == '}' || c == ']' || c == ' ' || c == '\n' || c == '\r' || c == '\t':
			if at == 0 {
				return 0, fmt.Errorf("the answer has %q where a value was expected", c)
			}
			return at, nil
		case c < '+' || c > 'z':
			return 0, fmt.Errorf("the answer has %q where a value was expected", c)
		}
	}
	return 0, nil
}

// stringEnd returns the length of the string at the start of src, or 0.
func stringEnd(src []byte) int {
	for at := 1; at < len(src); {
		n := bytes.IndexByte(src[at:], '"')
		if n < 0 {
			return 0
		}
		at += n + 1
		// A quote behind an odd number of backslashes is one of the string.
		slashes := 0
		for i := at - 2; i > 0 && src[i] == '\\'; i-- {
			slashes++
		}
		if slashes%2 == 0 {
			return at
		}
	}
	return 0
}
