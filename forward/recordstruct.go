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
		found = append(found, field{key, i, strings.Contains(","+options+",", ",omitempty,")})
	}
	structs.Store(t, found)
	return found
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
		if v := r.Field(f.index); !f.omitempty || !v.IsZero() {
			if out, err = appendValue(msgp.AppendString(out, f.key), v.Interface(), depth-1); err != nil {
				return dst, inKey(f.key, err)
			}
		}
	}
	return out, nil
}
