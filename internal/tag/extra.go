package tag

import (
	"fmt"
	"regexp"
	"strings"
)

// Selection says which labels and environment variables go beside the records
// of a container. It has the values of Docker's log options labels,
// labels-regex, env and env-regex, each empty if not set.
type Selection struct {
	// Labels and Env list names, with commas between.
	Labels, Env string
	// LabelsRegex and EnvRegex match anywhere in a name unless anchored.
	LabelsRegex, EnvRegex string
}

// Extra returns the labels and environment variables of info that s selects.
// Where a label and a variable have one name the variable stays, as with
// Docker; of a variable that is set twice the last value counts. A name that
// the container does not have is left out. The map is never nil.
func Extra(info Info, s Selection) (map[string]string, error) {
	labelPattern, err := compile("labels-regex", s.LabelsRegex)
	if err != nil {
		return nil, err
	}
	envPattern, err := compile("env-regex", s.EnvRegex)
	if err != nil {
		return nil, err
	}
	env := make(map[string]string, len(info.ContainerEnv))
	for _, e := range info.ContainerEnv {
		if name, value, ok := strings.Cut(e, "="); ok {
			env[name] = value
		}
	}
	extra := make(map[string]string)
	choose(extra, info.ContainerLabels, s.Labels, labelPattern)
	choose(extra, env, s.Env, envPattern)
	return extra, nil
}

// choose copies from one map to another what is in the list of names or
// matches the pattern.
func choose(to, from map[string]string, names string, pattern *regexp.Regexp) {
	for name := range strings.SplitSeq(names, ",") {
		name = strings.TrimSpace(name)
		if value, ok := from[name]; ok && name != "" {
			to[name] = value
		}
	}
	if pattern == nil {
		return
	}
	for name, value := range from {
		if pattern.MatchString(name) {
			to[name] = value
		}
	}
}

// compile returns nil for an option that is not set.
func compile(option, pattern string) (*regexp.Regexp, error) {
	if pattern == "" {
		return nil, nil
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, fmt.Errorf("compile %s %.64q: %w; expected a regular expression in the syntax of Go (RE2)", option, pattern, err)
	}
	return re, nil
}
