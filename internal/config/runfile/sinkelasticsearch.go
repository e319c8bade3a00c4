package runfile

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

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
	Region         string
	CredentialsURL string

	CAFile             string // "" trusts the system's
	CertFile, KeyFile  string
	ServerName         string
	InsecureSkipVerify bool

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
		return nil, unwrapPath(err)
	}
	if !json.Valid(text) {
		return nil, &setting.Problem{Where: d.at, Found: "no JSON in " + d.File, Expected: "one JSON object"}
	}
	return text, nil
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

// maxRequestSize keeps a request below what nodes take by default: 100 MB.
const maxRequestSize = 64 << 20

// searchRows is the table of the sinks elasticsearch and opensearch.
func searchRows() []row[searchDraft] {
	return slices.Concat(searchHostRows(), searchRequestRows(), searchIndexRows(), searchDocumentRows(), searchSetupRows())
}

func searchHostRows() []row[searchDraft] {
	type sink = searchDraft
	return []row[sink]{
		{Option: Option{Name: "hosts", Takes: "URL", List: true,
			Help: "Names the nodes: http://HOST:PORT or https://HOST:PORT, with a path before the API where there is one; the port is 9200 unless given, or 443 with https://; requests go to all in turn, and one that fails is left alone for 1 to 30 s."},
			set: func(_ *parser, s *sink, v value) string { return s.host(v.Text) }},
		{Option: Option{Name: "cloud-id", Help: "Is the id of a deployment in Elastic Cloud, in place of hosts."},
			set: text(func(s *sink) *string { return &s.cloudID })},
		{Option: Option{Name: "username", Help: "Is the user to be."}, set: text(func(s *sink) *string { return &s.Username })},
		{Option: Option{Name: "password", Kind: setting.Secret, Help: "Is that user's password."},
			set: secret(func(s *sink) *Secret { return &s.Password })},
		{Option: Option{Name: "api-key", Kind: setting.Secret, Help: "Is an API key, as id:key in base64, which is what Elasticsearch calls encoded."},
			set: secret(func(s *sink) *Secret { return &s.APIKey })},
		{Option: Option{Name: "bearer-token", Kind: setting.Secret, Help: "Is a token of a service account, or any other that goes into the header Authorization behind Bearer."},
			set: secret(func(s *sink) *Secret { return &s.Bearer })},
		{Option: Option{Name: "aws-service", Kind: setting.Enum, Enum: []string{"es", "aoss"},
			Help: "Signs requests for AWS: es for a domain of OpenSearch Service, aoss for a serverless collection; credentials are found as for a container's logger; see the section `aws`."},
			set: text(func(s *sink) *string { return &s.AWSService })},
		{Option: Option{Name: "region", Help: "Names the region of aws-service; unset means AWS_REGION, else the region of the instance."},
			check: setting.Region, set: text(func(s *sink) *string { return &s.Region })},
		{Option: Option{Name: "credentials-endpoint", Takes: "URL or path", Help: "Names where the credentials of aws-service are; unset means the usual places."},
			check: setting.CredentialsEndpoint, set: func(_ *parser, s *sink, v value) string {
				if s.CredentialsURL = v.Text; strings.HasPrefix(v.Text, "/") {
					s.CredentialsURL = ecsAgent + v.Text
				}
				return ""
			}},
		{Option: Option{Name: "headers", Takes: "NAME: VALUE", List: true, Help: "Adds headers to each request; they are shown in the configuration, so no secret belongs here."},
			set: func(_ *parser, s *sink, v value) string {
				name, text, ok := strings.Cut(v.Text, ":")
				if name = strings.TrimSpace(name); !ok || !goodHeader(name) || strings.EqualFold(name, "Authorization") {
					return "the name of a header, a colon and its value, but for Authorization"
				}
				s.Headers = append(s.Headers, [2]string{name, strings.TrimSpace(text)})
				return ""
			}},
		{Option: Option{Name: "tls-ca-file", Takes: "path", Help: "Names the certificates to trust in place of the system's."},
			set: path(func(s *sink) *string { return &s.CAFile })},
		{Option: Option{Name: "tls-cert-file", Takes: "path", Help: "Names a certificate to show to the nodes."},
			set: path(func(s *sink) *string { return &s.CertFile })},
		{Option: Option{Name: "tls-key-file", Takes: "path", Help: "Names the key of that certificate."},
			set: path(func(s *sink) *string { return &s.KeyFile })},
		{Option: Option{Name: "tls-server-name", Help: "Is the name that the nodes' certificates must have; unset means the host of the URL."},
			set: text(func(s *sink) *string { return &s.ServerName })},
		{Option: Option{Name: "tls-insecure-skip-verify", Kind: setting.Bool, Default: "false", Help: "Takes any certificate, whoever shows it."},
			set: flag(func(s *sink) *bool { return &s.InsecureSkipVerify })},
	}
}

