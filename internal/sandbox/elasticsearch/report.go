package elasticsearch

import (
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Report is what a Server has seen since its start.
type Report struct {
	Started time.Time `json:"started"`
	Elapsed string    `json:"elapsed"`
	// Requests by route ("_bulk", "_index_template" …) and by what became of them: a status, or what was done to the
	// connection.
	Requests    map[string]map[string]uint64 `json:"requests"`
	MaxInFlight int64                        `json:"max_in_flight"`
	Faults      map[string]uint64            `json:"faults"` // Requests that met a fault, by its kind.
	Bulk        BulkReport                   `json:"bulk"`
	Totals      Totals                       `json:"totals"`
	Counted     Counted                      `json:"counted,omitzero"`
	KeptBytes   int                          `json:"kept_bytes"`
	Forgotten   uint64                       `json:"forgotten"` // Documents no longer kept, for want of room.
	Indices     []IndexReport                `json:"indices"`   // By name.
}

// BulkReport sums the bulk requests that were taken apart.
type BulkReport struct {
	Requests  uint64            `json:"requests"`
	Bytes     uint64            `json:"bytes"`      // Of bodies, unpacked.
	WireBytes uint64            `json:"wire_bytes"` // As sent.
	Items     uint64            `json:"items"`
	MaxItems  int               `json:"max_items"`
	MaxBytes  int               `json:"max_bytes"`
	Ops       map[string]uint64 `json:"ops"`      // Items by operation.
	Statuses  map[string]uint64 `json:"statuses"` // Items by status.
	Errors    map[string]uint64 `json:"errors"`   // Items by type of error.
}

// Totals sums the indices that are there.
type Totals struct {
	Documents uint64 `json:"documents"`
	Created   uint64 `json:"created"`
	Updated   uint64 `json:"updated"`
	Conflicts uint64 `json:"conflicts"`
	Checksum  uint64 `json:"checksum"`
}

// Counted is the account of a server that only counts.
type Counted struct {
	Items    uint64 `json:"items"`
	Bytes    uint64 `json:"bytes"`
	Checksum uint64 `json:"checksum"`
}

// IndexReport is the account of one index.
type IndexReport struct {
	Index      string `json:"index"`
	DataStream string `json:"data_stream,omitempty"`
	Documents  uint64 `json:"documents"` // Created less deleted.
	Created    uint64 `json:"created"`
	Updated    uint64 `json:"updated"` // Writes to ids that were there: duplicates, if none was meant.
	Deleted    uint64 `json:"deleted"`
	Conflicts  uint64 `json:"conflicts"` // Creations of ids that were there, which changed nothing.
	Bytes      uint64 `json:"bytes"`     // Of documents, as sent.
	Routed     uint64 `json:"routed"`    // With a routing.
	Pipelined  uint64 `json:"pipelined"` // With an ingest pipeline, which is not run.
	Checksum   uint64 `json:"checksum"`  // Sum modulo 2^64 of HashID over the ids that are there.
	Fields     int    `json:"fields"`
}

// Report returns what has arrived so far.
func (s *Server) Report() Report {
	start := s.host.Start()
	r := Report{Started: start, Elapsed: s.now().Sub(start).Round(time.Millisecond).String(), Faults: s.faults.counts(), Counted: s.counted.report(),
		Indices: []IndexReport{}}
	s.counts.report(&r)
	r.KeptBytes, r.Forgotten = s.keep.usage()
	for _, ix := range s.catalog.named("*") {
		one := ix.report()
		r.Indices = append(r.Indices, one)
		r.Totals.Documents += one.Documents
		r.Totals.Created += one.Created
		r.Totals.Updated += one.Updated
		r.Totals.Conflicts += one.Conflicts
		r.Totals.Checksum += one.Checksum
	}
	return r
}

// Index returns the account of an index, and whether there is one.
func (r *Report) Index(name string) (IndexReport, bool) {
	at := slices.IndexFunc(r.Indices, func(one IndexReport) bool { return one.Index == name })
	if at < 0 {
		return IndexReport{}, false
	}
	return r.Indices[at], true
}

func (ix *index) report() IndexReport {
	ix.mu.Lock()
	defer ix.mu.Unlock()
	return IndexReport{Index: ix.name, DataStream: ix.dataStream, Documents: ix.created - ix.deleted, Created: ix.created, Updated: ix.updated,
		Deleted: ix.deleted, Conflicts: ix.conflicts, Bytes: ix.bytes, Routed: ix.routed, Pipelined: ix.pipelined, Checksum: ix.checksum,
		Fields: len(ix.fields)}
}

// maxNames bounds how many routes and error types are counted by name.
const maxNames = 100

// counters counts requests and items. It is safe for concurrent use.
type counters struct {
	mu          sync.Mutex
	routes      map[string]map[string]uint64
	inFlight    int64
	maxInFlight int64
	bulk        BulkReport
}

func (c *counters) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inFlight++
	c.maxInFlight = max(c.maxInFlight, c.inFlight)
}

func (c *counters) end(route, outcome string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inFlight--
	if c.routes == nil {
		c.routes = make(map[string]map[string]uint64)
	}
	if c.routes[route] == nil && len(c.routes) >= maxNames {
		route = "(other)"
	}
	if c.routes[route] == nil {
		c.routes[route] = make(map[string]uint64)
	}
	c.routes[route][outcome]++
}

// items counts the items of a bulk request by what became of them.
func (c *counters) items(items []Item, size, wire int) {
	var created, ops uint64 // Of the commonest kind, which is counted without a map.
	c.mu.Lock()
	defer c.mu.Unlock()
	b := &c.bulk
	if b.Ops == nil {
		b.Ops, b.Statuses, b.Errors = make(map[string]uint64), make(map[string]uint64), make(map[string]uint64)
	}
	b.Requests++
	b.Bytes += uint64(size)
	b.WireBytes += uint64(wire)
	b.Items += uint64(len(items))
	b.MaxItems, b.MaxBytes = max(b.MaxItems, len(items)), max(b.MaxBytes, size)
	for i := range items {
		it := &items[i]
		if it.Op == "create" {
			ops++
		} else {
			b.Ops[it.Op]++
		}
		if it.result.Status == 201 {
			created++
			continue
		}
		b.Statuses[strconv.Itoa(it.result.Status)]++
		if kind := it.result.Type; kind != "" {
			if _, known := b.Errors[kind]; !known && len(b.Errors) >= maxNames {
				kind = "(other)"
			}
			b.Errors[kind]++
		}
	}
	if ops > 0 {
		b.Ops["create"] += ops
	}
	if created > 0 {
		b.Statuses["201"] += created
	}
}

func (c *counters) report(r *Report) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r.MaxInFlight, r.Bulk = c.maxInFlight, c.bulk
	r.Bulk.Ops, r.Bulk.Statuses, r.Bulk.Errors = maps.Clone(c.bulk.Ops), maps.Clone(c.bulk.Statuses), maps.Clone(c.bulk.Errors)
	r.Requests = make(map[string]map[string]uint64, len(c.routes))
	for route, outcomes := range c.routes {
		r.Requests[route] = maps.Clone(outcomes)
	}
}
