package runfile

import (
	"path/filepath"
	"strings"
	"time"

	"github.com/spillway/spillway/internal/config"
	"github.com/spillway/spillway/internal/config/setting"
	"github.com/spillway/spillway/internal/config/yamlfile"
)

// configuration says in errors which file it is.
var configuration = yamlfile.Kind{Name: "configuration file", Expected: "with the sections sources, sinks and routes",
	Do: "write what begins with * & ! { or [, such as a pattern, in quotes, and between braces ${NAME} as well"}

// Load reads the file of a run. Getenv reads a variable of the process: AWS_REGION
// stands in for a region that is unset, and AWS_EC2_METADATA_DISABLED=true says no
// to imds. No secret is read.
//
// Every problem of the file is in the error, which is made of Problems, in the
// order of the file.
func Load(path string, getenv func(string) string) (*File, error) {
	content, err := yamlfile.Read(path, configuration)
	if err != nil {
		return nil, err
	}
	return Parse(path, content, getenv)
}

// Parse reads the text of a file. Path is for errors, and relative paths in the
// file begin at its directory.
func Parse(path string, content []byte, getenv func(string) string) (*File, error) {
	file, err := yamlfile.Parse(path, content, configuration)
	if err != nil {
		return nil, err
	}
	p := &parser{file: file, getenv: getenv, out: &File{Path: path}}
	// A working directory that is gone leaves the paths as they are; opening them
	// will say so.
	if p.dir = filepath.Dir(path); !filepath.IsAbs(p.dir) {
		if dir, err := filepath.Abs(p.dir); err == nil {
			p.dir = dir
		}
	}
	p.whole()
	if err := p.problems.sorted(path); err != nil {
		return nil, err
	}
	p.out.Warnings = p.warnings.sorted(path)
	return p.out, nil
}

// parser walks the syntax tree.
type parser struct {
	file     *yamlfile.File
	dir      string // where relative paths begin
	getenv   func(string) string
	node     *config.Node
	out      *File
	problems findings
	warnings remarks

	// sinks are the names of the section sinks, those of sinks with problems
	// included, so that one mistake makes one error.
	sinks []string
}

// node is a part of the tree with the option that it belongs to.
type node struct {
	yamlfile.Node
	name string // of the option
}

// where says in an error where the value stands: "FILE:LINE:COLUMN: name".
func (p *parser) where(n node) string { return p.file.At(n.Node) + ": " + n.name }

// problem adds a problem.
func (p *parser) problem(where, found, expected, do string) {
	p.problems.Add(&setting.Problem{Where: where, Found: found, Expected: expected, Do: do})
}

// unknown adds the problem of a name that is none of those that are valid, all of which
// "spillway check options SECTION" lists.
func (p *parser) unknown(where, what, name, expected, section string, valid []string) {
	alike := setting.Alike(name, valid)
	do := ""
	switch {
	case strings.Contains(name, ":"):
		do = "write a space behind the colon"
	case alike != "":
	case len(valid) <= fewNames:
		expected += ": " + setting.Or(valid)
	case section != "":
		do = `"spillway check options ` + section + `" lists them`
	}
	expected += alike
	p.problem(where, "the unknown "+what+" "+setting.Quote(name), expected, do)
}

// fewNames is how many names an error lists.
const fewNames = 8

// oneOf says that one of these names was expected, and which was surely meant, or, where none
// was, which there are.
func oneOf(what, name string, valid []string) string {
	alike := setting.Alike(name, valid)
	if alike == "" && len(valid) <= fewNames {
		return what + ": " + setting.Or(valid)
	}
	return what + alike
}

// absolute makes a path of the file absolute.
func (p *parser) absolute(path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(p.dir, path)
}

// whole walks the top level.
func (p *parser) whole() {
	node, err := config.NodeOf(p.file)
	p.problems.AddAll(err)
	p.node = node
	p.defaults()

	var reported setting.Problems // NodeOf has said so already.
	entries := p.file.Entries(p.file.Root, "the file", "", &reported)
	top := make([]yamlfile.Entry, 0, len(entries))
	sections := map[string]yamlfile.Entry{}
	for _, e := range entries {
		switch e.Name {
		case "sources", "sinks", "routes":
			sections[e.Name] = e
		case "defaults", "aws":
		default:
			top = append(top, e)
		}
	}
	p.top(top)
	p.sources(sections["sources"])
	p.sinkSection(sections["sinks"])
	p.aws()
	before := p.problems.Len()
	p.routes(sections["routes"])
	p.together()
	if err == nil && p.problems.Len() == before {
		p.memory(top)
	}
}