func searchRequestRows() []row[searchDraft] {
	type sink = searchDraft
	return []row[sink]{
		{Option: Option{Name: "compress", Kind: setting.Enum, Default: string(CompressNone), Enum: []string{string(CompressNone), string(CompressGzip)},
			Help: "Compresses requests."},
			set: func(_ *parser, s *sink, v value) string { s.Gzip = v.Text == string(CompressGzip); return "" }},
		{Option: Option{Name: "request-size", Kind: setting.Size, Default: "5m",
			Help: "Says how large a request may become, before compression; a destination that refuses the size gets smaller ones."},
			check: sizeBetween(64<<10, maxRequestSize), set: number(func(s *sink) *int64 { return &s.RequestSize })},
		{Option: Option{Name: "request-records", Kind: setting.Int, Default: "20000", Help: "Limits the records of a request."},
			check: between(1, 1_000_000), set: number(func(s *sink) *int { return &s.RequestRecords })},
		{Option: Option{Name: "in-flight", Kind: setting.Int, Default: "4",
			Help: "Limits requests that wait for their answers; fewer are sent while the destination asks for that; with ids from a field or a key it is one."},
			check: between(1, 64), set: number(func(s *sink) *int { return &s.InFlight })},
		{Option: Option{Name: "flush-interval", Kind: setting.Duration, Default: "1s",
			Help: "Limits how long a record waits for a fuller request; it leaves sooner whenever less is in flight than may be."},
			check: setting.PositiveDuration, set: duration(func(s *sink) *time.Duration { return &s.FlushInterval })},
		{Option: Option{Name: "connect-timeout", Kind: setting.Duration, Default: "10s", Help: "Limits connecting, and the handshake of TLS."},
			check: setting.PositiveDuration, set: duration(func(s *sink) *time.Duration { return &s.ConnectTimeout })},
		{Option: Option{Name: "request-timeout", Kind: setting.Duration, Default: "60s",
			Help: "Limits the wait for an answer; then the request is tried again, and in halves where that goes on."},
			check: setting.PositiveDuration, set: duration(func(s *sink) *time.Duration { return &s.RequestTimeout })},
		{Option: Option{Name: "on-conflict", Kind: setting.Enum, Default: "dead-letter", Enum: []string{"dead-letter", "drop"},
			Help: "Says what becomes of a record whose id, taken from a field or a key, another record has; ids of origin have no conflicts but with what is there already, which is a success; one of a hash is dropped as duplicate."},
			set: text(func(s *sink) *string { return &s.OnConflict })},
		{Option: Option{Name: "on-refused", Kind: setting.Enum, Default: "retry", Enum: []string{"retry", "dead-letter"},
			Help: "Says what becomes of records while rights are missing, or the index is missing, closed or read-only: retry waits for as long as it takes, with health red."},
			set: text(func(s *sink) *string { return &s.OnRefused })},
	}
}

