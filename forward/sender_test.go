package forward

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Chunks go to all servers by their weights.
func TestWeights(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		servers := []*counting{{}, {}, {}}
		var o ClientOptions
		for i, weight := range []int{10, 30, 60} {
			address := fmt.Sprint("s", i, ":1")
			w.serve(address, servers[i].serve)
			e := w.endpoint(address)
			e.Weight = weight
			o.Servers = append(o.Servers, e)
		}
		o.ChunkRecords = 1
		c := newClient(t, o)
		for i := range 1000 {
			post(t, c, "t", i)
			synctest.Wait()
		}
		for i, want := range []int{100, 300, 600} {
			if got := servers[i].count(); got < want-1 || got > want+1 {
				t.Errorf("server %d has %d chunks; expected %d", i, got, want)
			}
		}
		var all []string
		for _, s := range servers {
			all = append(all, s.records()...)
		}
		hasAll(t, all, 1000)
		deliverAll(t, c, time.Second)
		w.group.Wait()
	})
}

// A server that is away is set aside: its chunks go to the others, it is tried
// again with growing pauses, and its name is resolved each time.
func TestAside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, server, other := newWorld(), new(counting), new(counting)
		w.serve("a:1", server.serve)
		c := newClient(t, ClientOptions{Servers: []Endpoint{w.endpoint("a:1"), w.endpoint("b:1")}, ChunkRecords: 1})
		for i := range 100 {
			post(t, c, "t", i)
			time.Sleep(time.Second)
		}
		hasAll(t, server.records(), 100)
		// 0.1, 0.2, 0.4 … 5 s, each up to 30 % more or less: about 24 attempts in 100 s.
		if got := w.dialed("b:1"); got < 15 || got > 40 {
			t.Errorf("the server that is away was dialled %d times in 100 s", got)
		}
		if s := c.Stats().Servers; !s[1].Aside || s[1].Error == nil || s[0].Aside || !s[0].Connected || s[0].Error != nil {
			t.Errorf("%+v", s)
		}
		w.serve("b:1", other.serve)
		time.Sleep(10 * time.Second)
		for i := range 100 {
			post(t, c, "t", 100+i)
			synctest.Wait()
		}
		if got := other.count(); got != 50 {
			t.Errorf("the server that is back has %d of 100 chunks", got)
		}
		if s := c.Stats().Servers; s[1].Aside || s[1].Error != nil {
			t.Errorf("%+v", s)
		}
		deliverAll(t, c, time.Second)
		hasAll(t, append(server.records(), other.records()...), 200)
		w.group.Wait()
	})
}

// A standby is given chunks only while another server is set aside.
func TestStandby(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, active, standby := newWorld(), new(counting), new(counting)
		w.serve("a:1", active.serve)
		w.serve("s:1", standby.serve)
		second := w.endpoint("s:1")
		second.Standby = true
		c := newClient(t, ClientOptions{Servers: []Endpoint{second, w.endpoint("a:1")}, ChunkRecords: 1})
		send := func(from int) {
			for i := range 20 {
				post(t, c, "t", from+i)
				time.Sleep(time.Second)
			}
		}
		send(0)
		if active.count() != 20 || w.dialed("s:1") != 0 {
			t.Errorf("active %d, standby %d, dialled %d", active.count(), standby.count(), w.dialed("s:1"))
		}
		down := make(chan net.Conn, 100)
		w.serve("a:1", func(nc net.Conn) { nc.Close(); down <- nc })
		// The connection that is open goes on; only a new one meets the end.
		c.mu.Lock()
		conn := c.senders[1].conn
		c.mu.Unlock()
		conn.fail(errors.New("cut"))
		time.Sleep(time.Second)
		w.serve("a:1", nil)
		send(20)
		if got := active.count() + standby.count(); got != 40 || standby.count() < 19 {
			t.Errorf("active %d, standby %d", active.count(), standby.count())
		}
		w.serve("a:1", active.serve)
		time.Sleep(10 * time.Second)
		before := standby.count()
		send(40)
		if standby.count() != before || active.count()+standby.count() != 60 {
			t.Errorf("active %d, standby %d, before %d", active.count(), standby.count(), before)
		}
		deliverAll(t, c, time.Second)
		hasAll(t, append(active.records(), standby.records()...), 60)
		w.group.Wait()
	})
}