// defaults takes what the sections defaults and aws say for a run.
func (p *parser) defaults() {
	if dir, _, given := p.node.Default("state-dir"); given {
		p.out.StateDir = p.absolute(dir)
	}
	if verbose, _, given := p.node.Default("verbose"); given {
		v := setting.Value{Text: verbose}
		p.out.Verbose = v.Convert(setting.Bool, nil, nil) == "" && v.Flag
	}
}

// aws gives the section aws to the sources and sinks that use it: where it changes, they
// have changed.
func (p *parser) aws() {
	aws := p.node.AWS()
	if strings.EqualFold(p.getenv("AWS_EC2_METADATA_DISABLED"), "true") {
		aws.IMDS = false
	}
	for i := range p.out.Sources {
		if s := p.out.Sources[i].Kafka; s != nil && s.SASL == SASLAWSMSKIAM {
			s.AWS = aws
		}
	}
	for i := range p.out.Sinks {
		switch s := &p.out.Sinks[i]; {
		case s.CloudWatch != nil:
			s.CloudWatch.AWS = aws
		case s.Search != nil && s.Search.AWSService != "":
			s.Search.AWS = aws
		case s.Kafka != nil && s.Kafka.SASL == SASLAWSMSKIAM:
			s.Kafka.AWS = aws
		}
	}
}

// top takes the options of the file that are in no section.
func (p *parser) top(entries []yamlfile.Entry) {
	rows := topRows()
	known := entries[:0:0]
	for _, e := range entries {
		if named(rows, e.Name) != nil {
			known = append(known, e) // NodeOf has reported the others.
		}
	}
	read(p, p.out, place{where: p.file.Path, what: "the file"}, rows, known)
}

func topRows() []row[File] {
	return []row[File]{
		{Option: Option{Name: "memory", Kind: setting.Size,
			Help: "Bounds what the whole process holds: three quarters of each leg's max-buffer-size are its buffer, a quarter is for receiving; unset means the sum of max-buffer-size over all legs, and less is an error."},
			set: number(func(f *File) *int64 { return &f.Memory })},
		{Option: Option{Name: "state-dir", Kind: setting.String, Takes: "path",
			Help: "Names the directory for disk buffers, dead letters and the status socket; --state-dir beats it; unset means SPILLWAY_STATE_DIR, else /var/lib/spillway for root and $XDG_STATE_HOME/spillway for others."},
			set: path(func(f *File) *string { return &f.StateDir })},
		{Option: Option{Name: "shutdown-timeout", Kind: setting.Duration, Default: "8s",
			Help: "Limits how long delivery goes on after SIGTERM; what is left stays on the disk where a route has one; 8s fits into the 10 s that Docker grants."},
			check: setting.PositiveDuration,
			set:   duration(func(f *File) *time.Duration { return &f.ShutdownTimeout })},
		{Option: Option{Name: "max-dead-letter-size", Kind: setting.Size, Default: "1g",
			Help: "Bounds the store of dead letters; while it is full, records that belong there stay pending."},
			check: sizeBetween(1<<20, 1<<50),
			set:   number(func(f *File) *int64 { return &f.MaxDeadLetters })},
		{Option: Option{Name: "unmatched", Kind: setting.Enum, Default: string(UnmatchedDeadLetter), Enum: []string{string(UnmatchedDeadLetter), string(UnmatchedDrop)},
			Help: "Says what becomes of records that no route takes: dead-letter keeps them, drop does not; both count them by tag."},
			set: text(func(f *File) *Unmatched { return &f.Unmatched })},
		{Option: Option{Name: "compat", Takes: "map", Fields: options(compatRows()),
			Help: "Does as programs did that Spillway replaces: failed-tag, the one option in it, is a tag with which a copy of each dead letter that was a message of Kafka goes to the routes, as kafka-fluentd-consumer did with the tag failed; see below."},
			read: func(p *parser, f *File, n node) {
				c, _ := readMap(p, n, "compat", compatRows())
				f.FailedTag = c.failedTag
			}},
	}
}

// compat is the section of that name.
type compat struct{ failedTag string }

func compatRows() []row[compat] {
	return []row[compat]{
		{Option: Option{Name: "failed-tag",
			Help: "Sends a copy of each dead letter that was a message of Kafka to the routes with this tag, as kafka-fluentd-consumer did with the tag failed: message is the value as text; error, reason, topic, partition, offset, key, tag and destination are new."},
			check: tag, set: text(func(c *compat) *string { return &c.failedTag })},
	}
}