func searchIndexRows() []row[searchDraft] {
	type sink = searchDraft
	return []row[sink]{
		{Option: Option{Name: "index", Takes: "template", Required: true,
			Help: "Names the index, alias or data stream: " + indexname.Forms + ", which are those of the event time; what of a tag or a field may not stand in a name becomes small letters and hyphens; a field that is missing is none."},
			set: func(_ *parser, s *sink, v value) string { s.index = v; return "" }},
		{Option: Option{Name: "index-time-zone", Kind: setting.Enum, Default: "utc", Enum: []string{"utc", "local"}, Help: "Is the zone of dates in index and pipeline."},
			set: func(_ *parser, s *sink, v value) string {
				if s.zone = time.UTC; v.Text == "local" {
					s.zone = time.Local
				}
				return ""
			}},
		{Option: Option{Name: "index-field", Help: "Names a field that names the index of its record, in place of index where a record has it."},
			set: text(func(s *sink) *string { return &s.IndexField })},
		{Option: Option{Name: "data-stream", Kind: setting.Bool, Default: "false",
			Help: "Says that index is a data stream: only operation create is for one, and across a rollover what is sent again counts as possibly twice."},
			set: flag(func(s *sink) *bool { return &s.DataStream })},
		{Option: Option{Name: "operation", Kind: setting.Enum, Default: "create", Enum: []string{"create", "index", "update", "upsert"},
			Help: "Says what is done with a document: create takes each id once, index replaces, update changes what is there, upsert creates it where it is not; the latter two need ids from a field or a key."},
			set: text(func(s *sink) *string { return &s.Operation })},
		{Option: Option{Name: "id", Kind: setting.Enum, Default: "origin", Enum: []string{"origin", "hash", "field", "key", "none"},
			Help: "Says where ids come from: origin from what identifies a record for good, so that what is sent again changes nothing; hash from its content; field from id-field; key from the key of a Kafka message, whose null values then delete; none leaves it to the destination, where what is sent again is there twice."},
			set: text(func(s *sink) *string { return &s.ID })},
		{Option: Option{Name: "id-field", Help: "Names the field of id: field; with dots between for one inside of another."},
			set: text(func(s *sink) *string { return &s.IDField })},
		{Option: Option{Name: "hash-fields", Takes: "field", List: true, Help: "Names the fields of id: hash; unset takes the whole record."},
			set: more(func(s *sink) *[]string { return &s.HashFields })},
		{Option: Option{Name: "hash-tag", Kind: setting.Bool, Default: "false", Help: "Puts the tag into the hash."},
			set: flag(func(s *sink) *bool { return &s.HashTag })},
		{Option: Option{Name: "hash-time", Kind: setting.Bool, Default: "false", Help: "Puts the event time into the hash."},
			set: flag(func(s *sink) *bool { return &s.HashTime })},
		{Option: Option{Name: "routing-field", Help: "Names the field that says to which shard a record goes; unset leaves it to the id."},
			set: text(func(s *sink) *string { return &s.RoutingField })},
		{Option: Option{Name: "pipeline", Takes: "template", Help: "Names an ingest pipeline, with the same placeholders as index."},
			set: func(_ *parser, s *sink, v value) string { s.pipeline = v; return "" }},
		{Option: Option{Name: "require-alias", Kind: setting.Bool, Default: "false", Help: "Lets the destination refuse a name that is no alias, in place of creating an index."},
			set: flag(func(s *sink) *bool { return &s.RequireAlias })},
		{Option: Option{Name: "retry-on-conflict", Kind: setting.Int, Default: "3", Help: "Says how often the destination itself tries an update again that another one came in between."},
			check: between(0, 100), set: number(func(s *sink) *int { return &s.RetryOnConflict })},
	}
}

func searchDocumentRows() []row[searchDraft] {
	type sink = searchDraft
	return []row[sink]{
		{Option: Option{Name: "text-key", Default: "message", Help: "Is the key under which a line of text stands in a document."},
			set: text(func(s *sink) *string { return &s.TextKey })},
		{Option: Option{Name: "tag-key", Default: "none", Help: "Is the key that gets the tag, in place of what the record has there; none adds none."},
			set: textOrNone(func(s *sink) *string { return &s.TagKey })},
		{Option: Option{Name: "time-key", Default: "@timestamp", Help: "Is the key that gets the event time unless the record has it; none adds none."},
			set: textOrNone(func(s *sink) *string { return &s.TimeKey })},
		{Option: Option{Name: "time-key-format", Kind: setting.Enum, Default: "rfc3339", Enum: []string{"rfc3339", "rfc3339-ms", "epoch-millis", "epoch-second"},
			Help: "Is the form of that time: with nanoseconds, with milliseconds, or a number."},
			set: text(func(s *sink) *string { return &s.TimeFormat })},
		{Option: Option{Name: "remove-keys", Takes: "key", List: true, Help: "Names keys that are left out of documents; they may name the index, the id and the like all the same."},
			set: more(func(s *sink) *[]string { return &s.RemoveKeys })},
	}
}

