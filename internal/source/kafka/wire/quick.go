package wire

// quick reads the next record where it looks as nearly all do: it lies in the window,
// its numbers are short, and it has no headers. Where it is not ok, nothing was read,
// and next finds out.
func (r *Records) quick(rec *Record) (ok bool) {
	b := r.window.buf[r.window.begin:r.window.end]
	size, n := short(b)
	if n == 0 || size < 0 || size > len(b)-n || n+size > r.Max {
		return false
	}
	whole := n + size
	b = b[n:whole]
	if len(b) < 6 {
		return false
	}
	b = b[1:] // its attributes, of which there are none
	time, n := short(b)
	if n == 0 {
		return false
	}
	b = b[n:]
	offset, n := short(b)
	if n == 0 || offset < 0 || int64(offset) > r.head.Last-r.head.First {
		return false
	}
	b = b[n:]
	var key []byte
	if len(b) > 0 && b[0] == none {
		b = b[1:]
	} else if size, n = short(b); n == 0 || size < 0 || size > len(b)-n {
		return false
	} else {
		key, b = b[n:n+size:n+size], b[n+size:]
	}
	// Behind the value is a byte: no headers.
	if size, n = short(b); n == 0 || size < 0 || size != len(b)-n-1 || b[len(b)-1] != 0 {
		return false
	}
	r.window.begin += whole
	rec.Offset, rec.Time = r.head.First+int64(offset), r.head.FirstTime+int64(time)
	if r.head.AppendTime {
		rec.Time = r.head.MaxTime
	}
	rec.Key, rec.Value, rec.Null = key, b[n:n+size:n+size], false
	rec.headers, rec.headerCount, rec.at, rec.Size, rec.TooLarge = nil, 0, 0, whole, false
	return true
}

// none is the size of bytes that are not there, -1.
const none = 1

// short reads a number of up to three bytes, and tells how many: 0 where it is longer, or
// fewer than three bytes are left.
func short(b []byte) (v, n int) {
	if len(b) < 3 {
		return 0, 0
	}
	u := uint(b[0])
	switch {
	case u < 0x80:
		n = 1
	case b[1] < 0x80:
		u, n = u&0x7f|uint(b[1])<<7, 2
	case b[2] < 0x80:
		u, n = u&0x7f|uint(b[1]&0x7f)<<7|uint(b[2])<<14, 3
	default:
		return 0, 0
	}
	return int(u>>1) ^ -int(u&1), n
}