// What a hostile server does to a client costs time, never a record: everything
// is delivered to the server that behaves, with the same ids.
func TestHostileToClient(t *testing.T) {
	for name, hostile := range map[string]func(*peer, *message) bool{
		"another ack": func(p *peer, m *message) bool { return p.ack("x"+m.ID) == nil },
		"silence":     func(*peer, *message) bool { return true },
		"closes":      func(*peer, *message) bool { return false },
		"garbage": func(p *peer, _ *message) bool {
			_, err := io.WriteString(p, "HTTP/1.0 500\r\n\r\n")
			return err == nil
		},
		"oversize": func(p *peer, _ *message) bool {
			_, err := io.WriteString(p, "\x81\xa3ack\xdb\x7f\xff\xff\xff"+strings.Repeat("x", 100<<10))
			return err == nil
		},
		"acks twice": func(p *peer, m *message) bool {
			_, err := p.Write(append(ackOf(m.ID), ackOf(m.ID)...))
			return err == nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, good, bad := newWorld(), new(counting), new(counting)
				w.serve("good:1", good.serve)
				w.serve("bad:1", func(nc net.Conn) {
					p := newPeer(nc)
					for {
						m, err := p.receive()
						if err != nil {
							return
						}
						if name == "acks twice" {
							bad.note(m)
						}
						if !hostile(p, m) {
							return
						}
					}
				})
				c := newClient(t, ClientOptions{Servers: []Endpoint{w.endpoint("bad:1"), w.endpoint("good:1")}, ChunkRecords: 10})
				for i := range 1000 {
					post(t, c, "t", i)
				}
				if left := finish(t, c, time.Hour); left != nil {
					t.Error(left)
				}
				w.group.Wait() // A bad server may still read what went to the good one since.
				seen := make(map[string]bool)
				var all []string
				for _, k := range []*counting{good, bad} {
					for _, m := range k.messages {
						if !seen[m.ID] {
							seen[m.ID] = true
							all = append(all, m.Records...)
						}
					}
				}
				hasAll(t, all, 1000)
			})
		})
	}
}

// A server with a key, and one that takes one message on each connection.
func TestClientHandshake(t *testing.T) {
	for _, keepalive := range []bool{true, false} {
		for _, noAcks := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				w, server := newWorld(), new(counting)
				w.serve("a:1", func(nc net.Conn) {
					p := newPeer(nc)
					if _, err := p.Write(heloOf("salt", keepalive)); err != nil {
						return
					}
					said := p.readPing(t)
					answer := pongOf(true, "", "server", hexdigest(said.salt, "server", "0123456789abcdef", "key"))
					if _, err := p.Write(answer); err != nil {
						return
					}
					for {
						m, err := p.receive()
						if err != nil {
							return
						}
						server.note(m)
						if m.ID != "" && p.ack(m.ID) != nil || !keepalive {
							return
						}
					}
				})
				e := w.endpoint("a:1")
				e.Auth = &Credentials{SharedKey: "key", Hostname: "client", Username: "u", Password: "p"}
				c := newClient(t, ClientOptions{Servers: []Endpoint{e}, ChunkRecords: 10, NoAcks: noAcks})
				began := time.Now()
				for i := range 200 {
					post(t, c, "t", i)
				}
				if left := finish(t, c, time.Hour); left != nil {
					t.Error(left)
				}
				w.group.Wait()
				hasAll(t, server.records(), 200)
				if took := time.Since(began); took > time.Second {
					t.Errorf("took %v; a server that closes after each message has not failed", took)
				}
				if s := c.Stats().Servers[0]; s.Hostname != "server" || s.Failures != 0 || keepalive != (w.dialed("a:1") == 1) {
					t.Errorf("%+v, dialled %d times", s, w.dialed("a:1"))
				}
				w.group.Wait()
			})
		}
	}
}

