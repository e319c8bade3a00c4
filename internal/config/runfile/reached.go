package runfile

import (
	"slices"
	"strings"

	"github.com/spillway/spillway/internal/config/setting"
)

// intoSearch warns of what a source of Kafka and the indices that its records go to do
// to each other.
func (p *parser) intoSearch(s *Source) {
	for _, name := range p.reached(s.Kafka) {
		to := p.out.Sink(name)
		if to == nil || to.Search == nil {
			continue
		}
		if s.Kafka.Tombstone == TombstoneDelete {
			if why := whyNotDeleted(to.Search); why != "" {
				p.warnings.add(s.Where, "tombstone: delete does nothing at the sink "+name+why)
			}
		}
		if s.Kafka.Time == TimeNow {
			if why := whyTwice(to.Search); why != "" {
				p.warnings.add(s.Where, "time: now beside "+why+" of the sink "+name+": what is read again later is there twice")
			}
		}
	}
}

// whyNotDeleted says why a tombstone does not find the document that it is to delete.
func whyNotDeleted(to *SearchSink) string {
	switch {
	case to.ID != "key":
		return ", whose ids are not those of keys: tombstones become dead letters; it takes id: key there"
	case to.DataStream:
		return ", a data stream, from which nothing is deleted: tombstones become dead letters"
	case to.Index != nil && (to.Index.Dated() || len(to.Index.Fields()) > 0) || to.IndexField != "":
		return " where its index is another one than the document's: a tombstone has a time of its own, and no fields; it takes an index without either there"
	case to.RoutingField != "":
		return ", which finds documents by routing-field: a tombstone has no fields"
	}
	return ""
}

// whyTwice says what makes another document of a record that is read at another time.
func whyTwice(to *SearchSink) string {
	switch {
	case to.Index != nil && to.Index.Dated():
		return "dates in the index"
	case to.HashTime:
		return "the hash-time"
	}
	return ""
}

// twice warns of a topic that two sources read into one index: an id of origin says where a
// record is in Kafka, and so one document is there of what both make of it.
func (p *parser) twice(s *Source, others []Source) {
	for i := range others {
		o := &others[i]
		if o.Kafka == nil || !meet(s.Kafka.Brokers, o.Kafka.Brokers) || !meet(s.Kafka.Topics, o.Kafka.Topics) {
			continue
		}
		mine := p.reached(s.Kafka)
		for _, name := range p.reached(o.Kafka) {
			to := p.out.Sink(name)
			if to == nil || to.Search == nil || to.Search.ID != "origin" || to.Search.Index == nil || !slices.Contains(mine, name) ||
				strings.Contains(to.Search.Index.String(), "{tag") {
				continue
			}
			p.warnings.add(s.Where, "the source "+o.Name+" reads a topic of this one, and both go to the sink "+name+
				", whose ids say where a record is: what comes first is there, and the other is not; {tag} in its index keeps both")
		}
	}
}

// meet reports whether two lists have anything in common.
func meet(a, b []string) bool {
	return slices.ContainsFunc(a, func(one string) bool { return slices.Contains(b, one) })
}

// tooLong warns of a max-record-size that was asked for, and that a buffer on the way cannot
// hold: a leg gets three quarters of max-buffer-size, and a record may have a quarter of that.
func (p *parser) tooLong(s *Source) {
	if s.Kafka.sizedAt == "" {
		return
	}
	for _, r := range p.routesOf(s.Kafka) {
		if s.Kafka.MaxRecordSize > r.Buffer.Limit/16*3 {
			enough := (s.Kafka.MaxRecordSize/3*16)>>20 + 1
			p.warnings.add(s.Kafka.sizedAt, "max-record-size "+setting.FormatSize(s.Kafka.MaxRecordSize)+" is more than the route "+r.Name+
				" holds, which is records up to three sixteenths of its max-buffer-size: larger ones become dead letters that say where they are; max-buffer-size: "+
				setting.FormatSize(enough<<20)+" holds them")
		}
	}
}

// reached are the sinks that a source's records go to.
func (p *parser) reached(k *KafkaSource) (sinks []string) {
	for _, r := range p.routesOf(k) {
		for _, name := range r.To {
			if !slices.Contains(sinks, name) {
				sinks = append(sinks, name)
			}
		}
	}
	return sinks
}

// routesOf are the routes that a source's records go to, where that can be known from its
// tag, and all where it cannot.
func (p *parser) routesOf(k *KafkaSource) (routes []*Route) {
	all := p.out.Routes
	if len(k.Topics) == 0 && strings.Contains(k.Tag, "{topic}") {
		for i := range all {
			routes = append(routes, &all[i])
		}
		return routes
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
		i := slices.IndexFunc(all, func(r Route) bool { return r.Match.Match(tag) })
		if i >= 0 && !slices.Contains(routes, &all[i]) {
			routes = append(routes, &all[i])
		}
	}
	return routes
}
