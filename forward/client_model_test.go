package forward

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// moods are what the servers of the model do with the next message.
var moods = []string{"ack", "ack", "ack", "ack later", "silent", "close", "lose the ack", "wrong ack", "slow"}

// model drives a client by chance, and knows of each record what may have become
// of it.
type model struct {
	*testing.T
	r        *rapid.T
	w        *world
	c        *Client
	spill    *memorySpill
	mood     string
	servers  []string
	received counting
	acked    map[string]bool // ids of the chunks whose ack a server has written
	accepted map[string]bool
	refused  map[string]bool
	n        int
}

// serve is a server whose mood changes.
func (m *model) serve(nc net.Conn) {
	p := newPeer(nc)
	for {
		msg, err := p.receive()
		if err != nil {
			return
		}
		m.received.mu.Lock()
		mood := m.mood
		m.received.mu.Unlock()
		if mood == "close" {
			return
		}
		m.received.note(msg)
		id := msg.ID
		switch mood {
		case "ack later":
			time.Sleep(time.Second)
		case "slow":
			time.Sleep(30 * time.Second)
		case "silent":
			continue
		case "lose the ack":
			return
		case "wrong ack":
			id = "x" + id
		}
		if msg.ID != "" && p.ack(id) != nil {
			return
		}
		m.received.mu.Lock()
		m.acked[id] = true
		m.received.mu.Unlock()
	}
}

func (m *model) setMood(mood string) {
	m.received.mu.Lock()
	defer m.received.mu.Unlock()
	m.mood = mood
}

func (m *model) post() {
	pad := rapid.SampledFrom([]int{0, 0, 0, 10, 200, 3000, 20_000}).Draw(m.r, "size")
	record := map[string]any{"n": m.n, "pad": strings.Repeat("x", pad)}
	key := fmt.Sprint(m.n)
	m.n++
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	err := m.c.Post(ctx, fmt.Sprint("tag", rapid.IntRange(0, 4).Draw(m.r, "tag")), time.Now(), record)
	if err == nil {
		m.accepted[key] = true
		return
	}
	m.refused[key] = true
	if !errors.Is(err, ErrBufferFull) && !errors.As(err, new(*LimitError)) {
		m.Errorf("Post: %v", err)
	}
}

// check asserts what holds at every moment.
func (m *model) check(*rapid.T) {
	balance(m.T, m.c)
	m.c.mu.Lock()
	defer m.c.mu.Unlock()
	var held, pending, opening int64
	for ch := m.c.opens.first; ch != nil; ch = ch.next {
		opening += ch.held
	}
	if opening != m.c.opening {
		m.Errorf("open chunks hold %d bytes; counted are %d", opening, m.c.opening)
	}
	for _, l := range []*chunkList{&m.c.opens, &m.c.waiting, &m.c.flying, &m.c.behind} {
		n, last := 0, uint64(0)
		for ch := l.first; ch != nil; ch = ch.next {
			if ch.seq < last {
				m.Error("a list is out of order")
			}
			last = ch.seq
			held += ch.held
			n++
			if !ch.spilled {
				pending += int64(ch.records)
			}
		}
		if n != l.n {
			m.Errorf("a list of %d says %d", n, l.n)
		}
	}
	if held != m.c.held || pending != m.c.stats.Pending.Records {
		m.Errorf("chunks hold %d bytes and %d records; counted are %d and %d", held, pending, m.c.held, m.c.stats.Pending.Records)
	}
	flying := 0
	for _, s := range m.c.senders {
		flying += s.flying
	}
	if flying != m.c.flying.n {
		m.Errorf("%d in flight, %d at the servers", m.c.flying.n, flying)
	}
}

// keyOf finds the number of a record of the model.
func keyOf(record []byte) string {
	m, _, err := readMap(record)
	if err != nil {
		panic(err)
	}
	return fmt.Sprint(m["n"])
}