func searchSetupRows() []row[searchDraft] {
	type sink = searchDraft
	documents := func(name, help string, field func(*sink) *[]SearchDocument) row[sink] {
		return row[sink]{
			Option: Option{Name: name, Takes: "map", List: true, Fields: options(searchDocumentFields()), Help: help},
			read: func(p *parser, s *sink, n node) {
				d, ok := readMap(p, n, "a template or a policy", searchDocumentFields())
				if ok && (d.Body == "") == (d.File == "") {
					p.problem(p.where(n), "a template or a policy with both or none of body and file", "exactly one", "")
				}
				d.at = p.where(n)
				*field(s) = append(*field(s), d)
			},
		}
	}
	return []row[sink]{
		documents("policies", "Puts policies of index lifecycles before the first record, unless they are there.", func(s *sink) *[]SearchDocument { return &s.Policies }),
		{Option: Option{Name: "policy-api", Kind: setting.Enum, Default: "ilm", Enum: []string{"ilm", "ism"}, Help: "Says whose dialect they are in: ilm is that of Elasticsearch, ism that of OpenSearch."},
			set: text(func(s *sink) *string { return &s.PolicyAPI })},
		documents("component-templates", "Puts component templates likewise.", func(s *sink) *[]SearchDocument { return &s.Components }),
		documents("templates", "Puts index templates likewise.", func(s *sink) *[]SearchDocument { return &s.Templates }),
		documents("legacy-templates", "Puts templates of the older kind likewise.", func(s *sink) *[]SearchDocument { return &s.Legacy }),
		{Option: Option{Name: "rollover-alias", Help: "Makes the first index of an alias that rolls over, NAME-000001, where the alias is missing."},
			set: text(func(s *sink) *string { return &s.RolloverAlias })},
		{Option: Option{Name: "overwrite-templates", Kind: setting.Bool, Default: "false", Help: "Puts templates and policies that are there already once more, as they are here."},
			set: flag(func(s *sink) *bool { return &s.Overwrite })},
	}
}

func searchDocumentFields() []row[SearchDocument] {
	type document = SearchDocument
	return []row[document]{
		{Option: Option{Name: "name", Required: true, Help: "Is its name."}, set: text(func(d *document) *string { return &d.Name })},
		{Option: Option{Name: "body", Takes: "JSON", Help: "Is the JSON itself."}, set: func(_ *parser, d *document, v value) string {
			if d.Body = v.Text; !json.Valid([]byte(v.Text)) {
				return "one JSON object as text"
			}
			return ""
		}},
		{Option: Option{Name: "file", Takes: "path", Help: "Names the file that has it."}, set: path(func(d *document) *string { return &d.File })},
	}
}

// more makes a row's set for an option that is a list of words.
func more[T any](field func(*T) *[]string) func(*parser, *T, value) string {
	return func(_ *parser, t *T, v value) string {
		if slices.Contains(*field(t), v.Text) {
			return "each name once"
		}
		*field(t) = append(*field(t), v.Text)
		return ""
	}
}

func goodHeader(name string) bool {
	for _, c := range name {
		if c <= ' ' || c > '~' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, c) {
			return false
		}
	}
	return name != ""
}

// host takes one of the nodes.
func (s *searchDraft) host(text string) (expected string) {
	const form = "http://HOST:PORT or https://HOST:PORT, such as http://127.0.0.1:9200, without user and password"
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || !goodHost(u.Hostname()) || u.Hostname() == "" || u.User != nil ||
		u.RawQuery != "" || u.Fragment != "" {
		return form
	}
	if u.Port() == "" {
		port := "9200"
		if u.Scheme == "https" {
			port = "443"
		}
		u.Host += ":" + port
	} else if n, err := strconv.ParseUint(u.Port(), 10, 16); err != nil || n == 0 {
		return form
	}
	u.Path = strings.TrimRight(u.Path, "/")
	if slices.ContainsFunc(s.Hosts, func(other *url.URL) bool { return other.String() == u.String() }) {
		return "each host once"
	}
	s.Hosts = append(s.Hosts, u)
	return ""
}

