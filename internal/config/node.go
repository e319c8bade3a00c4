package config

import (
	"errors"
	"io/fs"
	"slices"

	"github.com/spillway/spillway/internal/config/setting"
	"github.com/spillway/spillway/internal/config/yamlfile"
)

// Node is a node file that was read: what holds for all containers of a node
// unless they say otherwise.
type Node struct {
	path     string
	defaults []value // by row of the table; not given where the file is silent
	aws      []value // by row of awsKeys
}

// LoadNode reads a node file. Path is the value of --config; empty means
// DefaultNodePath, which may be missing: then the result is an empty Node.
//
// Every problem of the file is in the error, as FILE:LINE:COLUMN; the Node
// returned beside an error holds the good part.
func LoadNode(path string) (*Node, error) {
	if path != "" {
		return loadNode(path, false)
	}
	return loadNode(DefaultNodePath, true)
}

func loadNode(path string, mayBeMissing bool) (*Node, error) {
	text, err := yamlfile.Read(path, nodeFile)
	if mayBeMissing && errors.Is(err, fs.ErrNotExist) {
		return newNode(path), nil
	}
	if err != nil {
		return newNode(path), err
	}
	return ParseNode(path, text)
}

func newNode(path string) *Node {
	return &Node{path: path, defaults: make([]value, len(table)), aws: make([]value, len(awsKeys))}
}

// ParseNode reads the text of a node file; path is for its errors only.
func ParseNode(path string, text []byte) (*Node, error) {
	file, err := yamlfile.Parse(path, text, nodeFile)
	if err != nil {
		return newNode(path), err
	}
	return NodeOf(file)
}

// NodeOf takes out of a file what holds for all containers of a node. Sections that
// are for "spillway run" alone it knows by their names and passes over: a logger
// that reads the same file has no use for them, and must start whatever is in them.
func NodeOf(file *yamlfile.File) (*Node, error) {
	p := nodeParser{file: file, node: newNode(file.Path)}
	p.sections()
	return p.node, p.problems.Err()
}

// Default returns the text that the section defaults gives for an option, and where
// it stands. It is not for secrets.
func (n *Node) Default(name string) (text, where string, given bool) {
	v := n.defaults[indexOf(canonicalName(name))]
	return v.Text, v.where, v.given
}

// nodeParser walks the syntax tree.
type nodeParser struct {
	file     *yamlfile.File
	node     *Node
	problems setting.Problems
}

// The sections of the file that a logger reads.
const (
	sectionDefaults = "defaults"
	sectionAWS      = "aws"
)

// sectionNames are all sections of the file, those of "spillway run" included; each
// of those has its meaning in internal/config/runfile.
var sectionNames = []string{
	sectionDefaults, sectionAWS,
	"memory", "state-dir", "shutdown-timeout", "max-dead-letter-size", "unmatched", "compat", "sources", "sinks", "routes",
}

// RunSections returns the names of the sections that are for "spillway run" alone.
func RunSections() []string { return sectionNames[2:len(sectionNames):len(sectionNames)] }

// nodeFile says in errors which file it is.
var nodeFile = yamlfile.Kind{Name: "node file", Expected: "with the sections defaults or aws"}

// sections walks the top level.
func (p *nodeParser) sections() {
	for _, entry := range p.file.Entries(p.file.Root, "the file", "a map "+nodeFile.Expected, &p.problems) {
		switch entry.Name {
		case sectionDefaults:
			for _, e := range p.file.Entries(entry.Value, sectionDefaults, "a map of options", &p.problems) {
				p.defaultOption(e)
			}
		case sectionAWS:
			for _, e := range p.file.Entries(entry.Value, sectionAWS, "a map with the keys "+setting.Or(awsKeyNames()), &p.problems) {
				p.awsKey(e)
			}
		default:
			if slices.Contains(RunSections(), entry.Name) {
				continue
			}
			p.problems.Add(&Problem{Where: entry.Where, Found: "the unknown section " + setting.Quote(entry.Name),
				Expected: setting.Or(sectionNames) + `, the nearest is "` + setting.NearestOf(entry.Name, sectionNames) + `"`})
		}
	}
}

// defaultOption takes one option of the section defaults.
func (p *nodeParser) defaultOption(e yamlfile.Entry) {
	row := indexOf(e.Name)
	allowed := func(o *Option) bool { return !o.Later() && !o.OwnOnly }
	if row < 0 {
		p.problems.Add(&Problem{Where: e.Where, Found: "the unknown option " + setting.Quote(e.Name),
			Expected: `the name of an option, the nearest is "` + nearestName(e.Name, allowed) + `"`})
		return
	}
	o := &table[row]
	if o.OwnOnly {
		p.problems.Add(&Problem{Where: e.Where, Found: "the option " + o.Name + ", which belongs to one container",
			Expected: "options that can hold for every container of the node", Do: "remove it"})
		return
	}
	if o.Later() {
		return // It will mean something to a later version; nothing here needs it.
	}
	v, ok := p.scalar(e, o)
	if !ok {
		return
	}
	kept := &p.node.defaults[indexOf(o.canonical())]
	if kept.given {
		p.problems.Add(&Problem{Where: e.Where, Found: "the option " + o.canonical() + " twice, here and as " + kept.spelled +
			" at " + kept.where, Expected: "each option once", Do: "remove one of the two"})
		return
	}
	*kept = v
}

// scalar reads the value of an option. Numbers and booleans are taken as they
// are written: 010 is not 8.
func (p *nodeParser) scalar(e yamlfile.Entry, o *Option) (value, bool) {
	text, ok := yamlfile.Scalar(e.Value)
	v := newValue(text, LevelNode, o.Name)
	v.where = p.file.At(e.Value)
	if !ok || text == "" {
		p.problems.Add(&Problem{Where: v.origin(), Found: yamlfile.Describe(e.Value), Expected: "a single value",
			Do: "write one behind the name, or remove the line"})
		return v, false
	}
	if problem := v.parse(o); problem != nil {
		p.problems.Add(problem)
		return v, false
	}
	return v, true
}
