package runfile

import (
	"slices"

	"github.com/spillway/spillway/internal/config/yamlfile"
)

// sinkKinds is THE list of types of sinks.
func sinkKinds() []kind[Sink] {
	return []kind[Sink]{
		{
			Type{Name: "forward", Options: options(forwardSinkRows()),
				Help: "Sends the forward protocol to fluentd, Fluent Bit or another Spillway, with acknowledgements. What comes in by the forward protocol leaves as it came."},
			func(p *parser, s *Sink, at place, entries []yamlfile.Entry) {
				var draft forwardDraft
				p.forwardSink(&draft, at, read(p, &draft, at, forwardSinkRows(), entries))
				s.Forward = &draft.ForwardSink
			},
		},
		{
			Type{Name: "file", Options: options(fileSinkRows()),
				Help: "Writes files, one record a line. A record is delivered when its file is synced, one sync for many. Tags in a path are percent-encoded, so that none leads elsewhere; at most 256 files are open at once."},
			func(p *parser, s *Sink, at place, entries []yamlfile.Entry) {
				s.File = &FileSink{}
				p.fileSink(s.File, read(p, s.File, at, fileSinkRows(), entries))
			},
		},
		{
			Type{Name: "cloudwatch", Options: options(cloudWatchRows()),
				Help: "Sends to CloudWatch Logs. The options are those of the log driver awslogs without the beginning of their names; region, endpoint and the like that are unset here are taken from the section `defaults`. Credentials are found as for a container's logger; see the section `aws`."},
			func(p *parser, s *Sink, at place, entries []yamlfile.Entry) {
				s.CloudWatch = &CloudWatchSink{}
				p.cloudWatchSink(s.CloudWatch, read(p, s.CloudWatch, at, cloudWatchRows(), entries))
			},
		},
		searchKind("elasticsearch", "Sends to Elasticsearch 7 to 9 or OpenSearch 1 to 3 by the bulk API; nobody is asked which. What each record is answered decides what becomes of it.", options(searchRows())),
		searchKind("opensearch", "Is another name for the type elasticsearch, with the same options.", nil),
		{
			Type{Name: "kafka", Options: options(kafkaSinkRows()),
				Help: "Writes messages to topics of Kafka with an idempotent producer, with the keys and headers that they came with. A message is delivered when the brokers say so; each is answered for by itself."},
			func(p *parser, s *Sink, at place, entries []yamlfile.Entry) {
				s.Kafka = &KafkaSink{}
				p.kafkaSink(s.Kafka, at, read(p, s.Kafka, at, kafkaSinkRows(), entries))
			},
		},
		later[Sink]("splunk"),
	}
}

// sinkSection takes the section sinks.
func (p *parser) sinkSection(section yamlfile.Entry) {
	paths := map[string]string{}
	for _, e := range p.namedEntries(section, "sinks", "sink") {
		p.sinks = append(p.sinks, e.Name)
		s := Sink{Name: e.Name, Where: e.Where}
		k, entries, ok := typed(p, e, "sink", sinkKinds())
		if !ok {
			continue
		}
		s.Type = k.Name
		k.read(p, &s, place{
			where: e.Where, what: "a sink of type " + k.Name, section: "sink." + k.Name,
			other: sinkForeign[k.Name].ofOthers,
		}, entries)
		if s.File != nil && s.File.Path != nil {
			name := s.File.Path.String()
			if first := paths[name]; first != "" {
				p.problem(s.Where, "the path of the sink at "+first+" again", "each path in one sink", "let the routes name one sink, or change a path")
			}
			paths[name] = s.Where
		}
		p.out.Sinks = append(p.out.Sinks, s)
	}
}

// together checks what the sections say of each other.
func (p *parser) together() {
	for i := range p.out.Sinks {
		s := &p.out.Sinks[i]
		if !slices.ContainsFunc(p.out.Routes, func(r Route) bool { return slices.Contains(r.To, s.Name) }) {
			p.warnings.add(s.Where, "the sink "+s.Name+" is in no route and gets nothing")
		}
	}
	p.covered()
	for i := range p.out.Sources {
		if s := &p.out.Sources[i]; s.Kafka != nil {
			p.intoSearch(s)
			p.tooLong(s)
			p.twice(s, p.out.Sources[:i])
		}
	}
}
