package catalog

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spillway/spillway/internal/config"
	"github.com/spillway/spillway/internal/sink/jsonfile"
	"github.com/spillway/spillway/internal/tag"
)

func openJSONFile(r *config.Resolved) (*Destination, error) {
	o := r.JSONFile()
	attrs, warnings, err := fileAttrs(o, r.Container())
	if err != nil {
		return nil, err
	}
	maxSize := o.MaxSize
	if maxSize == 0 {
		maxSize = jsonfile.NoMaxSize
	}
	file, err := jsonfile.New(jsonfile.Options{
		Path: o.Path, MaxSize: maxSize, MaxFile: o.MaxFile, Compress: o.Compress, Attrs: attrs,
	})
	if err != nil {
		return nil, err
	}
	return &Destination{Name: "json-file " + o.Path, Sink: file, Warnings: warnings, attrs: attrs}, nil
}

// fileAttrs is the object of the key attrs: the labels, variables and tag that
// the options choose, or nil for none. Of a logger that is gone it is what was
// chosen then.
func fileAttrs(o config.JSONFile, c config.Container) (attrs []byte, warnings []string, err error) {
	if o.Attrs != nil {
		if string(o.Attrs) == noAttrs {
			return nil, nil, nil
		}
		return o.Attrs, nil, nil
	}
	c, warnings = withEnvironment(o.Env, o.EnvRegex, c)
	attrs, err = chooseAttrs(o, containerInfo(c))
	return attrs, warnings, err
}

// noAttrs is how it is remembered that nothing was chosen.
const noAttrs = "{}"

func chooseAttrs(o config.JSONFile, info tag.Info) ([]byte, error) {
	attrs, err := tag.Extra(info, tag.Selection{
		Labels: strings.Join(o.Labels, ","), LabelsRegex: o.LabelsRegex, Env: strings.Join(o.Env, ","), EnvRegex: o.EnvRegex,
	})
	if err != nil {
		return nil, err
	}
	if o.Tag != "" {
		if attrs["tag"], err = tag.Render(o.Tag, info); err != nil {
			return nil, fmt.Errorf("render the tag of the log file: %w", err)
		}
	}
	if len(attrs) == 0 {
		return nil, nil
	}
	return json.Marshal(attrs)
}