// mute is a connection that takes nothing.
type mute struct{ net.Conn }

func (mute) Write([]byte) (int, error) { return 0, errors.New("takes nothing") }

// A chunk of which nothing was written has not arrived, and is not counted as
// repeated.
func TestNothingWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.serve("a:1", func(nc net.Conn) {
			if _, err := newPeer(nc).receive(); err == nil {
				t.Error("something was written")
			}
		})
		e := w.endpoint("a:1")
		e.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			nc, err := w.dial(ctx, network, address)
			return mute{nc}, err
		}
		c := newClient(t, ClientOptions{Servers: []Endpoint{e}})
		post(t, c, "t", 0)
		left := finish(t, c, time.Minute)
		if left == nil || left.Chunks[0].Unsure || c.Stats().Retried.Records != 0 || c.Stats().Servers[0].Failures < 5 {
			t.Errorf("%+v of %+v", left, c.Stats())
		}
		w.group.Wait()
	})
}

// Verify names the servers that cannot be used.
func TestVerify(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.serve("good:1", new(counting).serve)
		standby := w.endpoint("standby:1")
		standby.Standby = true
		c := newClient(t, ClientOptions{Servers: []Endpoint{w.endpoint("good:1"), w.endpoint("bad:1"), standby}})
		err := c.Verify(t.Context())
		if err == nil || strings.Contains(err.Error(), "good:1") || !strings.Contains(err.Error(), "bad:1") || !strings.Contains(err.Error(), "standby:1") {
			t.Error(err)
		}
		deliverAll(t, c, time.Second)
		w.group.Wait()
	})
}

// A connection that the server closes while nothing waits is no failure, and is
// renewed when there is something to send.
func TestIdleClose(t *testing.T) {
	for _, noAcks := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w, server := newWorld(), new(counting)
			w.serve("a:1", func(nc net.Conn) {
				p := newPeer(nc)
				m, err := p.receive()
				if err != nil {
					return
				}
				server.note(m)
				if m.ID == "" || p.ack(m.ID) == nil {
					time.Sleep(time.Second)
				}
			})
			c := newClient(t, ClientOptions{Servers: []Endpoint{w.endpoint("a:1")}, NoAcks: noAcks})
			for i := range 5 {
				post(t, c, "t", i)
				time.Sleep(10 * time.Second)
			}
			s := c.Stats()
			if s.Acked.Records+s.Unacked.Records != 5 || s.Servers[0].Failures != 0 || s.Servers[0].Connected || s.Retried.Records != 0 {
				t.Errorf("%+v", s)
			}
			deliverAll(t, c, time.Second)
			hasAll(t, server.records(), 5)
			w.group.Wait()
		})
	}
}

