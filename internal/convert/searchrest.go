package convert

import (
	"cmp"
	"strings"
)

// document converts what of a record becomes a document, and how requests are made.
func (s *search) document() {
	if s.is("include_tag_key") {
		key, _ := s.get("tag_key")
		s.add("tag-key: "+quoted(cmp.Or(key, "tag")), "include_tag_key", "tag_key")
	}
	if keys, ok := s.get("remove_keys"); ok {
		var all []string
		for key := range strings.SplitSeq(strings.Trim(keys, "[]"), ",") {
			if key = strings.Trim(strings.TrimSpace(key), `"'`); key != "" {
				all = append(all, key)
			}
		}
		s.add("remove-keys: "+list(all), "remove_keys")
	}
	_, stream := s.from.get("data_stream_name")
	if !stream && !s.is("logstash_format") && !s.is("include_timestamp") {
		s.add("time-key: none", "logstash_format", "include_timestamp")
	}
	if level, ok := s.get("compression_level"); ok && level != "no_compression" {
		s.add("compress: gzip", "compression_level")
	}
}

// templates converts templates that are put at the start.
func (s *search) templates() {
	name, named := s.get("template_name")
	file, filed := s.get("template_file")
	if !named || !filed {
		return
	}
	option := "legacy-templates" // as in the plugin, unless it is told otherwise
	if legacy, ok := s.get("use_legacy_template"); ok && (legacy == "false" || legacy == "no") {
		option = "templates"
	}
	s.add(option+":", "template_name", "template_file", "use_legacy_template")
	s.c.sink = append(s.c.sink, line{"", "  - {name: " + quoted(name) + ", file: " + quoted(file) + "}"})
	if s.is("template_overwrite") {
		s.add("overwrite-templates: true", "template_overwrite")
	}
}

// rest lists what has no counterpart, or one that somebody has to write.
func (s *search) rest() {
	for _, p := range s.from.params {
		if !s.used[p.name] {
			s.used[p.name] = true
			s.c.none = append(s.c.none, line{text: secretless(p.name, p.value) + " of fluentd",
				comment: "not carried over; docs/elasticsearch-options.md says what has its place, or why there is none"})
		}
	}
	for _, inner := range s.from.sections {
		why := "not carried over"
		switch inner.name {
		case "buffer":
			why = "what the route says of its buffer (max-buffer-size, mode, max-disk-size) has its place; what cannot be delivered is tried for as long as it takes"
		case "secondary":
			why = "dead letters have its place: nothing is given up because of a number of attempts"
		}
		s.c.none = append(s.c.none, line{text: inner.head() + " of fluentd", comment: why})
	}
}