// cloud is the address of a deployment in Elastic Cloud: what stands behind the
// colon of its id is DOMAIN$DEPLOYMENT in base64.
func cloud(id string) (*url.URL, bool) {
	_, encoded, ok := strings.Cut(id, ":")
	text, err := base64.StdEncoding.DecodeString(encoded)
	if !ok || err != nil {
		return nil, false
	}
	domain, rest, ok := strings.Cut(string(text), "$")
	deployment, _, _ := strings.Cut(rest, "$")
	domain, port, found := strings.Cut(domain, ":")
	if !found {
		port = "443"
	}
	if _, err := strconv.ParseUint(port, 10, 16); !ok || err != nil || deployment == "" || !goodHost(deployment+"."+domain) {
		return nil, false
	}
	return &url.URL{Scheme: "https", Host: deployment + "." + domain + ":" + port}, true
}

// searchSink checks what the options say together.
func (p *parser) searchSink(s *searchDraft, at place, have given) {
	switch {
	case have.has("hosts") && have.has("cloud-id"):
		p.problem(have["cloud-id"], "cloud-id beside hosts", "one of the two", "")
	case have.has("cloud-id"):
		u, ok := cloud(s.cloudID)
		if !ok {
			p.problem(have["cloud-id"], "an id without the address of a deployment", "the id as Elastic Cloud shows it, NAME:LETTERS", "")
		}
		s.Hosts = []*url.URL{u}
	case !have.has("hosts"):
		p.problem(at.where, "no hosts", at.what+" with the option hosts, or cloud-id", "")
	}
	p.searchAuth(s, have)
	p.searchTLS(s, have)
	p.searchNames(s, have)
	p.searchIDs(s, have)
}

func (p *parser) searchAuth(s *searchDraft, have given) {
	var ways []string
	for _, name := range []string{"username", "api-key", "bearer-token", "aws-service"} {
		if have.has(name) {
			ways = append(ways, name)
		}
	}
	if len(ways) > 1 {
		p.problem(have[ways[1]], ways[1]+" beside "+ways[0], "one way to say who we are", "remove one of the two")
	}
	if have.has("username") != have.has("password") {
		_, where, _ := have.any("username", "password")
		p.problem(where, "one of username and password", "both or none", "")
	}
	for _, name := range []string{"region", "credentials-endpoint"} {
		if have.has(name) && s.AWSService == "" {
			p.problem(have[name], name+" without aws-service", "aws-service, to which it belongs", "remove "+name)
		}
	}
	if s.AWSService != "" && s.Region == "" {
		if region := p.getenv("AWS_REGION"); region != "" && setting.Region(setting.Value{Text: region}) == "" {
			s.Region = region
		}
	}
	if len(ways) > 0 && ways[0] != "aws-service" {
		for _, u := range s.Hosts {
			if u != nil && u.Scheme == "http" && u.Hostname() != "127.0.0.1" && u.Hostname() != "localhost" && u.Hostname() != "::1" {
				p.warnings.add(have[ways[0]], ways[0]+" goes to "+u.Host+" without TLS: whoever is on the way can read it")
			}
		}
	}
}

func (p *parser) searchTLS(s *searchDraft, have given) {
	overTLS := slices.ContainsFunc(s.Hosts, func(u *url.URL) bool { return u != nil && u.Scheme == "https" })
	names := []string{"tls-ca-file", "tls-cert-file", "tls-key-file", "tls-server-name", "tls-insecure-skip-verify"}
	if name, where, found := have.any(names...); found && !overTLS && have.has("hosts") {
		p.problem(where, name+" without a host that begins with https://", "one to which it belongs", "write https://HOST:PORT, or remove "+name)
	}
	if have.has("tls-cert-file") != have.has("tls-key-file") {
		_, where, _ := have.any("tls-cert-file", "tls-key-file")
		p.problem(where, "one of tls-cert-file and tls-key-file", "both or none", "")
	}
	if s.InsecureSkipVerify {
		p.warnings.add(have["tls-insecure-skip-verify"], "tls-insecure-skip-verify takes any certificate: whoever answers gets the records")
	}
}

