package catalog

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spillway/spillway/internal/config"
	"github.com/spillway/spillway/internal/sink/jsonfile"
	"github.com/spillway/spillway/internal/tag"
)

func openJSONFile(r *config.Resolved, s Surroundings) (*Destination, error) {
	o := r.JSONFile()
	c, warnings := withEnvironment(o, r.Container())
	attrs, err := fileAttrs(o, c)
	if err != nil {
		return nil, err
	}
	maxSize := o.MaxSize
	if maxSize == 0 {
		maxSize = jsonfile.NoMaxSize
	}
	file, err := jsonfile.New(jsonfile.Options{
		Path: o.Path, MaxSize: maxSize, MaxFile: o.MaxFile, Compress: o.Compress, Attrs: attrs, StreamName: s.streamName,
	})
	if err != nil {
		return nil, err
	}
	return &Destination{Name: "json-file " + o.Path, Sink: file, Warnings: warnings}, nil
}

// fileAttrs is the object of the key attrs: the labels, variables and tag that
// the options choose, or nil for none.
func fileAttrs(o config.JSONFile, c config.Container) ([]byte, error) {
	info := containerInfo(c)
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
