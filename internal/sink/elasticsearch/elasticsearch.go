// Package elasticsearch delivers to Elasticsearch and OpenSearch by their bulk
// API, of which it uses what all versions from Elasticsearch 7 and OpenSearch 1
// on have in common; it asks nobody which product or version it is.
//
// A record becomes two lines of a bulk body: what is to be done, and the document.
// The body is made while it is sent, so that a request in flight is held once, as
// its batches. Every document has an id, by default one that its origin alone
// determines: what is sent again then changes nothing, and a conflict on it means
// that the record is there already.
//
// The answer is read item by item. Items are matched by position and checked by
// id; an answer that is not whole, or not about what was sent, says nothing, and
// all is tried again. What an item says of its record is final; what it says of
// the destination is not, and is tried again for as long as it takes.
//
// Connections are those of elastic-transport-go, with its retries off and a pool
// of our own: see the architecture decision record about this sink. Facts about the
// API: the references of the bulk API of Elasticsearch 7.17, 8 and 9 and of
// OpenSearch 1 to 3, and what these answered when asked.
package elasticsearch

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/elastic/elastic-transport-go/v8/elastictransport"

	"github.com/spillway/spillway/internal/indexname"
	"github.com/spillway/spillway/internal/jsonscan"
	"github.com/spillway/spillway/internal/sink"
)

// Operation is what is done with a document.
type Operation string

// The operations. Data streams take Create alone.
const (
	Create Operation = "create" // refused where the id is there
	Index  Operation = "index"  // replaces what has the id
	Update Operation = "update" // changes fields of what has the id, which must be there
	Upsert Operation = "upsert" // the same, and creates it where it is not
)

// IDs says where ids come from.
type IDs string

// The choices of IDs.
const (
	// IDOrigin makes the id of what identifies the record for good: it is the same
	// whenever the record is sent again, and no other record has it.
	IDOrigin IDs = "origin"
	// IDHash makes it of the record's content.
	IDHash IDs = "hash"
	// IDField takes it from a field, IDKey from the key of a message.
	IDField IDs = "field"
	IDKey   IDs = "key"
	// IDNone leaves it to the destination. What is sent again is there twice.
	IDNone IDs = "none"
)

// Signer signs a request whose body has the given SHA-256, in hexadecimal.
type Signer interface {
	Sign(ctx context.Context, req *http.Request, payloadSHA256 string, at time.Time) error
	// Invalidate makes the next Sign ask for new credentials.
	Invalidate()
}

// Options say where records go, and as what.
type Options struct {
	// Hosts are the nodes; at least one. A path before which the API stands may
	// follow the port.
	Hosts []*url.URL
	// Transport makes the connections; TLS is its business.
	Transport http.RoundTripper
	// At most one of these is set: user and password, an API key, a bearer token, a
	// signer, which is asked for by the first request.
	Username, Password string
	APIKey             string
	Bearer             string
	Signer             func(context.Context) (Signer, error)
	// Header is added to each request.
	Header    http.Header
	UserAgent string
	// Gzip compresses bodies.
	Gzip bool
	// RequestSize is about how many bytes of a body one request has before
	// compression; DefaultRequestSize if 0. A larger record is sent alone.
	RequestSize int
	// Events bounds the records of a request; DefaultEvents if 0.
	Events int
	// InFlight is how many requests may be under way; DefaultInFlight if 0.
	InFlight int

	// Index names the index, data stream or alias, of the tag, the time and fields.
	Index *indexname.Name
	// IndexField is the field that names the index where the record has it; "" is none.
	IndexField string
	// DataStream says that Index is a data stream.
	DataStream bool
	Operation  Operation // Create if empty
	ID         IDs       // IDOrigin if empty
	// IDFieldName is the field of IDField; HashFields are those of IDHash, the whole
	// record if there are none. HashTag and HashTime put these into the hash.
	IDFieldName       string
	HashFields        []string
	HashTag, HashTime bool
	// RoutingField is the field that says to which shard; "" leaves it to the id.
	RoutingField string
	// Pipeline names an ingest pipeline; nil is none.
	Pipeline *indexname.Name
	// RetryOnConflict is how often the destination tries an update again by itself.
	RetryOnConflict int
	// RequireAlias refuses to create an index where an alias is missing.
	RequireAlias bool

	// TextKey is the field of a line of text. TagKey gets the tag; "" adds none.
	TextKey string
	TagKey  string
	// TimeKey gets the event time, unless the record has it; "" adds none.
	TimeKey    string
	TimeFormat TimeFormat // of TimeKey; RFC 3339 with nanoseconds if empty
	// RemoveKeys are left out of documents; they may be used above all the same.
	RemoveKeys []string

	// DropConflicts drops a record whose id another one has; otherwise it is rejected.
	DropConflicts bool
	// RejectRefused rejects what a destination refuses by reason of rights, or because
	// its index is missing, closed or read-only; otherwise it is tried again for ever.
	RejectRefused bool

	// Setup is put before the first record.
	Setup Setup
}

