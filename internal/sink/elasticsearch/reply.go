package elasticsearch

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/spillway/spillway/internal/jsonscan"
)

// reply reads the answer to a bulk request, item by item, and holds no more than a
// piece of it. Of an item that went well it makes nothing.
//
// What it reads is
//
//	{"errors":false,"items":[{"create":{"_id":"…","status":201}},…]}
//
// with its members in any order, and more of them.
type reply struct {
	src  io.Reader
	buf  []byte
	at   int
	end  int
	scan *jsonscan.Scanner // of items, for id, status and error
	text []byte
}

// Keys of an item, by their numbers in itemKeys.
const (
	itemID = iota
	itemStatus
	itemError
)

const (
	replyPiece = 32 << 10
	// maxItem bounds one item, in bytes: destinations quote what they refuse.
	maxItem = 4 << 20
)

func newItemScanner() *jsonscan.Scanner {
	keys, err := jsonscan.NewKeys("_id", "status", "error")
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return jsonscan.NewScanner(keys)
}

func newReply() *reply { return &reply{buf: make([]byte, replyPiece), scan: newItemScanner()} }

// item is what the destination says of one event.
type item struct {
	mark   uint64 // of the id
	status int
	err    []byte // the error as JSON, or nil
}

var errCut = errors.New("the answer is cut short")

// read reads an answer and calls each for every item, in order.
func (r *reply) read(src io.Reader, each func(i *item) error) error {
	r.src, r.at, r.end = src, 0, 0
	defer func() { r.src = nil }()
	if err := r.expect('{'); err != nil {
		return err
	}
	seen := false
	for first := true; ; first = false {
		c, err := r.peek()
		if err != nil {
			return err
		}
		if c == '}' {
			r.at++
			break
		}
		if !first {
			if err := r.expect(','); err != nil {
				return err
			}
		}
		key, err := r.value()
		if err != nil {
			return err
		}
		isItems := string(key) == `"items"`
		if err := r.expect(':'); err != nil {
			return err
		}
		if isItems && !seen {
			seen = true
			err = r.items(each)
		} else {
			_, err = r.value()
		}
		if err != nil {
			return err
		}
	}
	if c, err := r.peek(); err == nil {
		return fmt.Errorf("the answer goes on with %q behind its end", c)
	} else if !errors.Is(err, errCut) {
		return err
	}
	if !seen {
		return errors.New("the answer has no items")
	}
	return nil
}

// items reads the array of items.
func (r *reply) items(each func(i *item) error) error {
	if err := r.expect('['); err != nil {
		return err
	}
	var it item
	for first := true; ; first = false {
		c, err := r.peek()
		if err != nil {
			return err
		}
		if c == ']' {
			r.at++
			return nil
		}
		if !first {
			if err := r.expect(','); err != nil {
				return err
			}
		}
		if !r.quick(&it) {
			if err := r.slow(&it); err != nil {
				return err
			}
		}
		if err := each(&it); err != nil {
			return err
		}
		for r.usual(&it) {
			if err := each(&it); err != nil {
				return err
			}
		}
	}
}

// usual reads a further item where it is what nearly all are: of a record that was
// created under an id of ours. It compares a few words.
func (r *reply) usual(it *item) bool {
	const start, id = len(`,{"create":{"_id":"`), 32
	const size = start + id + len(`","status":201}}`)
	p := r.buf[r.at:r.end]
	if len(p) < size {
		return false
	}
	p = p[:size]
	if string(p[:10]) != `,{"create"` || string(p[10:start]) != `:{"_id":"` || string(p[start+id:]) != `","status":201}}` {
		return false
	}
	if text := p[start : start+id]; bytes.IndexByte(text, '"') < 0 && bytes.IndexByte(text, '\\') < 0 {
		it.mark, it.status, it.err = mark(text), 201, nil
		r.at += size
		return true
	}
	return false
}

// What an item that went well looks like, but for its id, in the answers of all
// versions, since only these members are asked for.
var (
	quickStart  = []byte(`":{"_id":"`)
	quickStatus = []byte(`","status":20`)
)

// quick reads an item that went well and looks as usual.
func (r *reply) quick(it *item) bool {
	p := r.buf[r.at:r.end]
	const verb = len(`{"create`)
	// The verbs are create, index, update and delete.
	at := verb
	if len(p) < 40 || p[0] != '{' || p[1] != '"' {
		return false
	}
	if p[2] == 'i' {
		at = len(`{"index`)
	}
	if !bytes.HasPrefix(p[at:], quickStart) {
		return false
	}
	p = p[at+len(quickStart):]
	n := bytes.IndexByte(p, '"')
	if n < 0 || bytes.IndexByte(p[:n], '\\') >= 0 {
		return false
	}
	rest := p[n:]
	if len(rest) < len(quickStatus)+3 || !bytes.HasPrefix(rest, quickStatus) {
		return false
	}
	digit := rest[len(quickStatus)]
	if digit > '1' || digit < '0' || rest[len(quickStatus)+1] != '}' || rest[len(quickStatus)+2] != '}' {
		return false
	}
	it.mark, it.status, it.err = mark(p[:n]), 200+int(digit-'0'), nil
	r.at += at + len(quickStart) + n + len(quickStatus) + 3
	return true
}

// slow reads any item.
func (r *reply) slow(it *item) error {
	value, err := r.value()
	if err != nil {
		return err
	}
	bad := func() error {
		return fmt.Errorf("an item of the answer is %.100q; expected what became of one record", value)
	}
	// {"verb": inside }
	inside := bytes.TrimSpace(value[1:])
	if value[0] != '{' || len(inside) == 0 || inside[0] != '"' {
		return bad()
	}
	end := bytes.IndexByte(inside[1:], '"')
	if end < 0 {
		return bad()
	}
	inside = bytes.TrimSpace(inside[end+2:])
	if len(inside) < 2 || inside[0] != ':' || inside[len(inside)-1] != '}' {
		return bad()
	}
	if err := r.scan.Scan(inside[1 : len(inside)-1]); err != nil {
		return bad()
	}
	if it.status, err = strconv.Atoi(string(r.scan.Value(itemStatus))); err != nil {
		return bad()
	}
	it.err, it.mark = r.scan.Value(itemError), 0
	if id := r.scan.Value(itemID); len(id) > 0 && id[0] == '"' {
		var text []byte
		text, r.text = jsonscan.Text(r.text, id)
		it.mark = mark(text)
	}
	return nil
}
