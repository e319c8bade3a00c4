package elasticsearch

import (
	"net/url"
	"sync"
	"time"

	"github.com/elastic/elastic-transport-go/v8/elastictransport"
)

// A node that fails is left alone for as long as firstRest, and twice as long each
// time after that, up to longRest, while there is another.
const (
	firstRest = time.Second
	longRest  = 30 * time.Second
)

// nodes chooses the node of each request: those that work in turn, and where none
// does the one whose rest ends first, so that there is always one to try. It
// implements elastictransport.ConcurrentSafeConnectionPool.
//
// The library's own pool leaves a node alone for up to 32 minutes, and takes any
// answer for a good one; here an answer counts once it is read.
type nodes struct {
	mu   sync.Mutex
	all  []*node
	turn int
}

type node struct {
	conn     *elastictransport.Connection
	failures int // in a row
	rests    time.Time
}

func newNodes(conns []*elastictransport.Connection) *nodes {
	p := &nodes{}
	for _, c := range conns {
		p.all = append(p.all, &node{conn: c})
	}
	return p
}

// Next implements elastictransport.ConnectionPool.
func (p *nodes) Next() (*elastictransport.Connection, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	var best *node
	for i := range p.all {
		n := p.all[(p.turn+i)%len(p.all)]
		if !n.rests.After(now) {
			best = n
			p.turn = (p.turn + i + 1) % len(p.all)
			break
		}
		if best == nil || n.rests.Before(best.rests) {
			best = n
		}
	}
	return best.conn, nil
}

// OnSuccess implements elastictransport.ConnectionPool. That there is an answer
// says little: see worked and failed.
func (p *nodes) OnSuccess(*elastictransport.Connection) error { return nil }

// OnFailure implements elastictransport.ConnectionPool.
func (p *nodes) OnFailure(c *elastictransport.Connection) error {
	p.failed(c.URL)
	return nil
}

// URLs implements elastictransport.ConnectionPool.
func (p *nodes) URLs() []*url.URL {
	p.mu.Lock()
	defer p.mu.Unlock()
	urls := make([]*url.URL, len(p.all))
	for i, n := range p.all {
		urls[i] = n.conn.URL
	}
	return urls
}

// ConcurrentSafe implements elastictransport.ConcurrentSafeConnectionPool.
func (p *nodes) ConcurrentSafe() {}

// failed notes that the node of this URL did not do what it should.
func (p *nodes) failed(u *url.URL) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := p.find(u); n != nil {
		now := time.Now()
		if n.rests.After(now) {
			return // It is known: several requests were under way.
		}
		n.failures++
		n.rests = now.Add(min(firstRest<<min(n.failures-1, 10), longRest))
	}
}

// worked notes that a node has done what it should.
func (p *nodes) worked(u *url.URL) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := p.find(u); n != nil {
		n.failures, n.rests = 0, time.Time{}
	}
}

// find returns the node of a URL; the lock is held.
func (p *nodes) find(u *url.URL) *node {
	for _, n := range p.all {
		if at := n.conn.URL; at.Host == u.Host && at.Scheme == u.Scheme && at.Path == u.Path {
			return n
		}
	}
	return nil
}

// count is how many there are.
func (p *nodes) count() int { return len(p.all) }
