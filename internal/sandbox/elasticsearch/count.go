package elasticsearch

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"sync"

	"github.com/cespare/xxhash/v2"
	"github.com/klauspost/compress/gzip"
)

// readSize is how much of a body is looked at in one piece: it stays in the processor's cache.
const readSize = 256 << 10

// counted is the account of a server that only counts. It is safe for concurrent use.
type counted struct {
	mu       sync.Mutex
	items    uint64
	bytes    uint64
	checksum uint64
	pool     sync.Pool // Of *counting.
}

// counting goes through one body, piece by piece. Actions and documents are taken to be right: of an action's line only
// its first key and _id are looked for, of a document only its end.
type counting struct {
	sh       shape
	buf      []byte
	out      []byte
	wantsDoc bool
	items    uint64
	bytes    uint64
	checksum uint64
	head     []byte // An action's line up to its id: `{"create":{"_index":"i","_id":"`.
	lead     []byte // What the answer to an action with this head begins with.
	tail     []byte
}

// serveCount counts a bulk request and answers each item with 201.
func (s *Server) serveCount(x *exchange) {
	c, _ := s.counted.pool.Get().(*counting)
	if c == nil {
		c = &counting{buf: make([]byte, readSize)}
	}
	defer s.counted.pool.Put(c)
	s.bulks.Add(1)
	var body io.Reader = x.request.Body
	var err error
	if packed(x.request.Header.Get("Content-Encoding")) {
		if body, err = gzip.NewReader(body); err != nil {
			x.refuse(unreadable(err))
			return
		}
	}
	c.begin(s.shape(newFilter(x.request.URL.Query().Get("filter_path"))))
	if err := c.read(body); err != nil {
		x.refuse(unreadable(err))
		return
	}
	if x.fault != nil && x.fault.Kind == "hang" {
		s.waitOut(x.fault, x.request)
		x.drop("hang", false)
		return
	}
	var ask *Answer
	if x.fault != nil {
		ask = s.answer(x.fault, nil)
	} else {
		ask = s.ask(&Request{N: int(s.bulks.Load()), HTTP: x.request, Size: int(c.bytes)})
	}
	s.host.Await(x.request, ask.Before)
	if ask.Handle || !ask.replaces() {
		s.counted.add(c)
	}
	s.host.Await(x.request, ask.Hold)
	s.host.Pause(x.request, s.Latency()+ask.Delay)
	switch {
	case ask.Drop || ask.Reset:
		x.drop("dropped after the body", ask.Reset)
	case ask.Status != 0:
		x.refuse(&apiError{ask.Status, ask.Type, ask.Reason, ask.Body})
	default:
		c.out = append(c.out, "]}"...)
		x.spoil(ask.Spoil, c.out)
	}
}

func (a *counted) add(c *counting) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.items += c.items
	a.bytes += c.bytes
	a.checksum += c.checksum
}

// begin readies c for a body.
func (c *counting) begin(sh shape) {
	c.sh, c.wantsDoc, c.items, c.bytes, c.checksum, c.head = sh, false, 0, 0, 0, c.head[:0]
	c.out = c.out[:0]
	c.out = append(c.out, '{')
	if sh.took {
		c.out = append(c.out, `"took":1,`...)
	}
	c.out = append(c.out, `"errors":false,"items":[`...)
	c.tail = c.tail[:0]
	if sh.version {
		c.tail = append(c.tail, `,"_version":1`...)
	}
	if sh.result {
		c.tail = append(c.tail, `,"result":"created"`...)
	}
	c.tail = append(c.tail, `,"status":201}}`...)
	if !sh.id && !sh.index {
		c.tail = c.tail[1:]
	}
}

// read goes through a body.
func (c *counting) read(body io.Reader) error {
	held := 0
	for {
		if held == len(c.buf) {
			c.buf = append(c.buf, make([]byte, len(c.buf))...)
		}
		n, err := body.Read(c.buf[held:])
		c.bytes += uint64(n)
		whole := bytes.LastIndexByte(c.buf[held:held+n], '\n')
		held += n
		if whole >= 0 {
			end := held - n + whole + 1
			c.lines(c.buf[:end])
			held = copy(c.buf, c.buf[end:held])
		}
		if errors.Is(err, io.EOF) {
			if held > 0 {
				return errors.New("it does not end in a newline")
			}
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// lines goes through whole lines.
func (c *counting) lines(b []byte) {
	for len(b) > 0 {
		if c.wantsDoc {
			b = b[bytes.IndexByte(b, '\n')+1:]
			c.wantsDoc = false
			continue
		}
		if len(c.head) > 0 && bytes.HasPrefix(b, c.head) {
			// A neighbour's action, but for its id.
			rest := b[len(c.head):]
			if end := bytes.IndexByte(rest, '"'); end >= 0 {
				c.item(rest[:end])
				b = rest[bytes.IndexByte(rest[end:], '\n')+end+1:]
				continue
			}
		}
		end := bytes.IndexByte(b, '\n')
		c.action(b[:end])
		b = b[end+1:]
	}
}

// item answers an action whose head is known.
func (c *counting) item(id []byte) {
	if c.items > 0 {
		c.out = append(c.out, ',')
	}
	c.items++
	c.checksum += xxhash.Sum64(id)
	c.out = append(c.out, c.lead...)
	if c.sh.id {
		c.out = append(append(c.out, id...), '"')
	}
	c.out = append(c.out, c.tail...)
	c.wantsDoc = true
}

// action answers an action and remembers its head.
func (c *counting) action(line []byte) {
	line = bytes.TrimSpace(line)
	if len(line) == 0 {
		return
	}
	op := []byte("index")
	if parts := bytes.SplitN(line, []byte{'"'}, 3); len(parts) == 3 {
		op = parts[1]
	}
	const id = `"_id":"`
	at := bytes.Index(line, []byte(id))
	if at < 0 {
		c.head = c.head[:0]
		c.begins(op)
		c.item(strconv.AppendUint([]byte("counted-"), c.items+1, 10))
		c.checksum -= xxhash.Sum64(strconv.AppendUint([]byte("counted-"), c.items, 10)) // It is no id of the client's.
		c.wantsDoc = string(op) != "delete"
		return
	}
	c.head = append(c.head[:0], line[:at+len(id)]...)
	c.begins(op)
	rest := line[at+len(id):]
	if end := bytes.IndexByte(rest, '"'); end >= 0 {
		rest = rest[:end]
	}
	c.item(rest)
	c.wantsDoc = string(op) != "delete"
	if !c.wantsDoc {
		c.head = c.head[:0]
	}
}

// begins makes what the answers to actions of an operation begin with.
func (c *counting) begins(op []byte) {
	c.lead = append(append(append(c.lead[:0], `{"`...), op...), `":{`...)
	if c.sh.index {
		c.lead = append(c.lead, `"_index":"counted"`...)
		if c.sh.id {
			c.lead = append(c.lead, ',')
		}
	}
	if c.sh.id {
		c.lead = append(c.lead, `"_id":"`...)
	}
}

func (a *counted) report() Counted {
	a.mu.Lock()
	defer a.mu.Unlock()
	return Counted{Items: a.items, Bytes: a.bytes, Checksum: a.checksum}
}
