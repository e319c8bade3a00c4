package entry

import (
	"encoding/base64"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/spillway/spillway/internal/jsontext"
	"github.com/spillway/spillway/internal/record"
)

// EachPair gives what AppendPairs appends in pieces of at most about most bytes, each of which is valid until yield
// returns, so that a record of many megabytes is never there a second time as JSON. It ends early, with no error, where yield returns false, and looks
// at nothing after that. most is 64 at least.
func EachPair(src []byte, most int, yield func(piece []byte) bool) (pairs, replaced int, err error) {
	h, err := parse(src)
	if err != nil {
		return 0, 0, err
	}
	if h.kind != kindMap {
		return 0, 0, fmt.Errorf("the record begins with the byte %#02x: expected a map", src[0])
	}
	p := pieces{most: most, yield: yield}
	if _, err = p.pairs(src[h.size:], h.n, MaxDepth-1); err == nil {
		err = p.flush()
	}
	if errors.Is(err, errEnough) {
		err = nil
	}
	return int(h.n), p.replaced, err
}

// errEnough says that nothing more is wanted.
var errEnough = errors.New("nothing more is wanted")

// pieces is a writer that hands on what it has made.
type pieces struct {
	writer
	most  int
	yield func([]byte) bool
}

// flush hands on what is gathered.
func (p *pieces) flush() error {
	if len(p.dst) > 0 && !p.yield(p.dst) {
		return errEnough
	}
	p.dst = p.dst[:0]
	return nil
}

// pairs is that of the writer.
func (p *pieces) pairs(src []byte, n uint64, depth int) (rest []byte, err error) {
	for i := range n {
		if i > 0 {
			p.dst = append(p.dst, ',')
		}
		if src, err = p.key(src, depth); err != nil {
			return nil, err
		}
		p.dst = append(p.dst, ':')
		if src, err = p.value(src, depth); err != nil {
			return nil, err
		}
	}
	return src, nil
}

// value is that of the writer.
func (p *pieces) value(src []byte, depth int) (rest []byte, err error) {
	if len(p.dst) >= p.most {
		if err := p.flush(); err != nil {
			return nil, err
		}
	}
	h, err := parse(src)
	if err != nil {
		return nil, err
	}
	switch h.kind {
	case kindMap, kindArray:
		if depth == 0 {
			return nil, errDepth
		}
		src = src[h.size:]
		if h.kind == kindMap {
			p.dst = append(p.dst, '{')
			src, err = p.pairs(src, h.n, depth-1)
			p.dst = append(p.dst, '}')
			return src, err
		}
		p.dst = append(p.dst, '[')
		for i := range h.n {
			if i > 0 {
				p.dst = append(p.dst, ',')
			}
			if src, err = p.value(src, depth-1); err != nil {
				return nil, err
			}
		}
		p.dst = append(p.dst, ']')
		return src, nil
	case kindString, kindBinary:
		body := h.body(src)
		if len(body) <= p.most {
			break
		}
		if h.kind == kindString || utf8.Valid(body) {
			err = p.long(body)
		} else {
			err = p.longBase64(body)
		}
		return src[h.size+len(body):], err
	}
	return p.writer.value(src, depth)
}

// long writes a string.
func (p *pieces) long(s []byte) error {
	form := jsontext.Valid
	if !jsontext.ValidUTF8(s) {
		form = jsontext.Repair
		p.replaced += record.InvalidBytes(s)
	}
	p.dst = append(p.dst, '"')
	for len(s) > 0 {
		n := jsontext.Cut(s, p.most)
		p.dst = form.AppendString(p.dst, s[:n])
		if err := p.flush(); err != nil {
			return err
		}
		s = s[n:]
	}
	p.dst = append(p.dst, '"')
	return nil
}

// longBase64 writes bytes that are no text. Three of them are four characters.
func (p *pieces) longBase64(b []byte) error {
	p.dst = append(p.dst, '"')
	for len(b) > 0 {
		n := min(p.most/4*3, len(b))
		p.dst = base64.StdEncoding.AppendEncode(p.dst, b[:n])
		if err := p.flush(); err != nil {
			return err
		}
		b = b[n:]
	}
	p.dst = append(p.dst, '"')
	return nil
}