// A connection that is too old is replaced while it works, for whoever is behind the
// name by then. What waits for its ack on the old one gets it there.
func TestConnectionAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, first, second := newWorld(), new(counting), new(counting)
		var ended atomic.Bool
		w.serve("a:1", func(nc net.Conn) {
			defer ended.Store(true)
			p := newPeer(nc)
			for {
				m, err := p.receive()
				if err != nil {
					return
				}
				first.note(m)
				w.group.Go(func() {
					time.Sleep(30 * time.Second) // longer than the connection may be used
					if err := p.ack(m.ID); err != nil {
						t.Error(err)
					}
				})
			}
		})
		c := newClient(t, ClientOptions{Servers: []Endpoint{w.endpoint("a:1")}, ConnectionAge: 10 * time.Second})
		post(t, c, "t", 0)
		time.Sleep(5 * time.Second)
		w.serve("a:1", second.serve)
		post(t, c, "t", 1)
		time.Sleep(6 * time.Second)
		post(t, c, "t", 2)
		time.Sleep(time.Second)
		synctest.Wait()
		if n := second.count(); n != 1 || w.dialed("a:1") != 2 {
			t.Errorf("the new place has %d chunks after %d connections; expected 1 and 2", n, w.dialed("a:1"))
		}
		if err := c.Flush(t.Context()); err != nil {
			t.Error(err)
		}
		if s := c.Stats(); s.Acked.Records != 3 || s.Retried.Records != 0 || s.Servers[0].Failures != 0 || !s.Servers[0].Connected {
			t.Errorf("%+v", s)
		}
		synctest.Wait()
		if !ended.Load() {
			t.Error("the old connection is open, though nothing on it waits")
		}
		balance(t, c)
		deliverAll(t, c, time.Minute)
		hasAll(t, append(first.records(), second.records()...), 3)
		w.group.Wait()
	})
}

// Where no new connection comes about, the old one goes on.
func TestConnectionAgeAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, server := newWorld(), new(counting)
		w.serve("a:1", server.serve)
		c := newClient(t, ClientOptions{Servers: []Endpoint{w.endpoint("a:1")}, ConnectionAge: time.Second})
		post(t, c, "t", 0)
		time.Sleep(500 * time.Millisecond)
		w.serve("a:1", nil)
		for i := range 10 {
			post(t, c, "t", 1+i)
			time.Sleep(time.Second)
		}
		synctest.Wait()
		s := c.Stats()
		if s.Acked.Records != 11 || s.Retried.Records != 0 || s.Servers[0].Aside || s.Servers[0].Failures == 0 || w.dialed("a:1") < 5 {
			t.Errorf("%+v after %d attempts", s, w.dialed("a:1"))
		}
		deliverAll(t, c, time.Minute)
		hasAll(t, server.records(), 11)
		w.group.Wait()
	})
}

// Options that contradict each other are refused.
func TestClientOptions(t *testing.T) {
	one := []Endpoint{{DialOptions: DialOptions{Address: "h:1"}}}
	for _, o := range []ClientOptions{
		{},
		{Servers: []Endpoint{{}}},
		{Servers: []Endpoint{{DialOptions: DialOptions{Address: "h:1"}, Standby: true}}},
		{Servers: []Endpoint{{DialOptions: DialOptions{Address: "h:1"}, Weight: -1}}},
		{Servers: one, BufferBytes: 1},
		{Servers: one, ChunkAge: -1},
		{Servers: one, ConnectionAge: -1},
		{Servers: one, WhenFull: 7},
		{Servers: one, Compression: CompressionUnknown},
		{Servers: one, MinBackoff: time.Minute, MaxBackoff: time.Second},
		{Servers: one, Spill: new(memorySpill), WhenFull: DropOldest},
	} {
		if c, err := NewClient(o); err == nil {
			t.Errorf("%+v was accepted", o)
			c.Close(context.Background())
		}
	}
}

// The pauses double, are limited, and differ by chance.
func TestBackoff(t *testing.T) {
	c := &Client{o: ClientOptions{MinBackoff: 100 * time.Millisecond, MaxBackoff: 5 * time.Second}}
	for row, want := range []time.Duration{1: 100, 2: 200, 3: 400, 6: 3200, 7: 5000, 40: 5000, 1000: 5000} {
		if want == 0 {
			continue
		}
		want *= time.Millisecond
		var all []time.Duration
		for range 100 {
			all = append(all, c.backoff(row))
		}
		if least, most := slices.Min(all), slices.Max(all); least < want*7/10 || most > want*13/10 || least == most {
			t.Errorf("after %d failures %v to %v; expected about %v", row, least, most, want)
		}
	}
}
