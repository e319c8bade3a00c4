// Package elasticsearch is an Elasticsearch or OpenSearch node on loopback, for demonstrations, tests, sizing, and for
// trying any other shipper: it takes bulk requests, checks every action and every document as the real node does,
// gives every bad answer that such a node is known for when told to, and accounts for what arrives: how many
// documents, which ids come twice, what was refused and why.
//
// It is no search engine: it keeps the newest documents only, as many as it is allowed to, and answers of searches only
// those that want all. It keeps of each id a hash of 64 bits, so one among n ids is taken for another with a
// probability of n/2^64. Where it differs from a real node it is the stricter: an action without its document is
// refused, not skipped.
//
// It shares the machine with the program under test. Options.CountOnly makes it a counting sink: lines are told apart,
// ids are summed, and nothing else is looked at (count.go).
//
// What a request goes through: handler.go (faults, script, answer), bulk.go and scan.go (the lines of the body),
// judge.go (what becomes of each item), index.go (what an index holds), reply.go (the answer's items).
//
// Facts: the REST reference of Elasticsearch 7.17, 8.19 and 9.5 and of OpenSearch 1.3, 2.19 and 3.8, and what these
// nodes were seen to answer.
//
// The command "spillway sandbox elasticsearch" calls it, and so do the tests and benchmarks of the sink.
package elasticsearch

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spillway/spillway/internal/sandbox/host"
)

// Products of Options.Product.
const (
	Elasticsearch = "elasticsearch"
	OpenSearch    = "opensearch"
)

// Options says how a Server listens, what it plays and how it misbehaves. The zero value is an Elasticsearch 8 that
// works.
type Options struct {
	// Listen is the address of Listen: a loopback host and a port, 0 for any. Empty is for who uses the Handler.
	Listen string
	// Product and Version say which node answers: names of errors, the product header and the paths that exist depend
	// on them. Empty is Elasticsearch, and 8.19.21 or 2.19.6.
	Product, Version string
	// Latency delays each answer. The body is read and its documents are stored before it.
	Latency time.Duration
	// Faults are on from the start, each in the form of ParseFault.
	Faults []string
	// CountOnly counts the actions of bulk requests and sums their ids, and checks nothing. Every item is answered 201.
	CountOnly bool
	// KeepBytes bounds the memory of the documents kept to be read back, in bytes with some overhead; the oldest go
	// first. 0 means 64 MiB, a negative value keeps none.
	KeepBytes int
	// MaxContentLength is the largest body in bytes, unpacked, as http.max_content_length; 0 means 100 MiB.
	MaxContentLength int
	// FieldLimit is how many fields an index may have, as index.mapping.total_fields.limit; 0 means 1000.
	FieldLimit int
	// NoAutoCreate refuses documents for an index that was not created, as action.auto_create_index: false.
	NoAutoCreate bool
	// User and Password, APIKey (as sent behind "ApiKey ") and Bearer are what a request must show one of, if any is
	// set.
	User, Password, APIKey, Bearer string
	// ErrorLog is net/http's; nil means the standard logger.
	ErrorLog *log.Logger
}

// Server is the node. All its methods are safe for concurrent use.
type Server struct {
	options    Options
	major      int
	openSearch bool
	handler    http.Handler
	host       host.Host
	now        func() time.Time

	latency atomic.Int64
	script  atomic.Pointer[func(*Request) *Answer]
	faults  faults
	counts  counters
	bulks   atomic.Uint64 // Bulk requests that have come.
	ids     atomic.Uint64 // Ids made for documents that came without.
	counted counted

	catalog catalog
	keep    keeper
	buffers host.Buffers
	scans   sync.Pool // Of *bulk.
}

// New returns a Server that is ready to serve. It fails on options that make no sense.
func New(o Options) (*Server, error) {
	s := &Server{options: o, now: time.Now}
	if err := s.fill(); err != nil {
		return nil, fmt.Errorf("sandbox elasticsearch: %w", err)
	}
	s.buffers.Kept = maxPooled
	s.host.Now = func() time.Time { return s.now() }
	s.scans.New = func() any { return new(bulk) }
	s.catalog.init(s)
	s.SetLatency(o.Latency)
	s.handler = s.routes()
	return s, nil
}

