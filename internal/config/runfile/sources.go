package runfile

import (
	"slices"

	"github.com/spillway/spillway/internal/config/setting"
	"github.com/spillway/spillway/internal/config/yamlfile"
)

// Type is one type of source or sink, as pages show it.
type Type struct {
	Name    string
	Help    string // sentences
	Options []Option
	Later   bool // known by name only: a later version has it
}

// kind is a Type with the way to read it into an entry of its section.
type kind[S any] struct {
	Type
	// read takes the entries without type.
	read func(p *parser, s *S, at place, entries []yamlfile.Entry)
}

// SourceTypes returns all types of sources, those of later versions last.
func SourceTypes() []Type { return types(sourceKinds()) }

// SinkTypes returns all types of sinks, those of later versions last.
func SinkTypes() []Type { return types(sinkKinds()) }

// TopOptions returns the options of the file that are in no section.
func TopOptions() []Option { return options(topRows()) }

// RouteOptions returns the options that only a route has; those of its buffers are
// config.Options(config.ProgramRoute).
func RouteOptions() []Option { return options(routeRows()) }

func types[S any](kinds []kind[S]) []Type {
	all := make([]Type, len(kinds))
	for i := range kinds {
		all[i] = kinds[i].Type
	}
	return all
}

func later[S any](name string) kind[S] { return kind[S]{Type: Type{Name: name, Later: true}} }

// sourceKinds is THE list of types of sources.
func sourceKinds() []kind[Source] {
	return []kind[Source]{
		{
			Type{Name: "forward", Options: options(forwardSourceRows()),
				Help: "Receives the forward protocol of fluentd, Fluent Bit, Fluency, the Docker driver fluentd and FireLens: all modes, compressed or not, msgpack or JSON."},
			func(p *parser, s *Source, at place, entries []yamlfile.Entry) {
				s.Forward = &ForwardSource{}
				p.forwardSource(s.Forward, at, read(p, s.Forward, at, forwardSourceRows(), entries))
			},
		},
		{
			Type{Name: "stdin", Options: options(stdinRows()), Help: "Reads standard input until it ends. There is at most one."},
			func(p *parser, s *Source, at place, entries []yamlfile.Entry) {
				s.Stdin = &StdinSource{}
				read(p, s.Stdin, at, stdinRows(), entries)
			},
		},
		{
			Type{Name: "kafka", Options: options(kafkaSourceRows()),
				Help: "Reads topics of Kafka as a member of a consumer group, from Kafka 0.11 on; an offset is committed when every record before it is delivered, or as far as ack says."},
			func(p *parser, s *Source, at place, entries []yamlfile.Entry) {
				s.Kafka = &KafkaSource{}
				p.kafkaSource(s.Kafka, at, read(p, s.Kafka, at, kafkaSourceRows(), entries))
			},
		},
		later[Source]("docker"),
	}
}

// sources takes the section sources.
func (p *parser) sources(section yamlfile.Entry) {
	for _, e := range p.namedEntries(section, "sources", "source") {
		s := Source{Name: e.Name, Where: e.Where}
		k, entries, ok := typed(p, e, "source", sourceKinds())
		if !ok {
			continue
		}
		s.Type = k.Name
		k.read(p, &s, place{
			where: e.Where, what: "a source of type " + k.Name, section: "source." + k.Name,
			other: sourceForeign[k.Name].ofOthers,
		}, entries)
		p.apart(&s)
		p.out.Sources = append(p.out.Sources, s)
	}
}

// apart reports that a source would read what one before it reads.
func (p *parser) apart(s *Source) {
	for i := range p.out.Sources {
		before := &p.out.Sources[i]
		what := ""
		switch {
		case s.Stdin != nil && before.Stdin != nil:
			what = "standard input"
		case s.Forward != nil && before.Forward != nil:
			for _, a := range s.Forward.Listen {
				if slices.ContainsFunc(before.Forward.Listen, a.overlaps) {
					what = a.String()
				}
			}
		}
		if what != "" {
			p.problem(s.Where, what+" again, which the source at "+before.Where+" reads already", "each to be read once", "remove one of the two")
		}
	}
}

// namedEntries returns the entries of a section whose keys are names.
func (p *parser) namedEntries(section yamlfile.Entry, name, what string) []yamlfile.Entry {
	if section.Name == "" {
		p.problem(p.file.Path, "no section "+name, "a map of at least one "+what, "")
		return nil
	}
	n := node{section.Value, name}
	entries := p.entriesOf(n, "a map of names, each with the settings of a "+what)
	if len(entries) == 0 && (section.Value == nil || yamlfile.Describe(section.Value) == "nothing" || yamlfile.IsMap(section.Value)) {
		p.problem(section.Where, "nothing in the section "+name, "at least one "+what, "")
	}
	return slices.DeleteFunc(entries, func(e yamlfile.Entry) bool {
		if goodName(e.Name) {
			return false
		}
		p.problem(e.Where, "the name "+setting.Quote(e.Name), "a name of at most 64 letters, digits and . _ -", "")
		return true
	})
}

func goodName(name string) bool {
	for _, r := range name {
		if !setting.Alphanumeric(r) && r != '.' && r != '_' && r != '-' {
			return false
		}
	}
	return name != "" && len(name) <= 64
}

// typed finds the type of a source or sink, and returns the rest of its entries.
func typed[S any](p *parser, e yamlfile.Entry, what string, kinds []kind[S]) (k *kind[S], rest []yamlfile.Entry, ok bool) {
	var present, laterOnes []string
	for i := range kinds {
		if kinds[i].Later {
			laterOnes = append(laterOnes, kinds[i].Name)
		} else {
			present = append(present, kinds[i].Name)
		}
	}
	expected := setting.Or(present)
	if !yamlfile.IsMap(e.Value) {
		where := e.Where
		if _, ok := yamlfile.Scalar(e.Value); ok {
			where = p.file.At(e.Value)
		}
		found, do := yamlfile.Describe(e.Value), ""
		if found == "nothing" {
			do = "write its options behind it in braces, or in the lines below it and further to the right"
		}
		p.problem(where, found+" as the "+what+" "+e.Name, "a map with the option type: "+expected, do)
		return nil, nil, false
	}
	name := ""
	var at node
	for _, option := range p.entriesOf(node{e.Value, e.Name}, "") {
		if option.Name != "type" {
			rest = append(rest, option)
			continue
		}
		at = node{option.Value, "type"}
		v, good := p.scalar(at, false)
		if !good {
			return nil, nil, false
		}
		name = v.Text
	}
	if name == "" {
		p.problem(e.Where, "the "+what+" "+e.Name+" without a type", "the option type: "+expected, "")
		return nil, nil, false
	}
	for i := range kinds {
		if kinds[i].Name == name && !kinds[i].Later {
			return &kinds[i], rest, true
		}
	}
	do := ""
	if slices.Contains(laterOnes, name) {
		do = setting.Quote(name) + " is not in this version of Spillway, it comes in a later one"
	} else {
		expected += alikeType(name, present)
	}
	p.problem(p.where(at), setting.Quote(name), expected, do)
	return nil, nil, false
}

// tag keeps a tag to what one is.
func tag(v setting.Value) string {
	if len(v.Text) > 4096 {
		return "a tag of at most 4096 bytes"
	}
	return ""
}
