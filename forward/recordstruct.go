package forward

import (
	"reflect"
	"strings"
	"sync"

	"github.com/tinylib/msgp/msgp"
)

// field is how one field of a struct stands in a record.
type field struct {
	key       string
	index     int
	omitempty bool
	plain     bool // a number, a boolean or text whose type has no method that could say otherwise
}

// structs keeps what was found out about each type of struct. It grows with the
// program's types, not with its data.
var structs sync.Map // reflect.Type to []field

func fieldsOf(t reflect.Type) []field {
	if known, ok := structs.Load(t); ok {
		return known.([]field)
	}
	var found []field
	for i := range t.NumField() {
		f := t.Field(i)
		if !f.IsExported() {
			continue
		}
		tag := f.Tag.Get("msg")
		if tag == "" {
			tag = f.Tag.Get("codec")
		}
		key, options, _ := strings.Cut(tag, ",")
		if tag == "-" {
			continue
		}
		if key == "" {
			key = f.Name
		}
		found = append(found, field{key, i, strings.Contains(","+options+",", ",omitempty,"), isPlain(f.Type)})
	}
	structs.Store(t, found)
	return found
}

func isPlain(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Bool, reflect.String, reflect.Float32, reflect.Float64,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return t.NumMethod() == 0
	}
	return false
}

func appendStruct(dst []byte, r reflect.Value, depth int) ([]byte, error) {
	if depth == 0 {
		return dst, errDeep
	}
	all := fieldsOf(r.Type())
	n := uint32(0)
	for _, f := range all {
		if !f.omitempty || !r.Field(f.index).IsZero() {
			n++
		}
	}
	out := msgp.AppendMapHeader(dst, n)
	var err error
	for _, f := range all {
		v := r.Field(f.index)
		if f.omitempty && v.IsZero() {
			continue
		}
		out = msgp.AppendString(out, f.key)
		if f.plain { // as an interface it would be allocated
			out, err = appendReflect(out, v, depth-1)
		} else {
			out, err = appendValue(out, v.Interface(), depth-1)
		}
		if err != nil {
			return dst, inKey(f.key, err)
		}
	}
	return out, nil
}
