package runfile

import (
	"net/url"
	"slices"
	"strings"

	"github.com/spillway/spillway/internal/config/setting"
	"github.com/spillway/spillway/internal/indexname"
)

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
	p.bothOrNone(have, "username", "password")
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
	if name, where, found := have.any(clientTLSNames...); found && !overTLS && have.has("hosts") {
		p.problem(where, name+" without a host that begins with https://", "one to which it belongs", "write https://HOST:PORT, or remove "+name)
	}
	p.clientTLS(&s.ClientTLS, have, "gets the records")
}

// searchNames reads index and pipeline, once their zone is known.
func (p *parser) searchNames(s *searchDraft, have given) {
	read := func(v value) *indexname.Name {
		if v.Text == "" {
			return nil
		}
		n, err := indexname.Parse(v.Text, s.zone)
		if err != nil {
			found, expected, _ := strings.Cut(strings.TrimPrefix(err.Error(), "found "), "; expected ")
			p.problem(p.where(v.node), setting.Quote(v.Text), expected+" in place of "+found, "")
		}
		return n
	}
	s.Index = read(s.index)
	s.Pipeline = read(s.pipeline)
	if s.Index != nil {
		if s.RolloverAlias != "" && s.Index.String() != s.RolloverAlias {
			p.warnings.add(have["rollover-alias"], "rollover-alias "+setting.Quote(s.RolloverAlias)+" is another name than index "+setting.Quote(s.Index.String())+": nothing is written to the alias")
		}
		if wrong := s.Index.Wrong(); wrong != "" {
			found, expected, _ := strings.Cut(wrong, "; expected ")
			p.problem(p.where(s.index.node), found, expected, "")
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
	if s.DataStream && s.TimeKey != "@timestamp" && have.has("time-key") {
		p.warnings.add(have["time-key"], "a data stream takes only records with @timestamp")
	}
	if s.ID == "none" {
		p.warnings.add(have["id"], "id: none lets the destination give ids: what is sent again is there twice")
	}
}
