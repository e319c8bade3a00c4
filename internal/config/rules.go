package config

import (
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spillway/spillway/internal/config/setting"
)

// maxCleanup leaves one of containerd's 12 s for the end of the process.
const maxCleanup = maxCleanupTime - time.Second

// value returns the value of an option for reading and changing.
func (r *resolver) value(name string) *value { return r.out.value(name) }

// yield puts a value back to the built-in one, because one of a stronger level
// excludes it.
func (r *resolver) yield(name, to string) {
	v := r.value(name)
	where := v.where
	o := &table[indexOf(name)]
	*v = newValue(o.Default, LevelBuiltIn, name)
	if v.given {
		if problem := v.parse(o); problem != nil {
			panic("BUG: the default of option " + problem.Error())
		}
	}
	v.note = "the value at " + where + " is ignored beside the container's own " + to
}

// rules checks what no option can check alone.
func (r *resolver) rules() {
	r.bufferRules()
	switch r.out.driver {
	case DriverAWSLogs:
		r.multilineRules()
		r.streamRules()
	case DriverJSONFile:
		r.rotationRules()
	}
	if r.in.Program == ProgramShim {
		r.cleanupRule()
	}
	if !r.in.Partial {
		r.required()
	}
}

// multilineRules lets at most one of the three ways to read lines stand.
func (r *resolver) multilineRules() {
	var given []*value
	strongest := 0
	for _, name := range [...]string{"awslogs-multiline-pattern", "awslogs-datetime-format", "awslogs-format"} {
		if v := r.value(name); v.given {
			given = append(given, v)
			strongest = max(strongest, v.level.rank())
		}
	}
	var standing []*value
	for _, v := range given {
		if v.level.rank() == strongest {
			standing = append(standing, v)
		}
	}
	if len(standing) == 1 {
		for _, v := range given {
			if v.level.rank() < strongest {
				r.yield(v.spelled, standing[0].spelled)
			}
		}
		return
	}
	for _, v := range standing[min(1, len(standing)):] {
		r.problems.Add(&Problem{Where: v.origin(), Found: "it beside " + standing[0].spelled + " " + setting.Quote(standing[0].Text),
			Expected: "at most one of awslogs-multiline-pattern, awslogs-datetime-format and awslogs-format",
			Do:       "remove " + v.spelled + " or " + standing[0].spelled})
	}
}

// streamRules warns of a tag that names nothing.
func (r *resolver) streamRules() {
	tag := r.value("tag")
	if tag.given && r.value("awslogs-stream").given {
		tag.note = "no effect beside awslogs-stream"
		if tag.level == LevelContainer {
			r.warn("--tag has no effect: awslogs-stream names the stream")
		}
	}
}

// rotationRules follows Docker's json-file driver: files can only be kept or
// compressed where there is a size at which a new one begins.
func (r *resolver) rotationRules() {
	size, files, compress := r.value("max-size"), r.value("max-file"), r.value("compress")
	if files.level == LevelContainer && files.Number > 1 && !size.given {
		r.warn("--max-file has no effect: without max-size there is only one file")
	}
	if !compress.Flag || size.given && files.Number > 1 {
		return
	}
	if compress.level.rank() < files.level.rank() {
		r.yield("compress", "max-file")
		return
	}
	r.problems.Add(&Problem{Where: compress.origin(), Found: "it without a rotated file to compress",
		Expected: "max-size and a max-file of at least 2", Do: "set both or remove compress"})
}

// cleanupRule keeps a second of containerd's 12 for the end of the process.
func (r *resolver) cleanupRule() {
	if v := r.value("cleanup-time"); v.Duration > maxCleanup {
		v.note = "lowered from " + v.Text
		r.warn("cleanup-time %s means 11s: containerd kills the logger at 12s", v.Text)
		v.Duration, v.Text = maxCleanup, "11s"
	}
}

// required reports what has no default and no value.
func (r *resolver) required() {
	if r.in.Program == ProgramShim {
		if r.out.driver == DriverNone && !r.unchosen {
			r.missing("log-driver", "awslogs, json-file or fluentd")
		}
		if !r.value("container-id").given {
			r.missing("container-id", "the id of the container, which containerd gives in CONTAINER_ID")
		}
	}
	switch r.out.driver {
	case DriverAWSLogs:
		if !r.value("awslogs-group").given {
			r.missing("awslogs-group", "the name of the log group")
		}
		if !r.value("awslogs-stream").given && !r.value("tag").given {
			r.missing("awslogs-stream", "the name of the log stream, or a tag that names it")
		}
		if r.in.Program == ProgramShim && !r.value("awslogs-region").given && !r.refused("awslogs-region") && !r.imds() {
			r.problems.Add(MissingRegion(r.in.Node.path, false))
		}
	case DriverJSONFile:
		if !r.value("log-path").given {
			r.missing("log-path", "the path of the file")
		} else if v := r.value("log-path"); r.in.Program == ProgramShim && !filepath.IsAbs(v.Text) {
			r.problems.Add(&Problem{Where: v.origin(), Found: setting.Quote(v.Text), Expected: absolutePath(v.Value)})
		}
	}
}

// refused reports whether the container gave the option, but not a good value.
// Such an option counts as given, so that one mistake makes one error.
func (r *resolver) refused(name string) bool {
	return slices.ContainsFunc(r.in.Own, func(s Setting) bool {
		return canonicalName(s.Name) == name && s.Value != ""
	})
}

// missing reports an option that nobody gave.
func (r *resolver) missing(name, expected string) {
	if r.refused(name) {
		return
	}
	do := "give --" + name + " VALUE"
	if o := &table[indexOf(name)]; !o.OwnOnly {
		do += ", or set " + name + " in the section defaults of " + nodePath(r.in.Node.path)
	}
	r.problems.Add(&Problem{Where: "--" + name, Found: "nothing", Expected: expected, Do: do})
}

// imds reports whether the instance metadata service may be asked.
func (r *resolver) imds() bool {
	return r.in.Node.AWS().IMDS && !strings.EqualFold(r.in.Getenv("AWS_EC2_METADATA_DISABLED"), "true")
}

// MissingRegion is the error of a logger that found no region anywhere. The
// caller who asked the instance metadata service in vain says so with asked;
// path is the node file's, or "" for the default one.
func MissingRegion(path string, asked bool) *Problem {
	p := &Problem{Where: "--awslogs-region", Found: "no region: not in the options, not in " + nodePath(path) +
		", not in AWS_REGION, and the instance metadata service may not be asked",
		Expected: "the name of a region, such as eu-central-1",
		Do: "give --awslogs-region VALUE, or set awslogs-region in the section defaults of " + nodePath(path) +
			", or set AWS_REGION, or allow the instance metadata service with imds: true in its section aws"}
	if asked {
		p.Found = strings.Replace(p.Found, "may not be asked", "did not answer with one", 1)
		p.Do, _, _ = strings.Cut(p.Do, ", or allow")
	}
	return p
}

func nodePath(path string) string {
	if path == "" {
		return DefaultNodePath
	}
	return path
}
