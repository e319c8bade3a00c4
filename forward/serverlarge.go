package forward

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// spoolBlock is the memory through which a large message passes.
const spoolBlock = 256 << 10

// spooled receives a message that is too large for memory into a file, and hands
// it over.
func (c *serverConn) spooled() (goOn bool) {
	tag := c.scan.peekTag(c.recv.bytes())
	file, err := c.s.cfg.Spool.Create()
	if err != nil {
		c.complain(tag, reasonSpool, err)
		return false
	}
	defer func() {
		if err := file.Close(); err != nil {
			c.complain(tag, reasonSpool, fmt.Errorf("remove a message that was put aside: %w", err))
		}
	}()
	if len(c.recv.mem) < spoolBlock || c.recv.kind != memPool {
		block, ok := c.wait(max(spoolBlock, int64(len(c.recv.bytes()))))
		if !ok {
			return false
		}
		c.recv.replace(block)
	}
	c.scan.Limit = c.s.cfg.MaxSpooled
	size, why, err := c.receive(file)
	c.recv.left, c.scan.Limit = 0, c.s.inMemory()
	if err != nil {
		c.complain(tag, why, err)
	}
	if size == 0 {
		c.ready = false // what comes now is the middle of a message
		if err == nil && !c.ended && !c.isKilled() {
			c.complain(tag, reasonCutOff, errStopped)
		}
		return false
	}
	c.s.stats.bytes.Add(size)
	r := &Received{Message: Message{Tag: tag}, Peer: c.peer.Load(), Time: time.Now()}
	err = r.parseSpooled(c, file)
	c.scan.Reset()
	if err != nil {
		return c.broken(&r.Message, err)
	}
	switch {
	case r.Mode == ModeMessage:
		r.Refused = &LimitError{What: "entry", Bytes: r.Spooled.Size, Limit: c.s.inMemory()}
		c.complain(r.Tag, reasonPayload, r.Refused)
	case r.Compression != CompressionNone && r.Mode == ModePackedForward:
		return c.decompressedToSpool(r, r.Spooled.Reader(), r.Spooled.Size, r.Spooled)
	}
	return c.handOver(r)
}

// receive puts the message at hand into file, as it comes. Size 0 without an
// error means that the connection has ended.
func (c *serverConn) receive(file io.Writer) (size int64, why reason, err error) {
	fresh := c.recv.bytes()
	have, base := int64(0), int64(0)
	for {
		if _, err := file.Write(fresh); err != nil {
			return 0, reasonSpool, fmt.Errorf("put a message aside: %w", err)
		}
		have += int64(len(fresh))
		window := c.recv.bytes()
		size, need, err := c.scan.Scan(window)
		if err != nil {
			why = reasonSyntax
			if limit := new(LimitError); errors.As(err, &limit) {
				why = reasonTooLarge
			}
			return 0, why, err
		}
		// What was looked at is not needed any more.
		seen := int(min(int64(len(window)), c.scan.Kept()-base))
		if size > 0 {
			seen = len(window)
		}
		c.scan.Discard(seen)
		base += int64(seen)
		c.recv.advance(seen)
		if size > 0 {
			return size, 0, nil
		}
		c.recv.left = need - have
		kept := len(c.recv.bytes())
		if !c.fill() {
			return 0, 0, nil
		}
		fresh = c.recv.bytes()[kept:]
	}
}

