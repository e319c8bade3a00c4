package tag

import (
	"fmt"
	"strings"
	"text/template"
	"text/template/parse"
)

const (
	// maxTemplate is the longest template in bytes.
	maxTemplate = 4096
	// maxTag is the longest result in bytes. The longest name that any
	// destination takes is 512 characters (a log stream of CloudWatch Logs).
	maxTag = 4096
	// known lists what a template may say, for its errors.
	known = ".ID .FullID .Name .Command .ImageID .ImageFullID .ImageName .Hostname .DaemonName .Config .LogPath " +
		".ContainerID .ContainerName .ContainerEntrypoint .ContainerArgs .ContainerImageID .ContainerImageName " +
		".ContainerCreated .ContainerEnv .ContainerLabels and the functions json split join title lower upper pad truncate"
)

// Render returns the tag of a container by a template of Docker's log option
// tag: a Go text/template over an Info, with the functions json, split, join,
// title, lower, upper, pad and truncate beside the built-in ones. A text
// without {{ is returned as it is, and costs nothing.
//
// A template has at most 4,096 bytes, and so has its result; it may not define
// or call other templates; its loops make at most 1,024 rounds in all, and its
// functions at most 4 MiB of values. An error says what is wrong with the
// template, and never has a value of the container's environment in it.
func Render(text string, info Info) (string, error) {
	if len(text) > maxTemplate {
		return "", fmt.Errorf("render tag template %.64q: it has %d bytes, expected at most %d", text, len(text), maxTemplate)
	}
	if !strings.Contains(text, "{{") {
		return text, nil
	}
	work := &budget{left: maxWork}
	t, err := template.New("tag").Funcs(functions(work)).Parse(text)
	if err != nil {
		return "", fmt.Errorf("parse tag template %.64q: %w; a template may say %s", text, err, known)
	}
	step, err := stepNode(work)
	if err != nil {
		return "", err
	}
	if err := guard(t.Root, step); err != nil {
		return "", fmt.Errorf("parse tag template %.64q: %w", text, err)
	}
	var out limitedText
	if err := t.Execute(&out, &info); err != nil {
		return "", fmt.Errorf("render tag template %.64q: %s; a template may say %s", text, withoutValue(err), known)
	}
	return out.text.String(), nil
}

// withoutValue returns the text of an error of a template. The one that
// quotes a value, which may be a secret, ends before it.
func withoutValue(err error) string {
	const quotes = "range can't iterate over"
	before, _, found := strings.Cut(err.Error(), quotes)
	if found {
		return before + quotes + " this value"
	}
	return before
}

// stepName is the function that each round of a loop calls.
const stepName = "step"

// stepNode returns a call of the function that counts the rounds of loops.
func stepNode(work *budget) (parse.Node, error) {
	t, err := template.New("step").Funcs(functions(work)).Parse("{{" + stepName + "}}")
	if err != nil {
		return nil, fmt.Errorf("parse the step of a loop: %w", err)
	}
	return t.Root.Nodes[0], nil
}

// guard puts step at the start of every loop below list, so that a loop such
// as {{range 1000000000}} ends, and refuses calls of templates, which can
// recurse. There is no other way to go on for ever.
func guard(list *parse.ListNode, step parse.Node) error {
	if list == nil {
		return nil
	}
	for _, n := range list.Nodes {
		var branch *parse.BranchNode
		switch n := n.(type) {
		case *parse.TemplateNode:
			return fmt.Errorf("found {{template %q}}, expected no call of another template", n.Name)
		case *parse.IfNode:
			branch = &n.BranchNode
		case *parse.WithNode:
			branch = &n.BranchNode
		case *parse.RangeNode:
			branch = &n.BranchNode
		default:
			continue
		}
		if err := guard(branch.List, step); err != nil {
			return err
		}
		if err := guard(branch.ElseList, step); err != nil {
			return err
		}
		if branch.NodeType == parse.NodeRange {
			branch.List.Nodes = append([]parse.Node{step.Copy()}, branch.List.Nodes...)
		}
	}
	return nil
}

// limitedText collects the result and fails when it is longer than a tag.
type limitedText struct{ text strings.Builder }

func (l *limitedText) Write(p []byte) (int, error) {
	if l.text.Len()+len(p) > maxTag {
		return 0, fmt.Errorf("the tag is longer than %d bytes", maxTag)
	}
	return l.text.Write(p)
}
