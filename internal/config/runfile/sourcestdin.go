package runfile

import "github.com/spillway/spillway/internal/config/setting"

// StdinFormat is how standard input is read.
type StdinFormat string

// The formats of standard input.
const (
	StdinText StdinFormat = "text" // a line is a record
	StdinJSON StdinFormat = "json" // a line is a JSON object
)

// StdinSource reads standard input until it ends.
type StdinSource struct {
	Tag    string
	Format StdinFormat
}

func stdinRows() []row[StdinSource] {
	return []row[StdinSource]{
		{Option: Option{Name: "tag", Default: "stdin", Help: "Is the tag of all records."},
			check: tag, set: text(func(s *StdinSource) *string { return &s.Tag })},
		{Option: Option{Name: "format", Kind: setting.Enum, Default: string(StdinText), Enum: []string{string(StdinText), string(StdinJSON)},
			Help: "Says what a line is: a record of text, or a JSON object."},
			set: text(func(s *StdinSource) *StdinFormat { return &s.Format })},
	}
}
