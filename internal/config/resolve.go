package config

import (
	"fmt"
	"os"
	"strings"

	"github.com/spillway/spillway/internal/config/setting"
)

// Input is what Resolve works from.
type Input struct {
	Program Program
	// Own are the container's own options: the command line. The first of a
	// name counts; a second is an error.
	Own []Setting
	// Node is the node file; nil means none.
	Node *Node
	// Getenv reads a variable of the process; nil means an empty environment.
	Getenv func(string) string
	// Checks adds, by an option's name, checks that need knowledge of another
	// package, such as whether tag is a template. The error is shown as found.
	Checks map[string]func(text string) error
	// Partial asks for what is there: a required option may be missing. It is
	// for "spillway explain".
	Partial bool
}

// LoadArgs is ParseArgs and Load in one: all that is wrong with the arguments,
// the node file and the options comes in one error. It is the way of the shim.
func LoadArgs(argv []string, in Input) (*Resolved, error) {
	var p setting.Problems
	own, err := ParseArgs(argv)
	if err != nil {
		p.AddAll(err)
	}
	in.Own = own
	resolved, err := Load(in)
	if err != nil {
		p.AddAll(err)
	}
	if err := p.Err(); err != nil {
		return nil, err
	}
	return resolved, nil
}

// Load reads the node file that Own names, or the one at its default place, and
// resolves. It overwrites Input.Node.
func Load(in Input) (*Resolved, error) {
	var p setting.Problems
	path := ""
	for _, s := range in.Own {
		if s.Name == "config" {
			path = s.Value
		}
	}
	node, err := LoadNode(path)
	if err != nil {
		p.AddAll(err)
		// What is missing may stand in the part that could not be read.
		in.Partial = true
	}
	in.Node = node
	resolved, err := Resolve(in)
	if err != nil {
		p.AddAll(err)
	}
	if err := p.Err(); err != nil {
		return nil, err
	}
	return resolved, nil
}

// Resolve puts the levels on top of each other: the container's own options,
// the node's, the environment's, the built-in values. It connects to nothing
// and reads no file.
//
// A node default that belongs to another driver or program is ignored: the node
// speaks for all its containers. So is one that contradicts what the container
// itself chose, such as a datetime format beside the container's own multiline
// pattern. The container's own options are held to their word: one that belongs
// elsewhere, or nowhere, is an error.
func Resolve(in Input) (*Resolved, error) {
	if in.Getenv == nil {
		in.Getenv = func(string) string { return "" }
	}
	if in.Node == nil {
		in.Node = newNode("")
	}
	r := &resolver{in: in, out: &Resolved{program: in.Program, values: make([]value, len(table))}}
	r.builtIn()
	own := r.ownOptions()
	r.chooseDriver(own)
	r.environment()
	r.nodeDefaults()
	for _, s := range own {
		r.apply(s, "")
	}
	r.rules()
	r.finish()
	if err := r.problems.Err(); err != nil {
		return nil, err
	}
	return r.out, nil
}

// ResolveRoute puts what a route of "spillway run" says about its buffers on top of
// the node's defaults and the built-in values. Own holds options of ProgramRoute,
// each once. Warnings are full sentences without a full stop.
func ResolveRoute(own []Placed, node *Node) (b Buffer, warnings []string, err error) {
	in := Input{Program: ProgramRoute, Node: node, Getenv: func(string) string { return "" }}
	r := &resolver{in: in, out: &Resolved{program: in.Program, values: make([]value, len(table))}}
	r.builtIn()
	r.nodeDefaults()
	for _, s := range own {
		r.apply(s.Setting, s.Where)
	}
	r.bufferRules()
	if err := r.problems.Err(); err != nil {
		return Buffer{}, nil, err
	}
	return r.out.Buffer(), r.out.Warnings, nil
}

type resolver struct {
	in       Input
	out      *Resolved
	problems setting.Problems
	unchosen bool // the driver is missing or wrong, which was reported
}

// builtIn fills in the defaults of the table.
func (r *resolver) builtIn() {
	for i := range table {
		o := &table[i]
		v := newValue(o.Default, LevelBuiltIn, o.Name)
		if v.given {
			if problem := v.parse(o); problem != nil {
				panic("BUG: the default of option " + problem.Error())
			}
		}
		r.out.values[i] = v
	}
}

// ownOptions returns the settings without repetitions and absent values.
func (r *resolver) ownOptions() []Setting {
	var own settings
	for _, s := range r.in.Own {
		if s.Value == "" && indexOf(s.Name) >= 0 {
			continue
		}
		if problem := own.add(s); problem != nil {
			r.problems.Add(problem)
		}
	}
	return own.list
}

