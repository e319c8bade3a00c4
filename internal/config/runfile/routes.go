package runfile

import (
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/spillway/spillway/internal/config"
	"github.com/spillway/spillway/internal/config/setting"
	"github.com/spillway/spillway/internal/config/yamlfile"
	"github.com/spillway/spillway/internal/match"
)

// maxName is the longest name of a route that its owner gives, in bytes.
const maxName = 256

// routeDraft is a route while it is read.
type routeDraft struct {
	Route
	patterns []string
}

// routeRows is the table of what only routes have.
func routeRows() []row[routeDraft] {
	return []row[routeDraft]{
		{Option: Option{Name: "match", Takes: "pattern", List: true, Required: true,
			Help: "Says which tags the route takes, in fluentd's language; several patterns, in a list or with white space between, take what one of them takes."},
			read: func(p *parser, r *routeDraft, n node) { p.pattern(r, n) }},
		{Option: Option{Name: "to", Takes: "sink", List: true, Required: true,
			Help: "Names the sinks; each gets every record, from a buffer of its own."},
			set: func(p *parser, r *routeDraft, v value) string {
				if !slices.Contains(p.sinks, v.Text) {
					if len(p.sinks) == 0 {
						return "" // That is the one mistake.
					}
					return oneOf("the name of a sink", v.Text, p.sinks)
				}
				if slices.Contains(r.To, v.Text) {
					return "each sink once"
				}
				r.To = append(r.To, v.Text)
				return ""
			}},
		{Option: Option{Name: "name", Help: "Is the identity of the route's disk buffers, with which they are found again after a change of the file; unset means the patterns of match."},
			check: func(v setting.Value) string {
				if len(v.Text) > maxName || strings.ContainsFunc(v.Text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
					return "a name of at most " + strconv.Itoa(maxName) + " bytes, on one line"
				}
				return ""
			},
			set: text(func(r *routeDraft) *string { return &r.Name })},
	}
}

// pattern takes one value of match.
func (p *parser) pattern(r *routeDraft, n node) {
	text, ok := yamlfile.Scalar(n.Node)
	if !ok || text == "" {
		p.problem(p.where(n), yamlfile.Describe(n.Node), "a pattern such as app.**", `write it in quotes: to YAML, a star and braces mean something else`)
		return
	}
	_, err := match.Compile(text)
	var wrong *match.Error
	if errors.As(err, &wrong) {
		found := wrong.Found + " at character " + strconv.Itoa(wrong.Offset+1) + " of " + setting.Quote(wrong.Pattern)
		p.problem(p.where(n), found, wrong.Expected, wrong.Do)
		return
	}
	r.patterns = append(r.patterns, text)
}

// routes takes the section routes.
func (p *parser) routes(section yamlfile.Entry) {
	if section.Name == "" {
		p.problem(p.file.Path, "no section routes", "a list of at least one route", `such as: routes: [{match: "**", to: kept}]`)
		return
	}
	list, ok := yamlfile.List(section.Value)
	if !ok || len(list) == 0 {
		found := yamlfile.Describe(section.Value)
		if ok {
			found = "an empty list"
		}
		p.problem(section.Where, found+" in the section routes", "a list of at least one route", `such as: routes: [{match: "**", to: kept}]`)
		return
	}
	names := map[string]string{}
	for _, n := range list {
		r, ok := p.route(n)
		if !ok {
			continue
		}
		if first := names[r.Name]; first != "" {
			p.problem(r.Where, "the route "+setting.Quote(r.Name)+" again, it is at "+first+" already",
				"each name once: the disk buffers of a route are found by it", "give one of them another name, or remove it")
		}
		names[r.Name] = r.Where
		p.out.Routes = append(p.out.Routes, r)
	}
}

// route takes one route. It is not ok where it cannot even be compared with others.
func (p *parser) route(n yamlfile.Node) (Route, bool) {
	where := p.file.At(n)
	if !yamlfile.IsMap(n) {
		p.problem(where, yamlfile.Describe(n)+" as a route", "a map with the options match and to", "")
		return Route{}, false
	}
	draft := routeDraft{Route: Route{Where: where}}
	var ownNames []string
	for _, o := range config.Options(config.ProgramRoute) {
		ownNames = append(ownNames, o.Name)
	}
	var mine []yamlfile.Entry
	var buffer []config.Placed
	for _, e := range p.entriesOf(node{n, "a route"}, "") {
		switch {
		case named(routeRows(), e.Name) != nil:
			mine = append(mine, e)
		case slices.Contains(ownNames, e.Name):
			if v, ok := p.scalar(node{e.Value, e.Name}, false); ok {
				buffer = append(buffer, config.Placed{Setting: config.Setting{Name: e.Name, Value: v.Text}, Where: p.file.At(e.Value)})
			}
		default:
			p.unknown(e.Where, "option", e.Name, "an option of a route", "route", append(names(routeRows()), ownNames...))
		}
	}
	read(p, &draft, place{where: where, what: "a route", section: "route"}, routeRows(), mine)
	p.buffer(&draft.Route, buffer)
	if len(draft.patterns) == 0 {
		return Route{}, false
	}
	m, err := match.Compile(draft.patterns...)
	if err != nil { // Each by itself is good; together they are too many.
		p.problem(where, "patterns that are too many together", "fewer or shorter ones", "divide the route")
		return Route{}, false
	}
	draft.Match = m
	if draft.Name == "" {
		draft.Name = m.String()
	}
	return draft.Route, true
}

// buffer takes what a route says about its buffers.
func (p *parser) buffer(r *Route, own []config.Placed) {
	b, warnings, err := config.ResolveRoute(own, p.node)
	p.problems.AddAll(err)
	for _, w := range warnings {
		if line, _ := Position(p.file.Path, w); line > 0 {
			where, what, _ := strings.Cut(w[len(p.file.Path)+1:], ": ")
			p.warnings.add(p.file.Path+":"+where, what)
			continue
		}
		p.warnings.add(r.Where, w)
	}
	r.Buffer = b
}

// maxCompared is how many routes are compared with those before them, which takes
// some ten milliseconds each at most.
const maxCompared = 100

// covered warns of routes that get nothing, because those before take it all.
func (p *parser) covered() {
	for i := range p.out.Routes[:min(maxCompared, len(p.out.Routes))] {
		r := &p.out.Routes[i]
		earlier := make([]*match.Matcher, i)
		for j := range earlier {
			earlier[j] = p.out.Routes[j].Match
		}
		if !r.Match.Covered(earlier...) {
			continue
		}
		by := "those before it"
		for j := range earlier {
			if r.Match.Covered(earlier[j]) {
				by = "that at " + p.out.Routes[j].Where
				break
			}
		}
		p.warnings.add(r.Where, "the route "+setting.Quote(r.Name)+" never gets a record: "+by+" takes all of its tags")
	}
}

// memory holds the limit of the process to those of the legs.
func (p *parser) memory(top []yamlfile.Entry) {
	var sum int64
	for i := range p.out.Routes {
		r := &p.out.Routes[i]
		for range r.To {
			sum += min(r.Buffer.Limit, math.MaxInt64-sum)
		}
	}
	if p.out.Memory == 0 {
		p.out.Memory = sum
		return
	}
	if p.out.Memory >= sum {
		return
	}
	for _, e := range top {
		if e.Name == "memory" {
			p.problem(p.where(node{e.Value, e.Name}), setting.FormatSize(p.out.Memory), "at least "+setting.FormatSize(sum)+
				", the sum of max-buffer-size over all legs", "raise memory, or lower max-buffer-size of some routes")
		}
	}
}