// fill checks the options and puts in what they leave out.
func (s *Server) fill() error {
	o := &s.options
	if o.Product == "" {
		o.Product = Elasticsearch
	}
	defaults := map[string]string{Elasticsearch: "8.19.21", OpenSearch: "2.19.6"}
	version, known := defaults[o.Product]
	if !known {
		return fmt.Errorf("product %q: expected %s or %s", o.Product, Elasticsearch, OpenSearch)
	}
	if o.Version == "" {
		o.Version = version
	}
	s.openSearch = o.Product == OpenSearch
	first, _, _ := strings.Cut(o.Version, ".")
	major, err := strconv.Atoi(first)
	if err != nil || s.openSearch && (major < 1 || major > 3) || !s.openSearch && (major < 7 || major > 9) {
		return fmt.Errorf("version %q: expected one of Elasticsearch 7 to 9, such as 8.19.21, or of OpenSearch 1 to 3, such as 2.19.6", o.Version)
	}
	s.major = major
	if o.Latency < 0 {
		return errors.New("latency must not be negative")
	}
	if o.Listen != "" {
		if err := host.CheckListen(o.Listen); err != nil {
			return err
		}
	}
	if o.MaxContentLength == 0 {
		o.MaxContentLength = 100 << 20
	}
	if o.FieldLimit == 0 {
		o.FieldLimit = 1000
	}
	if s.keep.limit = o.KeepBytes; o.KeepBytes == 0 {
		s.keep.limit = 64 << 20
	}
	return s.SetFaults(o.Faults...)
}

// Latency returns the present delay of answers.
func (s *Server) Latency() time.Duration { return time.Duration(s.latency.Load()) }

// SetLatency changes the delay of answers, for those that are not yet waiting.
func (s *Server) SetLatency(d time.Duration) { s.latency.Store(int64(d)) }

// SetFaults replaces the faults, each in the form of ParseFault; none switches all off. Times and numbers of requests
// in them count from the start of the server or from this call, whichever is later. Requests that hang in a replaced
// fault are closed.
func (s *Server) SetFaults(texts ...string) error {
	list := make([]*Fault, 0, len(texts))
	for _, text := range texts {
		f, err := ParseFault(text)
		if err == nil && s.options.CountOnly && f.needsItems() {
			err = fmt.Errorf("fault %q is about items, which a server that only counts does not look at", text)
		}
		if err != nil {
			return err
		}
		list = append(list, f)
	}
	s.faults.set(list, s.now())
	return nil
}

// Handler returns the server's HTTP handler, for servers that others run. Call Close before ending such a server, or
// requests that hang or wait will hold it up.
func (s *Server) Handler() http.Handler { return s.handler }

// Listen opens Options.Listen, which must be a loopback address: the node trusts everyone.
func (s *Server) Listen() (net.Listener, error) {
	ln, err := host.Listen(s.options.Listen)
	if err != nil {
		return nil, fmt.Errorf("sandbox elasticsearch: %w", err)
	}
	return ln, nil
}

// Serve answers requests that arrive through ln until ctx ends, closes ln, and returns when no request is being served
// any more: nil if it was ctx that ended it. A Server serves once.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	s.faults.restart(s.now())
	if err := s.host.Serve(ctx, ln, s.handler, s.options.ErrorLog); err != nil {
		return fmt.Errorf("sandbox elasticsearch: %w", err)
	}
	return nil
}

// Close ends all waiting, makes the server drop further requests, and returns when those being served are done.
func (s *Server) Close() { s.host.Close() }

// productHeader reports whether answers carry X-Elastic-Product, which clients of Elastic look for.
func (s *Server) productHeader() bool {
	return !s.openSearch && !s.faults.wants("no-product")
}
