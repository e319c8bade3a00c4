package convert

import (
	"cmp"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// search converts the output of fluentd's plugin for Elasticsearch or OpenSearch.
type search struct {
	c    *kafkaFluentd
	from *section
	used map[string]bool
}

// fluentdSearch finds that output in fluentd's configuration and converts it. It reports whether there is one.
func (c *kafkaFluentd) fluentdSearch() bool {
	if c.fluentd == nil {
		return false
	}
	var found []*section
	c.fluentd.walk(func(s *section) {
		switch {
		case (s.name == "match" || s.name == "store") && slices.Contains(searchTypes, s.typed()):
			found = append(found, s)
		case s.name == "filter":
			c.warn("%s:%d: <filter %s> of type %s is not carried over: records are passed on as they are", c.o.Fluentd, s.line, oneLine(s.argument), oneLine(s.typed()))
		}
	})
	for _, p := range c.fluentd.params {
		if p.name == "@include" || p.name == "include" {
			c.warn("%s: @include %s is not followed; what is in it may concern the sink search", c.o.Fluentd, oneLine(p.value))
		}
	}
	if len(found) == 0 {
		c.fluentdError = fmt.Errorf("%s: found no <match> and no <store> of type %s; expected one that becomes the sink", c.o.Fluentd, strings.Join(searchTypes, ", "))
		return true
	}
	c.beside(found[0])
	for _, other := range found[1:] {
		c.warn("%s:%d: a further output of type %s is left out; the sink search is the one at line %d", c.o.Fluentd, other.line, other.typed(), found[0].line)
	}
	s := &search{c: c, from: found[0], used: map[string]bool{"@type": true, "type": true, "@id": true, "@log_level": true, "@label": true}}
	s.convert()
	return true
}

// beside warns of what else the same records went to.
func (c *kafkaFluentd) beside(output *section) {
	c.fluentd.walk(func(s *section) {
		if !slices.Contains(s.sections, output) {
			return
		}
		for _, other := range s.sections {
			if other.name == "store" && other != output && !slices.Contains(searchTypes, other.typed()) {
				c.warn("%s:%d: a further output of the same records, of type %s, is left out; a route may have several sinks", c.o.Fluentd, other.line, oneLine(other.typed()))
			}
		}
	})
}

// get returns a parameter of the output, and notes that it was looked at.
func (s *search) get(name string) (string, bool) {
	s.used[name] = true
	return s.from.get(name)
}

func (s *search) is(name string) bool {
	value, _ := s.get(name)
	return value == "true" || value == "yes"
}

func (s *search) add(text string, from ...string) {
	var comments []string
	for _, name := range from {
		if value, ok := s.get(name); ok {
			comments = append(comments, secretless(name, value))
		} else {
			comments = append(comments, name+" was not set"+usual[name])
		}
	}
	s.c.sink = append(s.c.sink, line{strings.Join(comments, ", "), text})
}

// usual says what holds where a parameter is not set, of those that a comment names.
var usual = map[string]string{
	"host": ", and localhost by default", "port": ", and 9200 by default", "scheme": ", and http by default", "index_name": ", and fluentd by default",
	"logstash_prefix": ", and logstash by default", "logstash_dateformat": ", and %Y.%m.%d by default", "write_operation": ", and index by default",
	"tag_key": ", and tag by default", "use_legacy_template": ", and true by default",
}

// secretless shows a parameter, but not what is secret.
func secretless(name, value string) string {
	switch name {
	case "password", "api_key", "cloud_auth", "client_key_pass", "custom_headers":
		return name + "=(not shown)"
	case "hosts", "host":
		value = userOfHost.ReplaceAllString(value, "")
	}
	return shown(oneLine(name), value)
}

var (
	userOfURL = regexp.MustCompile(`://[^/@,\s]*@`)
	// userOfHost is that of each of several, with or without what makes it a URL.
	userOfHost = regexp.MustCompile(`[^/@,\s]*@`)
)

func (s *search) convert() {
	s.c.sink = append(s.c.sink, line{fmt.Sprintf("from %s at %s:%d", s.from.head(), oneLine(s.c.o.Fluentd), s.from.line), "type: elasticsearch"})
	s.hosts()
	s.who()
	s.index()
	s.ids()
	s.document()
	s.templates()
	s.rest()
}

// hosts converts where the nodes are.
func (s *search) hosts() {
	scheme, _ := s.get("scheme")
	port, _ := s.get("port")
	path, _ := s.get("path")
	scheme, port = cmp.Or(scheme, "http"), cmp.Or(port, "9200")
	text, several := s.get("hosts")
	one, single := s.get("host")
	from := []string{"hosts"}
	if !several {
		text, from = cmp.Or(one, "localhost"), []string{"host", "port", "scheme"}
	}
	hosts := s.c.o.Hosts
	if len(hosts) == 0 {
		for host := range strings.SplitSeq(text, ",") {
			hosts = append(hosts, s.host(strings.TrimSpace(host), scheme, port, path))
		}
	} else {
		from = nil
	}
	if id, ok := s.get("cloud_id"); ok && len(s.c.o.Hosts) == 0 && !several && !single {
		s.add("cloud-id: "+quoted(id), "cloud_id")
	} else {
		s.add("hosts: "+list(hosts), from...)
		if from == nil {
			s.c.sink[len(s.c.sink)-1].comment = "from --hosts"
		}
	}
	s.tls(slices.ContainsFunc(hosts, func(h string) bool { return strings.HasPrefix(h, "https://") }))
}

// host makes a URL of what stands in host or hosts.
func (s *search) host(text, scheme, port, path string) string {
	if strings.Contains(text, "#{") {
		s.c.warn("host: %s is Ruby, which is not run: write the value; \"spillway check\" refuses the file until then", oneLine(text))
		return text
	}
	whole := strings.Contains(text, "://")
	if !whole {
		text = scheme + "://" + text
	}
	if userOfURL.MatchString(text) {
		text = userOfURL.ReplaceAllString(text, "://")
		s.c.warn("hosts: a user or a password stands in a URL of %s; write username and password of the sink instead", s.c.o.Fluentd)
	}
	if u, err := url.Parse(text); err == nil && !whole {
		if u.Port() == "" {
			u.Host += ":" + port
		}
		u.Path = "/" + strings.Trim(path, "/")
		text = u.String()
	}
	return strings.TrimSuffix(text, "/")
}

func (s *search) tls(over bool) {
	for _, one := range []struct{ theirs, ours string }{{"ca_file", "tls-ca-file"}, {"client_cert", "tls-cert-file"}, {"client_key", "tls-key-file"}} {
		if value, ok := s.get(one.theirs); ok && over {
			s.add(one.ours+": "+quoted(value), one.theirs)
		}
	}
	if value, ok := s.get("ssl_verify"); ok && value == "false" && over {
		s.add("tls-insecure-skip-verify: true", "ssl_verify")
	}
	if _, ok := s.get("client_key_pass"); ok {
		s.c.warn("client_key_pass: keys with a password are not read; write the key without one, and restrict the rights of its file")
	}
}

// environment is how fluentd's files take a secret from the environment.
var environment = regexp.MustCompile(`^#\{ENV\[['"]([A-Za-z_][A-Za-z0-9_]*)['"]\]\}$`)

// secret is where a secret is from now on: the variable that the old file names, or one to be set.
func (s *search) secret(value, usual string) string {
	if m := environment.FindStringSubmatch(value); m != nil {
		usual = m[1]
	}
	s.c.warn("a secret is not carried over: set %s in the environment of spillway run, or name a file", usual)
	return "${" + usual + "}"
}

// who converts how the nodes are told who asks.
func (s *search) who() {
	if user, ok := s.get("user"); ok {
		s.add("username: "+quoted(user), "user")
	}
	if password, ok := s.get("password"); ok {
		s.add("password: "+s.secret(password, "ES_PASSWORD"), "password")
	}
	if auth, ok := s.get("cloud_auth"); ok {
		user, password, _ := strings.Cut(auth, ":")
		s.add("username: "+quoted(user), "cloud_auth")
		s.add("password: "+s.secret(password, "ES_PASSWORD"), "cloud_auth")
	}
	if key, ok := s.get("api_key"); ok {
		s.add("api-key: "+s.secret(key, "ES_API_KEY"), "api_key")
	}
}

// placeholders are those of fluentd's buffers in a name.
var placeholders = regexp.MustCompile(`\$\{([^}]*)\}`)

// name writes a name with fluentd's placeholders in it with ours.
func name(text string) string {
	return placeholders.ReplaceAllStringFunc(text, func(one string) string {
		inner := one[2 : len(one)-1]
		if inner == "tag" || strings.HasPrefix(inner, "tag[") {
			return "{" + inner + "}"
		}
		inner = strings.TrimPrefix(strings.TrimPrefix(inner, "$"), ".")
		inner = strings.NewReplacer("']['", ".", "['", "", "']", "").Replace(inner)
		return "{record[" + inner + "]}"
	})
}

// index converts which index a document goes to.
func (s *search) index() {
	utc, set := s.get("utc_index")
	defer func() {
		if set && (utc == "false" || utc == "no") {
			s.add("index-time-zone: local", "utc_index")
		}
	}()
	stream, isStream := s.get("data_stream_name")
	index, named := s.get("index_name")
	prefix, _ := s.get("logstash_prefix")
	separator, hasSeparator := s.get("logstash_prefix_separator")
	format, _ := s.get("logstash_dateformat")
	if !hasSeparator {
		separator = "-"
	}
	switch logstash := s.is("logstash_format"); {
	case s.c.o.Index != "":
		s.c.sink = append(s.c.sink, line{"from --index", "index: " + quoted(s.c.o.Index)})
	case isStream:
		s.add("index: "+quoted(name(stream)), "data_stream_name")
	case logstash:
		s.add("index: "+quoted(name(cmp.Or(prefix, "logstash"))+separator+cmp.Or(format, "%Y.%m.%d")), "logstash_format", "logstash_prefix", "logstash_dateformat")
	case named:
		s.add("index: "+quoted(name(index)), "index_name")
	default:
		s.add("index: fluentd", "index_name")
	}
	if isStream || strings.HasSuffix(s.from.typed(), "_data_stream") {
		s.c.sink = append(s.c.sink, line{"type " + s.from.typed(), "data-stream: true"})
	}
	if key, ok := s.get("target_index_key"); ok {
		s.add("index-field: "+quoted(key), "target_index_key")
	}
	if pipeline, ok := s.get("pipeline"); ok {
		s.add("pipeline: "+quoted(name(pipeline)), "pipeline")
	}
	if key, ok := s.get("time_key"); ok && s.is("logstash_format") {
		s.c.warn("time_key=%s gave the date of the index; here that is the time of the event: set time: field, time-key and time-format in the source", oneLine(key))
	}
}

// ids converts what a document's id is, and what is done with one that is there.
func (s *search) ids() {
	operation, _ := s.get("write_operation")
	field, ok := s.get("id_key")
	if !ok {
		s.c.sink = append(s.c.sink, line{"made of topic, partition and offset, so that what is read again changes nothing", "id: origin"})
		if operation == "update" || operation == "upsert" {
			s.add("operation: "+operation, "write_operation")
		}
	} else {
		s.add("id: field", "id_key")
		s.c.sink = append(s.c.sink, line{"", "id-field: " + quoted(strings.TrimPrefix(field, "$."))})
		// fluentd's plugin replaces a document unless it is told otherwise.
		s.add("operation: "+quoted(cmp.Or(operation, "index")), "write_operation")
	}
	if routing, ok := s.get("routing_key"); ok {
		s.add("routing-field: "+quoted(strings.TrimPrefix(routing, "$.")), "routing_key")
	}
}
