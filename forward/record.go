package forward

import (
	"encoding"
	"errors"
	"fmt"
	"math"
	"reflect"
	"time"

	"github.com/tinylib/msgp/msgp"
)

// ErrRecord is wrapped where a value cannot be a record, or cannot stand in one.
var ErrRecord = errors.New("forward: not a record")

// AppendRecord appends v, which must be a record, as a msgpack map:
//
//   - map[string]string, map[string]any, and *Fields, which allocate nothing, nor does a
//     pointer to a struct of numbers, booleans and strings;
//   - a msgp.Marshaler that makes a map;
//   - any other map with keys of a string type, a struct, or a pointer to one of
//     these. A field's key is what its tag "msg" or "codec" says, else its name;
//     "-" leaves it out, ",omitempty" leaves it out where it is zero.
//
// The values may be of the same kinds, and numbers, strings, booleans, []byte (as bin),
// slices and arrays. A time.Time is text in RFC 3339 with its nanoseconds, since
// msgpack's own times are unknown to fluentd; a time.Duration is its nanoseconds;
// an error, and anything that implements encoding.TextMarshaler, is its text. A nil pointer is nil. Values
// are nested MaxDepth deep at most. For anything else the error wraps ErrRecord.
func AppendRecord(dst []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case map[string]string:
		return appendStrings(dst, v), nil
	case map[string]any:
		return appendMap(dst, v, MaxDepth)
	case *Fields:
		return v.append(dst), nil
	case msgp.Marshaler:
		return appendMarshaler(dst, v)
	case nil:
		return dst, fmt.Errorf("%w: nil; expected a map or a struct", ErrRecord)
	}
	r := reflect.ValueOf(v)
	for r.Kind() == reflect.Pointer && !r.IsNil() {
		r = r.Elem()
		if t := r.Type(); t.Kind() == reflect.Interface || t.Implements(marshaler) { // else Interface would only copy
			if m, ok := r.Interface().(msgp.Marshaler); ok {
				return appendMarshaler(dst, m)
			}
		}
	}
	switch {
	case r.Kind() == reflect.Struct:
		return appendStruct(dst, r, MaxDepth)
	case r.Kind() == reflect.Map && r.Type().Key().Kind() == reflect.String:
		return appendReflectMap(dst, r, MaxDepth)
	}
	return dst, fmt.Errorf("%w: %T; expected a map with string keys, a struct, or a msgp.Marshaler that makes a map", ErrRecord, v)
}

var marshaler = reflect.TypeFor[msgp.Marshaler]()

// appendMarshaler checks what foreign code appends: one record that is none
// would make all that stand behind it in its chunk unreadable.
func appendMarshaler(dst []byte, m msgp.Marshaler) ([]byte, error) {
	n := len(dst)
	out, err := m.MarshalMsg(dst)
	if err != nil {
		return dst, fmt.Errorf("%w: %T: %w", ErrRecord, m, err)
	}
	if len(out) < n {
		return dst, fmt.Errorf("%w: %T did not append to what it was given", ErrRecord, m)
	}
	if err := checkRecord(out[n:]); err != nil {
		return dst, fmt.Errorf("%w: %T: %w", ErrRecord, m, err)
	}
	return out, nil
}

// checkRecord reports what is wrong with b, which is to be one msgpack map.
func checkRecord(b []byte) error {
	if _, _, ok := container(b, 0, true); !ok {
		return unexpected("a record: a map", b, 0)
	}
	n, err := Skip(b)
	if err == nil && n != len(b) {
		err = unexpected("the end of the record", b, n)
	}
	return err
}

func appendStrings(dst []byte, m map[string]string) []byte {
	dst = msgp.AppendMapHeader(dst, uint32(len(m)))
	for k, v := range m {
		dst = msgp.AppendString(msgp.AppendString(dst, k), v)
	}
	return dst
}

func appendMap(dst []byte, m map[string]any, depth int) ([]byte, error) {
	if depth == 0 {
		return dst, errDeep
	}
	out := msgp.AppendMapHeader(dst, uint32(len(m)))
	var err error
	for k, v := range m {
		if out, err = appendValue(msgp.AppendString(out, k), v, depth-1); err != nil {
			return dst, inKey(k, err)
		}
	}
	return out, nil
}

var errDeep = fmt.Errorf("%w: nested more than %d deep, or a cycle", ErrRecord, MaxDepth)

// inKey says where a value is that cannot be encoded; a cycle needs no path.
func inKey(key string, err error) error {
	if errors.Is(err, errDeep) {
		return err
	}
	return fmt.Errorf("key %q: %w", key, err)
}

