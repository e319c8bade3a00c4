package runfile

import (
	"slices"
	"strings"
	"time"

	"github.com/spillway/spillway/internal/config/setting"
	"github.com/spillway/spillway/internal/indexname"
)

// maxRequestSize keeps a request below what nodes take by default: 100 MB.
const maxRequestSize = 64 << 20

// searchRows is the table of the sinks elasticsearch and opensearch.
func searchRows() []row[searchDraft] {
	tls := clientTLSRows("the nodes", func(s *searchDraft) *ClientTLS { return &s.ClientTLS })
	return slices.Concat(searchHostRows(), tls, searchRequestRows(), searchIndexRows(), searchDocumentRows(), searchSetupRows())
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
			Help: "Limits requests that wait for their answers; fewer are sent while the destination asks for that; with ids from a field or a key, one that shares an id with another waits for it."},
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
			set: appendTo(func(s *sink) *[]string { return &s.HashFields })},
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
			set: appendTo(func(s *sink) *[]string { return &s.RemoveKeys })},
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
			if d.Body = v.Text; !isObject([]byte(v.Text)) {
				return "one JSON object as text"
			}
			return ""
		}},
		{Option: Option{Name: "file", Takes: "path", Help: "Names the file that has it."}, set: path(func(d *document) *string { return &d.File })},
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