// chooseDriver finds the driver first, because it decides which of the other
// options count.
func (r *resolver) chooseDriver(own []Setting) {
	name := "to"
	if r.in.Program == ProgramShim {
		name = "log-driver"
	}
	row := indexOf(name)
	chosen := r.out.values[row]
	if v := r.in.Node.defaults[row]; v.given {
		chosen = v
	}
	for _, s := range own {
		if s.Name == name {
			chosen = newValue(s.Value, LevelContainer, name)
			// A bad value is reported by apply, where all own options are.
			r.unchosen = chosen.parse(&table[row]) != nil
		}
	}
	if !r.unchosen {
		r.out.driver = driverNamed(chosen.Text)
	}
}

// environment takes the variables that stand in for an option.
func (r *resolver) environment() {
	for _, stand := range [...]struct{ variable, option string }{
		{"AWS_REGION", "awslogs-region"},
		{"CONTAINER_ID", "container-id"},
		{"SPILLWAY_STATE_DIR", "state-dir"},
	} {
		o := &table[indexOf(stand.option)]
		text := r.in.Getenv(stand.variable)
		if text == "" || !o.valid(r.in.Program, r.out.driver) {
			continue
		}
		v := newValue(text, LevelEnvironment, o.Name)
		v.note = "from " + stand.variable
		if problem := v.parse(o); problem != nil {
			problem.Where = "the environment variable " + stand.variable
			r.problems.Add(problem)
			continue
		}
		r.out.values[indexOf(o.Name)] = v
	}
}

// nodeDefaults takes what the node file says for this program and driver.
func (r *resolver) nodeDefaults() {
	for i, v := range r.in.Node.defaults {
		// The spelling decides: json-file-tag says nothing about awslogs, which has tag.
		if !v.given || !table[indexOf(v.spelled)].valid(r.in.Program, r.out.driver) {
			continue
		}
		if problem := r.extraCheck(&table[i], v); problem != nil {
			r.problems.Add(problem)
			continue
		}
		r.out.values[i] = v
	}
}

// apply takes one of the container's own options, or of the route's, which has its
// place.
func (r *resolver) apply(s Setting, where string) {
	row := indexOf(s.Name)
	if row < 0 || !table[row].valid(r.in.Program, r.out.driver) {
		if problem := r.foreign(s, row); problem != nil {
			r.problems.Add(problem)
		}
		return
	}
	o := &table[row]
	v := newValue(s.Value, LevelContainer, s.Name)
	if where != "" {
		v.level, v.where = LevelRoute, where
	}
	problem := v.parse(o)
	if problem == nil {
		problem = r.extraCheck(o, v)
	}
	if problem != nil {
		r.problems.Add(problem)
		return
	}
	r.out.values[indexOf(o.canonical())] = v
	if o.AcceptedOnly != "" {
		r.warn("--%s has no effect: %s", o.Name, o.AcceptedOnly)
	}
}

// foreign is the problem of an own option that this logger does not have.
func (r *resolver) foreign(s Setting, row int) *Problem {
	found := "an unknown option"
	if row >= 0 {
		o := &table[row]
		switch {
		case r.unchosen && o.Programs.Has(r.in.Program):
			return nil // It may belong to the driver that was meant.
		case !o.Programs.Has(r.in.Program):
			found = "an option of " + otherProgram(r.in.Program).String()
		default:
			found = "an option that belongs to the driver " + owners(o.Drivers)
			if o.Later() {
				found += ", which is not in this version of Spillway and comes in a later one"
			}
		}
	}
	expected := "an option of " + r.in.Program.String()
	if r.out.driver != DriverNone {
		expected += " for the driver " + r.out.driver.String()
	}
	nearest := nearestName(s.Name, func(o *Option) bool { return o.valid(r.in.Program, r.out.driver) })
	return &Problem{Where: flagName(s.Name), Found: found, Expected: expected + `, the nearest is "` + nearest + `"`,
		Do: "correct the name or remove it"}
}

func otherProgram(p Program) Program {
	if p == ProgramExec {
		return ProgramShim
	}
	return ProgramExec
}

// owners lists the drivers of a set.
func owners(s DriverSet) string {
	var names []string
	for d := DriverLocal; d <= DriverSplunk; d++ {
		if s.Has(d) {
			names = append(names, d.String())
		}
	}
	return setting.Or(names)
}

// extraCheck runs the caller's check of an option.
func (r *resolver) extraCheck(o *Option, v value) *Problem {
	check := r.in.Checks[o.canonical()]
	if check == nil {
		return nil
	}
	if err := check(v.Text); err != nil {
		said := strings.ReplaceAll(err.Error(), "\n", " ")
		return &Problem{Where: v.origin(), Found: show(o, v.Text) + " (" + said + ")", Expected: "another value", Cause: err}
	}
	return nil
}

// warn keeps one full sentence without its full stop, as log messages go.
func (r *resolver) warn(format string, args ...any) {
	r.out.Warnings = append(r.out.Warnings, fmt.Sprintf(format, args...))
}

// StateDir returns the directory for all state: given if it is not empty, else
// SPILLWAY_STATE_DIR, else the place for this user. It makes nothing.
func StateDir(given string, getenv func(string) string) string {
	return stateDir(given, getenv, os.Geteuid())
}
