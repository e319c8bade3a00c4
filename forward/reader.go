package forward

// reader reads the small messages of a handshake. After its first error it
// reads nothing more.
type reader struct {
	b   []byte
	at  int
	err error
}

// newReader checks that b is an array of n elements, of which the first is name.
func newReader(b []byte, name string, n int64) (*reader, error) {
	if len(b) > MaxHandshake {
		return nil, &LimitError{What: name, Bytes: int64(len(b)), Limit: MaxHandshake}
	}
	if size, err := Skip(b); err != nil {
		return nil, err
	} else if size < len(b) {
		return nil, unexpected("the end of "+name, b, size)
	}
	elements, first, ok := container(b, 0, false)
	if !ok || elements != n {
		return nil, unexpected("an array that begins with "+name, b, 0)
	}
	r := &reader{b: b, at: first}
	if found := r.text(name); r.err == nil && found != name {
		return nil, &SyntaxError{Want: name, Found: "another word", Offset: int64(first)}
	}
	return r, r.err
}

// text reads a str or bin; nil is read as "".
func (r *reader) text(want string) string {
	if r.err != nil {
		return ""
	}
	if r.at < len(r.b) && r.b[r.at] == 0xc0 {
		r.at++
		return ""
	}
	content, end, ok := text(r.b, r.at)
	if !ok {
		r.err = unexpected(want, r.b, r.at)
		return ""
	}
	r.at = end
	return string(content)
}

func (r *reader) boolean() bool {
	if r.err != nil {
		return false
	}
	if r.at >= len(r.b) || r.b[r.at] != 0xc2 && r.b[r.at] != 0xc3 {
		r.err = unexpected("a boolean", r.b, r.at)
		return false
	}
	r.at++
	return r.b[r.at-1] == 0xc3
}

// pairs enters a map.
func (r *reader) pairs() int64 {
	n, first, ok := container(r.b, r.at, true)
	if !ok {
		r.err = unexpected("a map", r.b, r.at)
		return 0
	}
	r.at = first
	return n
}

func (r *reader) skip() {
	if r.err != nil {
		return
	}
	end := skipFlat(r.b, r.at)
	if end < 0 {
		r.err = unexpected("a value", r.b, r.at)
		return
	}
	r.at = end
}