func (m *model) finish() {
	patience := rapid.SampledFrom([]time.Duration{time.Millisecond, 10 * time.Second, time.Hour}).Draw(m.r, "patience")
	left := finish(m.T, m.c, patience)
	m.w.group.Wait()
	arrived := make(map[string]bool)
	var acked int64
	for _, msg := range m.received.messages {
		for _, r := range msg.Records {
			arrived[keyOf([]byte(r))] = true
		}
	}
	counted := make(map[string]bool)
	for _, msg := range m.received.messages {
		if m.acked[msg.ID] && !counted[msg.ID] {
			counted[msg.ID] = true
			acked += int64(len(msg.Records))
		}
	}
	s := m.c.Stats()
	if s.Acked.Records > acked {
		m.Errorf("counted as acknowledged %d; the servers acknowledged %d", s.Acked.Records, acked)
	}
	returned := make(map[string]bool)
	if left != nil {
		for _, chunk := range left.Chunks {
			p := &message{Compression: chunk.Compression.String(), Entries: joinPieces(chunk.Entries)}
			if err := p.unpack(); err != nil {
				m.Fatal(err)
			}
			for _, r := range p.Records {
				key := keyOf([]byte(r))
				returned[key] = true
				if arrived[key] && !chunk.Unsure {
					m.Errorf("record %s has arrived, and was returned as if it had not", key)
				}
			}
		}
	}
	if m.spill != nil {
		for _, chunk := range m.spill.chunks {
			p := &message{Compression: chunk.Compression.String(), Entries: joinPieces(chunk.Entries)}
			if err := p.unpack(); err != nil {
				m.Fatal(err)
			}
			for _, r := range p.Records {
				returned[keyOf([]byte(r))] = true
			}
		}
	}
	lost := int64(0)
	for key := range m.accepted {
		if !arrived[key] && !returned[key] {
			lost++
		}
	}
	if lost > s.DroppedOverflow.Records {
		m.Errorf("%d records are nowhere; %d were dropped", lost, s.DroppedOverflow.Records)
	}
	for key := range m.refused {
		if arrived[key] || returned[key] {
			m.Errorf("record %s was refused, and has arrived", key)
		}
	}
	if int64(len(m.accepted)) != s.Accepted.Records {
		m.Errorf("%d accepted, %d counted", len(m.accepted), s.Accepted.Records)
	}
}

// Whatever servers do, and whatever is posted, every record is where the numbers
// say.
func TestClientModel(t *testing.T) {
	if _, err := Compress(nil, nil, CompressionZstd); err != nil { // its encoder must not belong to a bubble
		t.Fatal(err)
	}
	rapid.Check(t, func(r *rapid.T) {
		synctest.Test(t, func(t *testing.T) {
			m := &model{T: t, r: r, w: newWorld(), mood: "ack", acked: make(map[string]bool), accepted: make(map[string]bool), refused: make(map[string]bool)}
			o := ClientOptions{
				BufferBytes: MinBufferBytes, ChunkAge: time.Second, WhenFull: WhenFull(rapid.IntRange(0, 2).Draw(r, "when full")),
				ChunkRecords: rapid.SampledFrom([]int{0, 3}).Draw(r, "records"), Compression: Compression(rapid.IntRange(0, 2).Draw(r, "compression")),
			}
			if o.WhenFull == Block && rapid.Bool().Draw(r, "spill") {
				m.spill = new(memorySpill)
				o.Spill = m.spill
			}
			for i := range rapid.IntRange(1, 3).Draw(r, "servers") {
				address := fmt.Sprint("s", i, ":1")
				m.servers = append(m.servers, address)
				m.w.serve(address, m.serve)
				e := m.w.endpoint(address)
				e.Standby = i == 2
				e.Window = rapid.IntRange(1, 4).Draw(r, "window")
				o.Servers = append(o.Servers, e)
			}
			m.c = newClient(t, o)
			r.Repeat(map[string]func(*rapid.T){
				"": m.check,
				"post": func(*rapid.T) {
					for range rapid.IntRange(1, 20).Draw(r, "n") {
						m.post()
					}
				},
				"wait": func(*rapid.T) {
					time.Sleep(rapid.SampledFrom([]time.Duration{0, time.Millisecond, time.Second, time.Minute}).Draw(r, "time"))
				},
				"mood":   func(*rapid.T) { m.setMood(rapid.SampledFrom(moods).Draw(r, "mood")) },
				"down":   func(*rapid.T) { m.w.serve(rapid.SampledFrom(m.servers).Draw(r, "server"), nil) },
				"up":     func(*rapid.T) { m.w.serve(rapid.SampledFrom(m.servers).Draw(r, "server"), m.serve) },
				"settle": func(*rapid.T) { synctest.Wait() },
				"flush": func(*rapid.T) {
					ctx, cancel := context.WithTimeout(context.Background(), time.Second)
					defer cancel()
					if err := m.c.Flush(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, ErrDropped) {
						t.Error(err)
					}
				},
				"spill": func(*rapid.T) {
					if m.spill != nil {
						m.spill.mu.Lock()
						m.spill.fail = !m.spill.fail
						m.spill.mu.Unlock()
					}
				},
			})
			if rapid.Bool().Draw(r, "all is well in the end") {
				m.setMood("ack")
				for _, s := range m.servers {
					m.w.serve(s, m.serve)
				}
			}
			m.finish()
		})
		if t.Failed() {
			r.Fatal("see above")
		}
	})
}