// Defaults of Options.
const (
	DefaultRequestSize = 5 << 20
	DefaultEvents      = 20_000
	DefaultInFlight    = 4
)

// maxBody is the longest line, in bytes; longer ones are cut at intake.
const maxBody = 1 << 20

// Sink delivers to one cluster. It is safe for concurrent use.
type Sink struct {
	o        Options
	client   *elastictransport.Client
	nodes    *nodes
	keys     *jsonscan.Keys
	want     wanted
	attempts sync.Pool
	size     sizeLimit
	setup    setupState
	signer   signerState
	// ordered: records that share an id must keep their order.
	ordered bool
	path    string // of the bulk API, with what the answer is to contain
}

// New returns a sink; it connects to nobody. An error is one of the options.
func New(o Options) (*Sink, error) {
	if len(o.Hosts) == 0 {
		return nil, errors.New("a destination of the bulk API without a host; give at least one URL")
	}
	if o.Index == nil {
		return nil, errors.New("a destination of the bulk API without an index; name one")
	}
	if o.RequestSize < 0 || o.Events < 0 || o.InFlight < 0 {
		return nil, fmt.Errorf("the limits of a destination of the bulk API are %d, %d and %d; expected none below 0",
			o.RequestSize, o.Events, o.InFlight)
	}
	orDefault(&o.RequestSize, DefaultRequestSize)
	orDefault(&o.Events, DefaultEvents)
	orDefault(&o.InFlight, DefaultInFlight)
	orDefault(&o.Operation, Create)
	orDefault(&o.ID, IDOrigin)
	orDefault(&o.TextKey, "message")
	if (o.Operation == Update || o.Operation == Upsert) && o.ID != IDField && o.ID != IDKey {
		return nil, fmt.Errorf("the operation %s with an id of %s; expected an id from a field or a key, since no other is there before", o.Operation, o.ID)
	}
	if o.DataStream && o.Operation != Create {
		return nil, fmt.Errorf("the operation %s on a data stream; expected create, the only one that it takes", o.Operation)
	}
	s := &Sink{o: o, ordered: o.ID == IDField || o.ID == IDKey, path: bulkPath(o.ID)}
	s.setup.turn = make(chan struct{}, 1)
	if err := s.prepare(); err != nil {
		return nil, err
	}
	s.attempts.New = func() any { return s.newAttempt() }
	return s, s.connect()
}

func orDefault[T int | Operation | IDs | string](value *T, usual T) {
	var none T
	if *value == none {
		*value = usual
	}
}

// bulkPath asks for as little of an answer as tells what became of each item.
func bulkPath(id IDs) string {
	const path = "/_bulk?filter_path=errors,error,status,items.*.status,items.*.error"
	if id == IDNone {
		return path
	}
	return path + ",items.*._id"
}

// Limits implements sink.Sink.
func (s *Sink) Limits() sink.Limits {
	return sink.Limits{
		RequestBytes: s.o.RequestSize, PerEvent: s.want.overhead, BodyBytes: min(maxBody, s.o.RequestSize-s.want.overhead),
		Events: s.o.Events, InFlight: s.o.InFlight, Idempotent: s.o.ID != IDNone && !s.o.DataStream,
		Keyed: s.ordered,
	}
}

// Close implements sink.Sink.
func (s *Sink) Close() error {
	if idle, ok := s.o.Transport.(interface{ CloseIdleConnections() }); ok {
		idle.CloseIdleConnections()
	}
	return s.client.Close(context.Background())
}
