package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spillway/spillway/internal/config/setting"
)

// About is what a buffer on disk remembers of its logger, so that another process
// can deliver what is in it when the logger, and its container, are gone. It
// holds no secret: only the names of those that the logger had.
type About struct {
	Program   string         `json:"program"`
	Container AboutContainer `json:"container,omitzero"`
	// Run is what the local store calls the process.
	Run string `json:"run,omitempty"`
	// Options are all options by their names, as the logger resolved them, those
	// that have no value left out. Paths are absolute.
	Options map[string]string `json:"options"`
	// Attrs is the object that json-file adds to each line, {} for none.
	Attrs json.RawMessage `json:"attrs,omitempty"`
	// Record is what fluentd's records have in common.
	Record *FluentdRecord `json:"record,omitempty"`
	// LeftOut are the options that had a secret as their value.
	LeftOut []string `json:"left_out,omitempty"`
}

// AboutContainer says whose output it was.
type AboutContainer struct {
	ID        string `json:"id,omitempty"`
	Name      string `json:"name,omitempty"`
	Namespace string `json:"namespace,omitempty"`
}

// Names of programs in an About. They are part of the disk format.
const (
	aboutExec = "exec"
	aboutShim = "shim"
)

// forgotten are the options of a container that no About holds: what they come to
// is in its other fields.
var forgotten = []string{
	"container-id", "container-name", "container-image-id", "container-image-name", "container-labels",
	"container-env", "container-env-endpoint", "tag", "labels", "labels-regex", "env", "env-regex",
}

// About returns what can be said without knowing the destination, which fills in
// the rest. It fails only where the working directory, from which a relative path
// starts, is gone.
func (r *Resolved) About() (About, error) {
	a := About{Program: aboutExec, Options: make(map[string]string)}
	if r.program == ProgramShim {
		a.Program = aboutShim
		a.Container = AboutContainer{ID: r.container.ID, Name: r.container.Name, Namespace: r.container.Namespace}
	}
	for i := range table {
		o, v := &table[i], &r.values[i]
		if !v.given || o.AliasOf != "" || o.AcceptedOnly != "" || !o.valid(r.program, r.driver) || slices.Contains(forgotten, o.Name) {
			continue
		}
		text, whole := withoutPassword(v.Text)
		if o.Secret() || !whole {
			a.LeftOut = append(a.LeftOut, o.Name)
		}
		if !o.Secret() {
			a.Options[o.Name] = text
		}
	}
	a.Options["state-dir"] = r.stateDir
	for _, name := range [...]string{"state-dir", "log-path", "config"} {
		if err := a.makeAbsolute(name); err != nil {
			return About{}, err
		}
	}
	if r.value("config").level == LevelBuiltIn {
		delete(a.Options, "config") // It may be missing, now as then.
	}
	return a, nil
}

// makeAbsolute lets a path lead to the same place from everywhere.
func (a *About) makeAbsolute(name string) error {
	path, given := a.Options[name]
	if !given {
		return nil
	}
	absolute, err := filepath.Abs(path)
	if err == nil && !utf8.ValidString(absolute) {
		err = errors.New("it is not UTF-8, and a disk buffer could not remember it")
	}
	if err != nil {
		return fmt.Errorf("find out where --%s %s leads to: %w; give an absolute path in UTF-8", name, setting.Quote(path), err)
	}
	a.Options[name] = absolute
	return nil
}

// withoutPassword takes user and password out of a URL; whole says that there
// were none. Other text stays.
func withoutPassword(text string) (without string, whole bool) {
	if !strings.Contains(text, "://") {
		return text, true
	}
	u, err := url.Parse(text)
	if err != nil || u.User == nil {
		return text, true
	}
	u.User = nil
	return u.String(), false
}

// MaxAbout bounds the text of an About, in bytes. Only attributes can be so large.
const MaxAbout = 960 << 10

// FromAbout is the way back: the settings of the logger that a buffer on disk
// remembers. Of in it uses the node file, the environment and the checks. What
// the node file says in its section aws holds as for a logger of today, and so do
// its secrets under defaults; all else is as the buffer remembers it. Without
// in.Node the file is read that the logger was given, or the default one.
//
// The text is foreign: whatever stands in it, the result is an error or settings
// that catalog.Open takes. No error shows a value that might be a secret.
func FromAbout(text []byte, in Input) (*Resolved, error) {
	a, err := parseAbout(text)
	if err != nil {
		return nil, err
	}
	if in.Getenv == nil {
		in.Getenv = func(string) string { return "" }
	}
	if in.Node == nil {
		if in.Node, err = LoadNode(a.Options["config"]); err != nil {
			return nil, err
		}
	}
	switch a.Program {
	case aboutExec:
		in.Program = ProgramExec
	case aboutShim:
		in.Program = ProgramShim
	default:
		return nil, &Problem{Where: aboutWhere, Found: "the program " + setting.Quote(a.Program), Expected: setting.Or([]string{aboutExec, aboutShim}), Do: newer}
	}
	r := &resolver{in: in, out: &Resolved{program: in.Program, values: make([]value, len(table))}}
	r.builtIn()
	r.nodeSecrets()
	r.remembered(a)
	if err := r.problems.Err(); err != nil {
		return nil, err
	}
	r.finish()
	r.out.container = Container{ID: a.Container.ID, Name: a.Container.Name, Namespace: a.Container.Namespace}
	r.out.run, r.out.leftOut = a.Run, r.stillMissing(a.LeftOut)
	if r.out.driver == DriverFluentd {
		r.out.record = a.Record
	}
	if r.out.driver == DriverJSONFile {
		r.out.attrs = a.Attrs
		if r.out.attrs == nil {
			r.out.attrs = []byte("{}")
		}
	}
	return r.out, nil
}

