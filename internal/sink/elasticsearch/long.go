package elasticsearch

import (
	"iter"

	"github.com/spillway/spillway/internal/entry"
	"github.com/spillway/spillway/internal/jsontext"
)

// longPiece is how much is made at a time of a record that is longer than a piece of
// the body, in bytes.
const longPiece = 32 << 10

// long is the rest of a document that is longer than a piece of the body: of a dozen
// megabytes in each request in flight none is held a second time.
type long struct {
	next  func() ([]byte, bool)
	stop  func()
	left  int64  // bytes that are still to come
	after []byte // what stands behind the members
}

// longDocument begins a document of which each makes the members, as it will again. What
// it makes does not change, but for what is counted.
func (a *attempt) longDocument(at int64, each func(yield func([]byte) bool) (members, replaced int), timed bool) {
	a.out = append(a.out, a.sink.want.open...)
	size := 0
	members, replaced := each(func(piece []byte) bool {
		size += len(piece)
		return true
	})
	a.bad = replaced
	a.out = append(a.out, '{')
	a.endLong(at, size, func(yield func([]byte) bool) bool {
		made, _ := each(yield)
		return made == members
	}, members > 0, timed)
}

// longMap begins the document of a msgpack map.
func (a *attempt) longMap(at int64, rec []byte) error {
	if _, _, err := entry.EachPair(rec, longPiece, func([]byte) bool { return true }); err != nil {
		return err
	}
	timed := false
	if a.sink.want.time >= 0 {
		_, timed = entry.Lookup(rec, a.sink.o.TimeKey)
	}
	a.longDocument(at, func(yield func([]byte) bool) (pairs, replaced int) {
		all := true
		pairs, replaced, err := entry.EachPair(rec, longPiece, func(piece []byte) bool {
			all = yield(piece)
			return all
		})
		if err != nil || !all {
			return 0, 0
		}
		return pairs, replaced
	}, timed)
	return nil
}

// longLine begins the document of a line of text.
func (a *attempt) longLine(at int64, form jsontext.Form, text []byte) {
	w := &a.sink.want
	a.out = append(append(a.out, w.open...), w.textOpen...)
	var made []byte
	each := func(yield func([]byte) bool) bool {
		for rest := text; len(rest) > 0; {
			n := jsontext.Cut(rest, longPiece)
			if made = form.AppendString(made[:0], rest[:n]); !yield(made) {
				return false
			}
			rest = rest[n:]
		}
		return yield([]byte{'"'})
	}
	size := 0
	each(func(piece []byte) bool {
		size += len(piece)
		return true
	})
	a.endLong(at, size, each, true, false)
}

// endLong notes what is still to come of a document: size bytes that each makes, and
// what stands behind them.
func (a *attempt) endLong(at int64, size int, each func(yield func([]byte) bool) bool, members, timed bool) {
	begun := len(a.out)
	a.finish(at, members, timed)
	l := &a.long
	l.after = append(l.after[:0], a.out[begun:]...)
	a.out = a.out[:begun]
	l.left = int64(size + len(l.after))
	l.next, l.stop = iter.Pull(func(yield func([]byte) bool) {
		if each(yield) {
			yield(l.after)
		}
	})
}

// goOn makes some more of a long document.
func (a *attempt) goOn() {
	piece, ok := a.long.next()
	if !ok {
		a.long.end()
		return
	}
	a.out = append(a.out, piece...)
}

// end gives up what is still to come, if anything is.
func (l *long) end() {
	if l.stop != nil {
		l.stop()
	}
	l.next, l.stop, l.left = nil, nil, 0
}