// parseSpooled reads what stands around the payload of a message in a file.
func (r *Received) parseSpooled(c *serverConn, file io.ReaderAt) error {
	s := &c.scan
	if s.n < 2 {
		return &SyntaxError{Want: "a message: an array of a tag and entries", Found: "something else"}
	}
	read := func(from, end, most int64) ([]byte, error) {
		b := make([]byte, min(end-from, most))
		if _, err := file.ReadAt(b, from); err != nil {
			return nil, fmt.Errorf("read back a message that was put aside: %w", err)
		}
		return b, nil
	}
	// The head of an element says all of it but the content.
	from, end := s.element(0)
	tag, err := read(from, end, MaxTag+8)
	if err != nil {
		return err
	}
	if first := int64(textHead(tag[0])); first > 0 && end-from-first > MaxTag {
		return &LimitError{What: "tag", Bytes: end - from - first, Limit: MaxTag}
	}
	name, _, ok := text(tag, 0)
	if !ok {
		return unexpected("a tag: a string", tag, 0)
	}
	r.Message = Message{Tag: string(name), Size: -1}
	from, end = s.element(1)
	head, err := read(from, end, 8)
	if err != nil {
		return err
	}
	option := 2
	if _, first, ok := container(head, 0, false); ok {
		r.Mode = ModeForward
		from += int64(first)
	} else if first := textHead(head[0]); first > 0 {
		r.Mode = ModePackedForward
		from += int64(first)
	} else if s.n > 2 {
		r.Mode, option = ModeMessage, 3
		_, end = s.element(2)
	} else {
		return unexpected("entries: an array, a string or binary data, or a time and a record", head, 0)
	}
	r.Spooled = &Spooled{Size: end - from, c: c, file: file, from: from}
	if option >= s.n {
		return nil
	}
	from, end = s.element(option)
	b, err := read(from, end, MaxOption+1)
	if err != nil {
		return err
	}
	return r.parseOption(b)
}

// decompressedToSpool hands over a compressed message of size bytes whose
// entries go to a file. raw is where it stands if that is not in memory.
func (c *serverConn) decompressedToSpool(r *Received, packed io.Reader, size int64, raw *Spooled) (goOn bool) {
	file, err := c.s.cfg.Spool.Create()
	if err != nil {
		c.complain(r.Tag, reasonSpool, err)
		return false
	}
	defer func() {
		if err := file.Close(); err != nil {
			c.complain(r.Tag, reasonSpool, fmt.Errorf("remove a message that was put aside: %w", err))
		}
	}()
	count := &countingWriter{w: file, limit: c.s.cfg.Limits.decompressed(int(size))}
	err = decompressStream(count, packed, r.Compression)
	if count.failed != nil {
		c.complain(r.Tag, reasonSpool, fmt.Errorf("put a decompressed message aside: %w", count.failed))
		return false
	}
	if err != nil {
		r.Refused, r.Spooled = err, raw
		c.complain(r.Tag, reasonPayload, err)
		return c.handOver(r)
	}
	r.Payload, r.Spooled = nil, &Spooled{Size: count.n, c: c, file: file}
	return c.handOver(r)
}

// countingWriter writes at most limit bytes, and keeps the errors of w apart.
type countingWriter struct {
	w        io.Writer
	n, limit int64
	failed   error
}

// Write implements io.Writer.
func (c *countingWriter) Write(b []byte) (int, error) {
	if c.n += int64(len(b)); c.n > c.limit {
		return 0, &LimitError{What: "decompressed payload", Bytes: c.n, Limit: c.limit}
	}
	n, err := c.w.Write(b)
	c.failed = err
	return n, err
}

// decompressStream decompresses from r to w.
func decompressStream(w io.Writer, r io.Reader, c Compression) error {
	switch c {
	case CompressionGzip:
		z := gzipReaders.Get().(*gzip.Reader)
		defer gzipReaders.Put(z)
		if err := z.Reset(r); err != nil {
			return fmt.Errorf("decompress gzip: %w", err)
		}
		if _, err := io.Copy(w, z); err != nil {
			return fmt.Errorf("decompress gzip: %w", err)
		}
		return nil
	case CompressionZstd:
		return withZstd(r, func(d *zstd.Decoder) error {
			if _, err := io.Copy(w, d); err != nil {
				return fmt.Errorf("decompress zstd: %w", err)
			}
			return nil
		})
	}
	return fmt.Errorf("decompress %v: expected gzip or zstd", c)
}
