package runfile

import (
	"slices"
	"strings"
)

// intoSearch warns of what a source of Kafka and the indices that its records go to do
// to each other.
func (p *parser) intoSearch(s *Source) {
	for _, name := range p.reached(s.Kafka) {
		to := p.out.Sink(name)
		if to == nil || to.Search == nil {
			continue
		}
		if s.Kafka.Tombstone == TombstoneDelete && to.Search.ID != "key" {
			p.warnings.add(s.Where, "tombstone: delete does nothing at the sink "+name+", whose ids are not those of keys: tombstones become dead letters; it takes id: key there")
		}
		if s.Kafka.Time == TimeNow && to.Search.Index != nil && to.Search.Index.Dated() {
			p.warnings.add(s.Where, "time: now beside dates in the index of the sink "+name+": what is read again later may go to another index, and is there twice")
		}
	}
}

// reached are the sinks that a source's records go to, where that can be known from
// its tag, and all that routes name where it cannot.
func (p *parser) reached(k *KafkaSource) (sinks []string) {
	add := func(r *Route) {
		for _, name := range r.To {
			if !slices.Contains(sinks, name) {
				sinks = append(sinks, name)
			}
		}
	}
	if len(k.Topics) == 0 && strings.Contains(k.Tag, "{topic}") {
		for i := range p.out.Routes {
			add(&p.out.Routes[i])
		}
		return sinks
	}
	tags := []string{k.Tag}
	if len(k.Topics) > 0 {
		tags = nil
		for _, topic := range k.Topics {
			tags = append(tags, strings.ReplaceAll(k.Tag, "{topic}", topic))
		}
	}
	for _, tag := range tags {
		tag = strings.ReplaceAll(tag, "{partition}", "0")
		if i := slices.IndexFunc(p.out.Routes, func(r Route) bool { return r.Match.Match(tag) }); i >= 0 {
			add(&p.out.Routes[i])
		}
	}
	return sinks
}
