package runfile

import (
	"bytes"
	"encoding/json"
	"net/url"
	"os"
	"time"

	"github.com/spillway/spillway/internal/config"
	"github.com/spillway/spillway/internal/config/setting"
	"github.com/spillway/spillway/internal/config/yamlfile"
	"github.com/spillway/spillway/internal/indexname"
)

// SearchSink sends to Elasticsearch or OpenSearch.
type SearchSink struct {
	Hosts   []*url.URL // without users
	Headers [][2]string

	Username string
	Password Secret
	APIKey   Secret
	Bearer   Secret
	// AWSService is the name in signatures, es or aoss; "" signs nothing.
	AWSService     string
	AWS            config.AWS // for AWSService alone
	Region         string
	CredentialsURL string

	ClientTLS

	Gzip           bool
	RequestSize    int64
	RequestRecords int
	InFlight       int
	FlushInterval  time.Duration
	ConnectTimeout time.Duration
	RequestTimeout time.Duration

	Index        *indexname.Name
	IndexField   string
	DataStream   bool
	Operation    string
	ID           string // origin, hash, field, key or none
	IDField      string
	HashFields   []string
	HashTag      bool
	HashTime     bool
	RoutingField string
	Pipeline     *indexname.Name
	RequireAlias bool
	// RetryOnConflict is how often the destination tries an update again by itself.
	RetryOnConflict int

	TextKey    string
	TagKey     string // "" adds none
	TimeKey    string // "" adds none
	TimeFormat string
	RemoveKeys []string

	OnConflict string // dead-letter or drop
	OnRefused  string // retry or dead-letter

	Policies, Components, Templates, Legacy []SearchDocument
	PolicyAPI                               string // ilm or ism
	RolloverAlias                           string
	Overwrite                               bool
}

// SearchDocument is a template or a policy: its name, and the JSON or the file that
// has it.
type SearchDocument struct {
	Name string
	Body string
	File string
	at   string
}

// Read returns the document's JSON.
func (d *SearchDocument) Read() ([]byte, error) {
	if d.File == "" {
		return []byte(d.Body), nil
	}
	text, err := os.ReadFile(d.File)
	if err != nil {
		return nil, &setting.Problem{Where: d.at, Found: "no file " + d.File + " (" + unwrapPath(err).Error() + ")", Expected: "one that can be read, with one JSON object in it"}
	}
	if !isObject(text) {
		return nil, &setting.Problem{Where: d.at, Found: "no JSON object in " + d.File, Expected: "one JSON object"}
	}
	return text, nil
}

// isObject reports whether a text is one JSON object.
func isObject(text []byte) bool {
	return json.Valid(text) && bytes.TrimLeft(text, " \t\r\n")[0] == '{'
}

// documents are all of them.
func (s *SearchSink) documents() [][]SearchDocument {
	return [][]SearchDocument{s.Policies, s.Components, s.Templates, s.Legacy}
}

// searchDraft is a sink while it is read.
type searchDraft struct {
	SearchSink
	cloudID  string
	zone     *time.Location
	index    value
	pipeline value
}

// searchKind is an entry of the list of sinks.
func searchKind(name, help string, shown []Option) kind[Sink] {
	return kind[Sink]{
		Type{Name: name, Options: shown, Help: help},
		func(p *parser, s *Sink, at place, entries []yamlfile.Entry) {
			var draft searchDraft
			at.other = ofSearch
			p.searchSink(&draft, at, read(p, &draft, at, searchRows(), entries))
			s.Search = &draft.SearchSink
		},
	}
}
