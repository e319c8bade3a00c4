package forward

import (
	"time"

	"github.com/tinylib/msgp/msgp"
)

// Fields is a record that is built key by key in its final form, for those who
// log often and want no map. The zero value is an empty record. A key that is
// added twice stands in the record twice; most readers take the last.
//
//	f := new(forward.Fields)
//	client.Post(ctx, "app.login", time.Now(), f.Reset().String("user", name).Int("took_ms", ms))
//
// It may be used again as soon as Post has returned. It must not be used by two goroutines
// at once; one that is no longer changed may be posted by many.
type Fields struct {
	b []byte
	n uint32
}

// Reset empties the record, and keeps its memory.
func (f *Fields) Reset() *Fields {
	f.b, f.n = f.b[:0], 0
	return f
}

// Len is the number of keys.
func (f *Fields) Len() int { return int(f.n) }

// append appends the record as a msgpack map; a nil record is an empty one.
func (f *Fields) append(dst []byte) []byte {
	if f == nil {
		return msgp.AppendMapHeader(dst, 0)
	}
	return append(msgp.AppendMapHeader(dst, f.n), f.b...)
}

func (f *Fields) key(key string) {
	f.n++
	f.b = msgp.AppendString(f.b, key)
}

// String adds text.
func (f *Fields) String(key, value string) *Fields {
	f.key(key)
	f.b = msgp.AppendString(f.b, value)
	return f
}

// Bytes adds binary data.
func (f *Fields) Bytes(key string, value []byte) *Fields {
	f.key(key)
	f.b = msgp.AppendBytes(f.b, value)
	return f
}

// Int adds an integer.
func (f *Fields) Int(key string, value int64) *Fields {
	f.key(key)
	f.b = msgp.AppendInt64(f.b, value)
	return f
}

// Uint adds an integer that is not negative.
func (f *Fields) Uint(key string, value uint64) *Fields {
	f.key(key)
	f.b = msgp.AppendUint64(f.b, value)
	return f
}

// Float adds a floating-point number.
func (f *Fields) Float(key string, value float64) *Fields {
	f.key(key)
	f.b = msgp.AppendFloat64(f.b, value)
	return f
}

// Bool adds a boolean.
func (f *Fields) Bool(key string, value bool) *Fields {
	f.key(key)
	f.b = msgp.AppendBool(f.b, value)
	return f
}

// Time adds a time as text in RFC 3339, with its nanoseconds.
func (f *Fields) Time(key string, value time.Time) *Fields {
	f.key(key)
	f.b = appendText(f.b, value)
	return f
}

// Any adds a value of any kind that AppendRecord names. On an error, which wraps
// ErrRecord, nothing is added.
func (f *Fields) Any(key string, value any) error {
	n := len(f.b)
	b, err := appendValue(msgp.AppendString(f.b, key), value, MaxDepth-1)
	if err != nil {
		f.b = f.b[:n]
		return inKey(key, err)
	}
	f.b = b
	f.n++
	return nil
}