// appendValue appends one value. The common types need no reflection.
func appendValue(dst []byte, v any, depth int) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return msgp.AppendNil(dst), nil
	case string:
		return msgp.AppendString(dst, v), nil
	case int:
		return msgp.AppendInt(dst, v), nil
	case int64:
		return msgp.AppendInt64(dst, v), nil
	case uint64:
		return msgp.AppendUint64(dst, v), nil
	case float64:
		return msgp.AppendFloat64(dst, v), nil
	case bool:
		return msgp.AppendBool(dst, v), nil
	case []byte:
		return msgp.AppendBytes(dst, v), nil
	case map[string]any:
		return appendMap(dst, v, depth)
	case map[string]string:
		if depth == 0 {
			return dst, errDeep
		}
		return appendStrings(dst, v), nil
	case *Fields:
		if depth == 0 {
			return dst, errDeep
		}
		return v.append(dst), nil
	case time.Time:
		return appendText(dst, v), nil
	case time.Duration:
		return msgp.AppendInt64(dst, int64(v)), nil
	}
	return appendOther(dst, v, depth)
}

func appendText(dst []byte, t time.Time) []byte {
	var buf [len(time.RFC3339Nano)]byte
	return msgp.AppendStringFromBytes(dst, t.AppendFormat(buf[:0], time.RFC3339Nano))
}

func appendOther(dst []byte, v any, depth int) ([]byte, error) {
	r := reflect.ValueOf(v)
	if (r.Kind() == reflect.Pointer || r.Kind() == reflect.Map) && r.IsNil() {
		return msgp.AppendNil(dst), nil
	}
	switch v := v.(type) {
	case msgp.Marshaler:
		out, err := v.MarshalMsg(dst)
		if err != nil {
			return dst, err
		}
		if n, err := Skip(out[min(len(dst), len(out)):]); err != nil || n != len(out)-len(dst) {
			return dst, fmt.Errorf("%w: %T did not append one msgpack value: %v", ErrRecord, v, err) //nolint:errorlint // may be nil
		}
		return out, nil
	case encoding.TextMarshaler:
		text, err := v.MarshalText()
		if err != nil {
			return dst, fmt.Errorf("%w: %T: %w", ErrRecord, v, err)
		}
		return msgp.AppendStringFromBytes(dst, text), nil
	case error:
		return msgp.AppendString(dst, v.Error()), nil
	}
	return appendReflect(dst, r, depth)
}

func appendReflect(dst []byte, r reflect.Value, depth int) ([]byte, error) {
	switch r.Kind() {
	case reflect.Bool:
		return msgp.AppendBool(dst, r.Bool()), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return msgp.AppendInt64(dst, r.Int()), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return msgp.AppendUint64(dst, r.Uint()), nil
	case reflect.Float32:
		return msgp.AppendFloat32(dst, float32(r.Float())), nil
	case reflect.Float64:
		return msgp.AppendFloat64(dst, r.Float()), nil
	case reflect.String:
		return msgp.AppendString(dst, r.String()), nil
	}
	if depth == 0 {
		return dst, errDeep
	}
	switch r.Kind() {
	case reflect.Pointer, reflect.Interface:
		if r.IsNil() {
			return msgp.AppendNil(dst), nil
		}
		return appendValue(dst, r.Elem().Interface(), depth-1)
	case reflect.Slice, reflect.Array:
		return appendSlice(dst, r, depth)
	case reflect.Map:
		if r.Type().Key().Kind() == reflect.String {
			return appendReflectMap(dst, r, depth)
		}
	case reflect.Struct:
		return appendStruct(dst, r, depth)
	}
	return dst, fmt.Errorf("%w: a value of type %v", ErrRecord, r.Type())
}

func appendSlice(dst []byte, r reflect.Value, depth int) ([]byte, error) {
	if r.Kind() == reflect.Slice && r.Type().Elem().Kind() == reflect.Uint8 {
		return msgp.AppendBytes(dst, r.Bytes()), nil
	}
	if int64(r.Len()) > math.MaxUint32 {
		return dst, &LimitError{What: "array", Bytes: int64(r.Len()), Limit: math.MaxUint32}
	}
	out := msgp.AppendArrayHeader(dst, uint32(r.Len()))
	var err error
	for i := range r.Len() {
		if out, err = appendValue(out, r.Index(i).Interface(), depth-1); err != nil {
			return dst, err
		}
	}
	return out, nil
}

func appendReflectMap(dst []byte, r reflect.Value, depth int) ([]byte, error) {
	out := msgp.AppendMapHeader(dst, uint32(r.Len()))
	var err error
	for i := r.MapRange(); i.Next(); {
		key := i.Key().String()
		if out, err = appendValue(msgp.AppendString(out, key), i.Value().Interface(), depth-1); err != nil {
			return dst, inKey(key, err)
		}
	}
	return out, nil
}