const (
	aboutWhere = "what the buffer remembers of its logger"
	newer      = "if a newer version of spillway made the buffer, use that one"
)

// parseAbout reads the text. Unknown keys are passed over: they may be of a newer
// version that needs no more than this one to deliver.
func parseAbout(text []byte) (About, error) {
	var a About
	if len(text) > MaxAbout {
		return a, &Problem{Where: aboutWhere, Found: fmt.Sprintf("%d bytes", len(text)), Expected: fmt.Sprintf("at most %d", MaxAbout), Do: newer}
	}
	err := json.Unmarshal(text, &a)
	if err == nil && a.Attrs != nil {
		a.Attrs, err = compactObject(a.Attrs)
	}
	if err != nil {
		return a, &Problem{Where: aboutWhere, Found: "no such object (" + err.Error() + ")", Expected: "the JSON that spillway writes there", Do: newer, Cause: err}
	}
	return a, nil
}

// compactObject brings an object to the form in which it stands in a line.
func compactObject(text []byte) ([]byte, error) {
	if !bytes.HasPrefix(bytes.TrimLeft(text, " \t\r\n"), []byte("{")) {
		return nil, errors.New("attrs is no object")
	}
	var b bytes.Buffer
	err := json.Compact(&b, text)
	return b.Bytes(), err
}

// nodeSecrets takes from the node's defaults what no buffer holds.
func (r *resolver) nodeSecrets() {
	for i, v := range r.in.Node.defaults {
		if v.given && table[i].Secret() {
			r.out.values[i] = v
		}
	}
}

// remembered takes the options of the buffer. The rules held when they were
// written down, so each is checked by itself alone.
func (r *resolver) remembered(a About) {
	driver := a.Options["to"]
	if r.in.Program == ProgramShim {
		driver = a.Options["log-driver"]
	}
	r.out.driver = driverNamed(driver)
	if !present.Has(r.out.driver) || r.out.driver == DriverNone {
		r.problems.Add(&Problem{Where: aboutWhere, Found: "the destination " + setting.Quote(driver), Expected: "one of this version", Do: newer})
		return
	}
	for i := range table {
		o := &table[i]
		text, given := a.Options[o.Name]
		if !given || text == "" || o.Secret() || o.AliasOf != "" || !o.valid(r.in.Program, r.out.driver) {
			continue
		}
		v := newValue(text, LevelBuffer, o.Name)
		v.where = aboutWhere
		problem := v.parse(o)
		if problem == nil {
			problem = r.extraCheck(o, v)
		}
		if problem != nil {
			problem.Do = newer
			r.problems.Add(problem)
			continue
		}
		r.out.values[i] = v
	}
	r.destinationRemembered(a)
}

// destinationRemembered reports what a destination cannot be without.
func (r *resolver) destinationRemembered(a About) {
	var needed []string
	switch r.out.driver {
	case DriverAWSLogs:
		needed = []string{"awslogs-group", "awslogs-stream"}
	case DriverJSONFile:
		needed = []string{"log-path"}
	case DriverFluentd:
		needed = []string{"fluentd-address"}
		if a.Record == nil || a.Record.Tag == "" {
			r.problems.Add(&Problem{Where: aboutWhere, Found: "no tag for its records", Expected: "one", Do: newer})
		}
	}
	for _, name := range append(needed, "state-dir") {
		if a.Options[name] == "" {
			r.problems.Add(&Problem{Where: aboutWhere, Found: "no " + name, Expected: "one", Do: newer})
		}
	}
}

// stillMissing are the secrets that the logger had and nobody has now.
func (r *resolver) stillMissing(leftOut []string) []string {
	var missing []string
	for _, name := range leftOut {
		if row := indexOf(name); row >= 0 && !r.out.values[row].given {
			missing = append(missing, name)
		}
	}
	return missing
}

// Run returns what the local store called the process of a logger that is gone;
// it is empty unless the settings come from FromAbout.
func (r *Resolved) Run() string { return r.run }

// LeftOut returns the options that had a secret as their value, which no buffer
// holds and the node file does not give either. It is empty unless the settings
// come from FromAbout.
func (r *Resolved) LeftOut() []string { return slices.Clone(r.leftOut) }
