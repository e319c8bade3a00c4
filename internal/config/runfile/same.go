package runfile

import (
	"reflect"
	"slices"
)

// Same reports whether two plans make the same source, wherever they stand in their
// files: what is above them may have changed.
func (s *Source) Same(other *Source) bool { return reflect.DeepEqual(s.placeless(), other.placeless()) }

// Same reports whether two plans make the same sink, wherever they stand.
func (s *Sink) Same(other *Sink) bool { return reflect.DeepEqual(s.placeless(), other.placeless()) }

// placeless is a source without the places of its parts.
func (s *Source) placeless() Source {
	p := *s
	p.Where = ""
	switch {
	case p.Forward != nil:
		f := *p.Forward
		f.SharedKey.Where = ""
		f.Users = slices.Clone(f.Users)
		for i := range f.Users {
			f.Users[i].Password.Where = ""
		}
		p.Forward = &f
	case p.Kafka != nil:
		k := *p.Kafka
		k.Password.Where, k.Token.Where = "", ""
		p.Kafka = &k
	}
	return p
}

// placeless is a sink without the places of its parts.
func (s *Sink) placeless() Sink {
	p := *s
	p.Where = ""
	switch {
	case p.Forward != nil:
		f := *p.Forward
		f.Servers = slices.Clone(f.Servers)
		for i := range f.Servers {
			f.Servers[i].SharedKey.Where, f.Servers[i].Password.Where = "", ""
		}
		p.Forward = &f
	case p.Kafka != nil:
		k := *p.Kafka
		k.Password.Where, k.Token.Where = "", ""
		p.Kafka = &k
	case p.Search != nil:
		e := *p.Search
		e.Password.Where, e.APIKey.Where, e.Bearer.Where = "", "", ""
		for _, list := range []*[]SearchDocument{&e.Policies, &e.Components, &e.Templates, &e.Legacy} {
			*list = slices.Clone(*list)
			for i := range *list {
				(*list)[i].at = ""
			}
		}
		p.Search = &e
	}
	return p
}
