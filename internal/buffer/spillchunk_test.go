package buffer_test

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/spillway/spillway/internal/buffer"
	"github.com/spillway/spillway/internal/record"
)

// parcel is a chunk as its sender sees it, over the lives of several processes.
type parcel struct {
	key   [16]byte
	n     int // of the chunks
	texts []string
	level record.Level
	// asked is how often the present process was asked for an answer, and answers
	// what it said. acked: one of them said that the chunk is safe.
	asked   int
	answers []bool
	acked   bool
	// held: the process took all of it and never said otherwise.
	held bool
}

// guise is what its records are. All can be sent again.
func (p *parcel) guise() guise {
	if g := guiseOf(p.n); g != messages {
		return g
	}
	return again
}

// chunk sends a new chunk of n records.
func (o *ordeal) chunk(n, most int, level record.Level) {
	o.Helper()
	p := &parcel{level: level, n: len(o.parcels)}
	binary.LittleEndian.PutUint64(p.key[:], uint64(len(o.parcels))+1)
	guise := p.guise()
	for i := range n {
		text := fmt.Sprintf("%d ", len(o.handed))
		text = guise.body(p.n, i, text+unlike(len(o.handed), o.random.IntN(max(most-len(text), 1))))
		o.identities[text] = guise.identity(p.n, i, p.key)
		o.handed = append(o.handed, text)
		p.texts = append(p.texts, text)
	}
	o.parcels = append(o.parcels, p)
	o.send(p)
}

// send sends a chunk, or sends it again.
func (o *ordeal) send(p *parcel) {
	o.Helper()
	done := make(chan struct{})
	p.asked++
	go func() {
		defer close(done)
		c := record.Chunk{
			Tag: o.streams[int(p.key[0])%2].Name, Time: time.Now().UnixNano(), Origin: record.Origin{Key: p.key}, Level: p.level,
			Done: o.answer(p),
		}
		p.guise().dress(&c, p.n, p.texts)
		o.buf.Admit(nil, &c)
	}()
	o.wait(done)
	p.held = len(p.answers) == 0 || p.answers[len(p.answers)-1]
	o.check()
}

// answer takes what is said of a chunk.
func (o *ordeal) answer(p *parcel) func(bool) {
	buf := o.buf
	return func(ok bool) {
		buf.State() // It would never return if a lock were held.
		p.answers = append(p.answers, ok)
		p.acked = p.acked || ok
		p.held = p.held && ok
		if len(p.answers) > p.asked {
			o.Fatalf("a chunk is told %v, asked %d times", p.answers, p.asked)
		}
		if ok && p.level == record.LevelDelivered && o.open(p) > 0 {
			o.Fatalf("a chunk is said to be delivered, and %d of %d records are not", o.open(p), len(p.texts))
		}
	}
}

// open is how many records of a chunk are neither delivered nor refused.
func (o *ordeal) open(p *parcel) (n int) {
	for _, text := range p.texts {
		if o.delivered[text] == 0 && !o.rejected[text] {
			n++
		}
	}
	return n
}

// resend does what senders do that have no answer from a process that has ended:
// they send their chunks again. What the disk has must not be admitted again.
func (o *ordeal) resend(kept bool) {
	o.Helper()
	for _, p := range o.parcels {
		held := p.held
		p.asked, p.answers, p.held = 0, nil, false
		if p.acked {
			continue
		}
		p.asked++
		if o.buf.Attach(record.Origin{Key: p.key}, p.level, o.answer(p)) {
			p.held = true
			continue
		}
		p.asked--
		if open := o.open(p); held && kept && open > 0 && !o.faulty && o.full == buffer.Block {
			o.Fatalf("a chunk of %d records, of which %d are on the disk, is not known: %+v", len(p.texts), open, *p)
		}
		if o.random.IntN(4) > 0 {
			continue // Its sender is gone.
		}
		o.untidy = true
		o.possible += int64(len(p.texts)) // Who is not known has sent something new.
		o.send(p)
	}
}

// checkParcels holds what senders were told to what became of their chunks, at the
// end.
func (o *ordeal) checkParcels() {
	o.Helper()
	for i, p := range o.parcels {
		if len(p.answers) != p.asked {
			o.Fatalf("chunk %d: asked %d times, told %v", i, p.asked, p.answers)
		}
		if open := o.open(p); p.acked && p.level > record.LevelMemory && open > 0 && o.full != buffer.DropOldestFull {
			o.Fatalf("chunk %d was said to have reached %s, and %d of %d records are lost", i, p.level, open, len(p.texts))
		}
	}
}