// searchNames reads index and pipeline, once their zone is known.
func (p *parser) searchNames(s *searchDraft, have given) {
	read := func(name string, v value) *indexname.Name {
		if v.Text == "" {
			return nil
		}
		n, err := indexname.Parse(v.Text, s.zone)
		if err != nil {
			found, expected, _ := strings.Cut(strings.TrimPrefix(err.Error(), "found "), "; expected ")
			p.problem(have[name]+": "+name, found, expected, "")
		}
		return n
	}
	s.Index = read("index", s.index)
	s.Pipeline = read("pipeline", s.pipeline)
	if s.Index != nil {
		if wrong := s.Index.Wrong(); wrong != "" {
			found, expected, _ := strings.Cut(wrong, "; expected ")
			p.problem(have["index"]+": index", found, expected, "")
		}
	}
}

// searchIDs checks what goes with which ids.
func (p *parser) searchIDs(s *searchDraft, have given) {
	if have.has("id-field") && !have.has("id") {
		s.ID = "field"
	}
	mutable := s.ID == "field" || s.ID == "key"
	switch {
	case s.ID == "field" && s.IDField == "":
		p.problem(have["id"], "id: field without id-field", "id-field with the name of a field", "")
	case s.ID != "field" && s.IDField != "":
		p.problem(have["id-field"], "id-field beside id: "+s.ID, "id: field", "remove one of the two")
	case (s.Operation == "update" || s.Operation == "upsert") && !mutable:
		p.problem(have["operation"], "operation: "+s.Operation+" with id: "+s.ID, "id: field or id: key, since no other document is there before", "")
	case s.DataStream && s.Operation != "create":
		p.problem(have["operation"], "operation: "+s.Operation+" with data-stream", "operation: create, the only one for a data stream", "")
	}
	for _, name := range []string{"hash-fields", "hash-tag", "hash-time"} {
		if have.has(name) && s.ID != "hash" {
			p.problem(have[name], name+" beside id: "+s.ID, "id: hash, to which it belongs", "remove "+name)
		}
	}
	if have.has("on-conflict") && !mutable {
		p.problem(have["on-conflict"], "on-conflict beside id: "+s.ID, "id: field or id: key, to which it belongs", "remove on-conflict")
	}
	if mutable && s.InFlight > 1 {
		if have.has("in-flight") {
			p.warnings.add(have["in-flight"], "in-flight is 1 with id: "+s.ID+", so that records of one id keep their order")
		}
		s.InFlight = 1
	}
	if s.DataStream && s.TimeKey != "@timestamp" && have.has("time-key") {
		p.warnings.add(have["time-key"], "a data stream takes only records with @timestamp")
	}
	if s.ID == "none" {
		p.warnings.add(have["id"], "id: none lets the destination give ids: what is sent again is there twice")
	}
}

// dated warns of records whose time is that of receiving them, where the time is in
// the name of their index: what is read again goes to another one, and is there twice.
func (p *parser) dated() {
	now := slices.ContainsFunc(p.out.Sources, func(s Source) bool { return s.Kafka != nil && s.Kafka.Time == TimeNow })
	for i := range p.out.Sinks {
		s := &p.out.Sinks[i]
		if now && s.Search != nil && s.Search.Index != nil && s.Search.Index.Dated() {
			p.warnings.add(s.Where, "the index of the sink "+s.Name+" has the time in it, and a source says time: now: a record that is read again on another day is there twice")
		}
	}
}

// searchKind is an entry of the list of sinks.
func searchKind(name, help string, shown []Option) kind[Sink] {
	return kind[Sink]{
		Type{Name: name, Options: shown, Help: help},
		func(p *parser, s *Sink, at place, entries []yamlfile.Entry) {
			var draft searchDraft
			p.searchSink(&draft, at, read(p, &draft, at, searchRows(), entries))
			s.Search = &draft.SearchSink
		},
	}
}
